"""All options of the server and its features together, read from flags and environment, and checked."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

from hypha import __version__
from hypha.features import modules_of
from hypha.options import FeatureOptions, Option, build_parser, options_of, read_options
from hypha.plugs import class_in
from hypha.settings import Settings, check_settings


def classes_of_features() -> list[type[FeatureOptions]]:
    """What the features declare in their `options.py`; nothing else of them is imported, for `--help`."""
    return [class_in(module, FeatureOptions) for module in modules_of("options")]


def flags_for_all() -> list[str]:
    """The flags with which everything that the features have is there."""
    return [flag for kind in classes_of_features() for flag in kind.ALL_ON]


def all_options() -> list[Option]:
    """Every option, the core's first."""
    kinds: list[type] = [Settings, *classes_of_features()]
    return [option for kind in kinds for option in options_of(kind)]


def values_of(settings: Settings) -> Iterator[tuple[Option, Any]]:
    """Every option with its value."""
    for each in (settings, *settings.of_features):
        for option in options_of(type(each)):
            yield option, getattr(each, option.name)


def get_argparser() -> argparse.ArgumentParser:
    """Make the argument parser of the server."""
    parser = build_parser(all_options(), "python -m hypha.server", "Start a Hypha server.")
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
    use_twins = bool(getattr(arguments, "from_env", False))
    settings, warnings = read_options(Settings, arguments, environment, use_twins=use_twins)
    of_features = []
    for kind in classes_of_features():
        options, more = read_options(kind, arguments, environment, use_twins=use_twins)
        of_features.append(options)
        warnings += more
    token = settings.root_token  # a file or variable often ends with a line end
    settings = dataclasses.replace(
        settings, root_token=token.strip() if token else token, of_features=tuple(of_features)
    )
    check_settings(settings)
    inactive = inactive_flags(settings)
    if inactive:
        warnings.append(f"Not active in this version, ignored: {', '.join(inactive)}")
    return settings, warnings


def inactive_flags(settings: Settings) -> list[str]:
    """The given flags and variables that have no effect yet."""
    return [
        option.flag if option.is_flag else option.variables[0]
        for option, value in values_of(settings)
        if option.feature and value != option.default
    ]
