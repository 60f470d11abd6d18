"""Reads all options from the command line and the environment, and checks them."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping

from hypha import __version__
from hypha.options import build_parser, options_of, read_options
from hypha.settings.checks import check_settings
from hypha.settings.settings import Settings


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
