"""The commands `backup`, `restore` and `verify`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from hypha.cli.environment import load_env_file
from hypha.configuration import all_options, get_argparser, load_settings
from hypha.errors import HyphaError
from hypha.options import given_names
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
        return _run(command, arguments)
    except HyphaError as error:
        print(f"hypha-server {command}: {error.message}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"hypha-server {command}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return 1


def _run(command: str, arguments: argparse.Namespace) -> int:
    from hypha.cli.backup.repository import Repository

    folder: str = arguments.folder
    name: str | None = arguments.snapshot
    is_list: bool = arguments.list
    repository = Repository.open(folder, to_write=command == "backup" and not is_list)
    try:
        if is_list:
            for each in repository.snapshots():
                print(each.described())
            return 0
        if command == "verify":
            snapshot = repository.snapshot(name)
            damaged = repository.damaged(snapshot)
            for key in damaged:
                print(f"damaged: {key}")
            print(f"{snapshot.described()}: {len(damaged):,} damaged")
            return 1 if damaged else 0
        settings = _settings(arguments)
        if command == "backup":
            from hypha.cli.backup.taking import take

            asyncio.run(take(settings, repository, print))
            return 0
        from hypha.cli.backup.restoring import restore

        asyncio.run(restore(settings, repository, repository.snapshot(name), print))
        return 0
    finally:
        repository.close()


def _settings(arguments: argparse.Namespace) -> Settings:
    load_env_file()
    for extra in ("folder", "snapshot", "list"):
        delattr(arguments, extra)
    arguments.from_env = arguments.from_env or not given_names(arguments, all_options())
    settings, warnings = load_settings(arguments)
    for text in warnings:
        print(text, file=sys.stderr)
    return settings
