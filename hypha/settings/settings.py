"""All options together, read from the command line and the environment."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass

from hypha import __version__
from hypha.networks import reachable_host
from hypha.options import build_parser, options_of, read_options
from hypha.settings.checks import check_settings
from hypha.settings.connecting import Connecting
from hypha.settings.features import INACTIVE_ROUTES, Features, Files
from hypha.settings.limits import Limits
from hypha.settings.quotas import Quotas
from hypha.settings.serving import Serving
from hypha.settings.signing_in import SigningIn
from hypha.settings.storing import Storing


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Settings(Features, Files, Limits, Quotas, Connecting, SigningIn, Storing, Serving):
    """All options, read once at start; never printed as a whole, since some are secrets."""

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
    def inactive_features(self) -> Mapping[str, str]:
        """Path pattern -> the sentence with which its 404 answers, for features to come."""
        later = {
            path: f"Not found: {name} is not active in this version of the server."
            for path, name in INACTIVE_ROUTES.items()
        }
        return {"/triton": "Not found: no Triton server is configured here (--triton-servers).", **later}


def get_argparser() -> argparse.ArgumentParser:
    """Make the argument parser of the server."""
    parser = build_parser(Settings, "python -m hypha.server", "Start a Hypha server.")
    parser.epilog = (
        "Make a token without a server: python -m hypha generate-token --help. "
        "Say what is risky on the internet with some flags: python -m hypha.server doctor [flags]"
    )
    parser.add_argument("--version", action="version", version=f"Hypha {__version__}")
    return parser


def load_settings(
    arguments: argparse.Namespace | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Settings, list[str]]:
    """Read the settings from parsed arguments and the environment, and check them.

    The `HYPHA_…` twins of flags are read only when the arguments say `from_env`. Returns the
    settings and warnings for the log.

    Raises:
        ConfigurationError: the options contradict each other or would open access.
    """
    arguments = arguments or argparse.Namespace()
    environment = os.environ if environment is None else environment
    settings, warnings = read_options(
        Settings, arguments, environment, use_twins=bool(getattr(arguments, "from_env", False))
    )
    if settings.root_token is not None:  # a file or variable often ends with a line end
        settings = dataclasses.replace(settings, root_token=settings.root_token.strip())
    check_settings(settings)
    if settings.enable_admin_terminal and not settings.root_token:
        warnings.append("--enable-admin-terminal is switched off: it needs --root-token")
    inactive = inactive_flags(settings)
    if inactive:
        warnings.append(f"Not active in this version, ignored: {', '.join(inactive)}")
    return settings, warnings


def inactive_flags(settings: Settings) -> list[str]:
    """The given flags and variables that have no effect yet."""
    return [
        option.flag if option.is_flag else option.variables[0]
        for option in options_of(Settings)
        if option.feature and getattr(settings, option.name) != option.default
    ]
