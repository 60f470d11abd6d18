"""The browser worker as a program, with its options."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from hypha.workers.base import WorkerNotAvailableError
from hypha.workers.browser.chromium import find_chromium, has_playwright
from hypha.workers.browser.worker import BrowserWorker
from hypha.workers.options import Connection, Options, add_connection, boolean
from hypha.workers.serving import run_command


def _options() -> Options:
    options = Options("python -m hypha.workers.browser", "Runs apps that are web pages.")
    add_connection(options)
    options.add("--in-docker", False, "Run the browser without its sandbox, which containers lack", boolean)
    return options


def _worker(values: Mapping[str, Any], connection: Connection) -> BrowserWorker:
    if not has_playwright():
        raise WorkerNotAvailableError("Install the package playwright (hypha-server[browser]).")
    if find_chromium(os.environ) is None:
        raise WorkerNotAvailableError("Install Chromium, or name one in HYPHA_CHROMIUM_PATH.")
    return BrowserWorker(connection=connection, in_container=values["in_docker"])


def main(words: Sequence[str] | None = None) -> int:
    """Run the worker as a program."""
    return run_command(_options(), _worker, words=words)
