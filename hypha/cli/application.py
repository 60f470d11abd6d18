"""The ASGI application, made from arguments and the environment."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hypha.configuration import get_argparser

if TYPE_CHECKING:
    from hypha.assembly import Application


def create_application(arguments: argparse.Namespace | None = None) -> Application:
    """Make the ASGI application; its lifespan starts and stops the server.

    `arguments` come from `get_argparser().parse_args(…)`. `application.state.store` is the store.
    """
    import logging

    from hypha.assembly import create_application as assemble
    from hypha.cli.environment import load_env_file
    from hypha.configuration import load_settings

    load_env_file()
    settings, warnings = load_settings(arguments or get_argparser().parse_args([]))
    for warning in warnings:
        logging.getLogger("hypha.settings").warning(warning)
    return assemble(settings)
