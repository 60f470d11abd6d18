"""Options of a worker's command line, each with a variable that says the same."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypha.workers.base import WorkerError

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


class BadOption(WorkerError):
    """An option or variable is missing, or has a value that it cannot have."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How a worker reaches the server, and as what it is registered there."""

    server_url: str | None = None
    workspace: str | None = None
    token: str | None = None
    service_id: str | None = None
    client_id: str | None = None
    visibility: str = "protected"
    authorized_workspaces: tuple[str, ...] = ()
    disable_ssl: bool = False
    use_local_url: bool | str = False
    verbose: bool = False


class Options:
    """What a program may be told, by words of its command line or by variables; words win."""

    def __init__(self, program: str, description: str) -> None:
        self._parser = ArgumentParser(prog=program, description=description)
        self._known: list[tuple[str, str, Callable[[str], object], object]] = []

    def add(
        self, flag: str, default: object, help: str, kind: Callable[[str], object] = str, twin: str = ""
    ) -> None:
        """An option; `twin` is its variable, `HYPHA_<OPTION>` if not given."""
        name = flag.lstrip("-").replace("-", "_")
        twin = twin or f"HYPHA_{name.upper()}"
        text = f"{help} [{twin}]"
        flags = (flag, "-v") if flag == "--verbose" else (flag,)
        if kind is boolean:
            self._parser.add_argument(*flags, dest=name, nargs="?", const=True, type=boolean, help=text)
        else:
            self._parser.add_argument(*flags, dest=name, type=kind, help=text)
        self._known.append((name, twin, kind, default))

    def add_argument(self, name: str, help: str) -> None:
        """A word that has to be there, and has no variable."""
        self._parser.add_argument(name, help=help)

    def read(self, words: Sequence[str], variables: Mapping[str, str]) -> dict[str, Any]:
        """The values of all options by name.

        Raises:
            BadOption: a variable has a value that it cannot have.
            SystemExit: the words cannot be understood, or ask for help.
        """
        found = vars(self._parser.parse_args(words))
        for name, twin, kind, default in self._known:
            if found[name] is None:
                found[name] = _from_variable(twin, variables.get(twin), kind, default)
        return found


def _from_variable(twin: str, text: str | None, kind: Callable[[str], object], default: object) -> object:
    if text is None:
        return default
    try:
        return kind(text)
    except (ValueError, ArgumentTypeError) as error:
        raise BadOption(f"{twin}={text!r} cannot be: {error}") from None


def yes_or_no(text: str) -> bool:
    """Yes or no in a word.

    Raises:
        ValueError: it is neither.
    """
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def boolean(text: str) -> bool:
    """The same of a word on a command line, where only errors of this class keep their text."""
    try:
        return yes_or_no(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def local_url(text: str) -> bool | str:
    """Yes, no, or an address."""
    return text if "://" in text else boolean(text)


def count(text: str) -> int:
    """A number that is not negative."""
    value = int(text)
    if value < 0:
        raise ArgumentTypeError("it must not be negative")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ArgumentTypeError("it must be above 0")
    return value


def words_of(text: str) -> tuple[str, ...]:
    """Words with commas between them."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def folder(text: str) -> Path:
    """A folder."""
    return Path(text).expanduser().absolute()


def visibility(text: str) -> str:
    """`public` or `protected`."""
    if text not in ("public", "protected"):
        raise ArgumentTypeError("it is public or protected")
    return text


def add_connection(options: Options) -> None:
    """The options that all workers have."""
    options.add("--server-url", None, "Address of the server")
    options.add("--workspace", None, "Workspace to register in")
    options.add("--token", None, "Token for the workspace; better given as a variable")
    options.add("--service-id", None, "Id of the worker's service")
    options.add("--client-id", None, "Id of the worker as a client")
    options.add("--visibility", "protected", "public or protected", visibility)
    options.add("--disable-ssl", False, "Do not check the server's certificate", boolean)
    options.add("--use-local-url", False, "Sessions use the server's local address, or this one", local_url)
    options.add("--verbose", False, "Log more", boolean)


def connection_of(values: Mapping[str, Any], needed: Sequence[str] = ()) -> Connection:
    """The connection that options describe.

    Raises:
        BadOption: one of those needed is missing.
    """
    missing = [name for name in needed if not values[name]]
    if missing:
        told = ", ".join(f"--{name.replace('_', '-')} (or HYPHA_{name.upper()})" for name in missing)
        raise BadOption(f"Missing: {told}")
    fields = {name: values[name] for name in Connection.__dataclass_fields__ if values.get(name) is not None}
    return Connection(**fields)
