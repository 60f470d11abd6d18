"""Where pages of apps get Python from."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from hypha.errors import ConfigurationError
from hypha.options import FeatureOptions, flag


@dataclass(frozen=True, kw_only=True, repr=False)
class PyodideOptions(FeatureOptions):
    """Python in pages."""

    pyodide_dir: str | None = flag(
        None, "Folder with Pyodide and wheels, from which web-python apps get all that they need"
    )
    pyodide_url: str = flag(
        "https://cdn.jsdelivr.net/pyodide/v314.0.7/full/",
        "Where web-python apps load Pyodide from while there is no --pyodide-dir",
    )

    def check(self) -> None:
        """Refuse an address from which no page can load.

        Raises:
            ConfigurationError: it is none of HTTP.
        """
        parts = urlsplit(self.pyodide_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ConfigurationError(
                "--pyodide-url is an address such as https://host/pyodide/v314.0.7/full/."
            )
