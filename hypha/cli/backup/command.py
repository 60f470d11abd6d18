"""The commands `backup`, `restore` and `verify`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence

from hypha.cli.environment import load_env_file
from hypha.configuration import get_argparser, load_settings
from hypha.errors import HyphaError
from hypha.settings import Settings

COMMANDS = ("backup", "restore", "verify")
_TEXTS = {
    "backup": (
        "Keep all of a server in FOLDER, while it runs: records, files, secrets. What is there already is "
        "not copied again. Takes the flags of the server; without any, it reads the HYPHA_... variables."
    ),
    "restore": (
        "Fill an empty server from FOLDER. Takes the flags with which it is to be started; they may name "
        "another database or store of files than before."
    ),
    "verify": "Read everything in FOLDER, and name what is damaged. Exit code: 0 nothing, 1 something.",
}


def backup_command(words: Sequence[str]) -> int:
    """Run one of the commands; returns the exit code."""
    command = words[0]
    parser = get_argparser()
    parser.prog, parser.description, parser.epilog = f"hypha-server {command}", _TEXTS[command], None
    parser.add_argument("folder", metavar="FOLDER", help="The folder of backups")
    parser.add_argument("--snapshot", help="Name of a snapshot in it; the newest when absent")
    parser.add_argument("--list", action="store_true", help="Name the snapshots, and do nothing")
    arguments = parser.parse_args(list(words[1:]))
    try:
        return _run(command, arguments, is_bare=all(not word.startswith("-") for word in words[1:]))
    except HyphaError as error:
        print(f"hypha-server {command}: {error.message}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"hypha-server {command}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return 1


def _run(command: str, arguments: argparse.Namespace, *, is_bare: bool) -> int:
    from hypha.cli.backup.repository import Repository
    from hypha.cli.backup.taking import damaged_in, described, take

    folder: str = arguments.folder
    name: str | None = arguments.snapshot
    is_list: bool = arguments.list
    repository = Repository.open(folder, to_write=command == "backup" and not is_list)
    try:
        if is_list:
            for each in repository.snapshots():
                print(described(each))
            return 0
        if command == "verify":
            snapshot = repository.snapshot(name)
            damaged = damaged_in(repository, snapshot)
            for key in damaged:
                print(f"damaged: {key}")
            print(f"{described(snapshot)}: {len(damaged):,} damaged")
            return 1 if damaged else 0
        settings = _settings(arguments, is_bare=is_bare)
        if command == "backup":
            asyncio.run(take(settings, repository, print))
            return 0
        from hypha.cli.backup.restoring import restore

        asyncio.run(restore(settings, repository, repository.snapshot(name), print))
        return 0
    finally:
        repository.close()


def _settings(arguments: argparse.Namespace, *, is_bare: bool) -> Settings:
    load_env_file()
    for extra in ("folder", "snapshot", "list"):
        delattr(arguments, extra)
    arguments.from_env = arguments.from_env or is_bare
    settings, warnings = load_settings(arguments)
    tell: Callable[[str], None] = lambda text: print(text, file=sys.stderr)  # noqa: E731
    for text in warnings:
        tell(text)
    return settings
