"""All options together, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from hypha.networks import reachable_host
from hypha.options import FeatureOptions
from hypha.settings.connecting import Connecting
from hypha.settings.features import INACTIVE_ROUTES, Features, Files
from hypha.settings.limits import Limits
from hypha.settings.quotas import Quotas
from hypha.settings.serving import Serving
from hypha.settings.signing_in import SigningIn
from hypha.settings.storing import Storing

OptionsT = TypeVar("OptionsT", bound=FeatureOptions)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Settings(Features, Files, Limits, Quotas, Connecting, SigningIn, Storing, Serving):
    """All options, read once at start; never printed as a whole, since some are secrets."""

    of_features: tuple[FeatureOptions, ...] = ()
    """What the features declare, for them to ask for with `of`."""

    def of(self, kind: type[OptionsT]) -> OptionsT:
        """The options of one feature; its defaults where none were read."""
        return next((each for each in self.of_features if isinstance(each, kind)), None) or kind()

    @property
    def url_path(self) -> str:
        """The base path without a slash at its end; empty for none."""
        return "/" + self.base_path.strip("/") if self.base_path.strip("/") else ""

    @property
    def local_base_url(self) -> str:
        """URL of the server on its own machine, by the address that it listens on."""
        return f"http://{reachable_host(self.host)}:{self.port}{self.url_path}"

    @property
    def announced_base_url(self) -> str:
        """URL that clients are told: the public one, else the local one."""
        return self.public_base_url.rstrip("/") if self.public_base_url else self.local_base_url

    @property
    def workers_inside(self) -> tuple[str, ...]:
        """Startup functions of workers that options ask for; workers are known by name alone."""
        wished = {"terminal": self.enable_terminal_worker, "k8s": self.enable_k8s_worker}
        return tuple(f"hypha.workers.{name}:hypha_startup" for name, is_on in wished.items() if is_on)

    @property
    def inactive_features(self) -> Mapping[str, str]:
        """Path pattern -> the sentence with which its 404 answers, for features to come."""
        later = {
            path: f"Not found: {name} is not active in this version of the server."
            for path, name in INACTIVE_ROUTES.items()
        }
        return {"/triton": "Not found: no Triton server is configured here (--triton-servers).", **later}
