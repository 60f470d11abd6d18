"""The terminal worker inside a server and as a program, with its options."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from hypha.workers.base import WorkerNotAvailableError
from hypha.workers.limit_options import add_limits, limits_of
from hypha.workers.options import Connection, Options, add_connection, boolean, count, folder, words_of
from hypha.workers.serving import run_command
from hypha.workers.terminal.worker import MOST_SESSIONS, SESSIONS_VARIABLE, TerminalWorker, has_screens

logger = logging.getLogger(__name__)

_MISSING = "install the package pyte (hypha-server[terminal])."


def _options(is_inside: bool) -> Options:
    options = Options("python -m hypha.workers.terminal", "Runs apps of the type terminal.")
    add_connection(options)
    options.add(
        "--working-dir", None, "Folder for the folders of sessions", folder, twin="TERMINAL_WORKING_DIR"
    )
    options.add(
        "--authorized-workspaces",
        (),
        "Workspaces that get terminals, with commas between",
        words_of,
        twin="TERMINAL_AUTHORIZED_WORKSPACES",
    )
    options.add(
        "--max-terminal-sessions", MOST_SESSIONS, "Terminals at the same time", count, twin=SESSIONS_VARIABLE
    )
    options.add(
        "--enable-web", is_inside, "Offer a page for the terminals, as the service hypha-terminal", boolean,
        "TERMINAL_ENABLE_WEB",
    )  # fmt: skip
    add_limits(options, "terminal")
    return options


def _worker(values: Mapping[str, Any], connection: Connection) -> TerminalWorker:
    if not has_screens():
        raise WorkerNotAvailableError(f"No terminals: {_MISSING}")
    limits = limits_of(values, "terminal")
    return TerminalWorker(
        connection, limits, values["working_dir"], values["max_terminal_sessions"],
        has_page=values["enable_web"],
    )  # fmt: skip


async def hypha_startup(server: Any) -> None:
    """Begin the worker inside the server, with options from variables; one warning where it cannot work."""
    if not has_screens():
        logger.warning("No terminals: %s", _MISSING)
        return
    values = _options(is_inside=True).read([], os.environ)
    connection = Connection(
        service_id="terminal-worker",
        use_local_url=True,
        authorized_workspaces=values["authorized_workspaces"],
    )
    await _worker(values, connection).register_worker_service(server)


def main() -> int:
    """Run the worker as a program."""
    return run_command(_options(is_inside=False), _worker)
