"""The data folder: secrets, the deployment's identity, and the lock that keeps it to one server.

hypha-data/            mode 0700
  lock                 held while a server runs; names its process and URL
  deployment.json      the manager id that clients must find again after a restart
  secrets/             mode 0700, files 0600
  hypha.sqlite         records (written by the store)
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from hypha.errors import ConfigurationError
from hypha.filelock import FileLock, InUse
from hypha.ids import readable_id

MEMORY = ":memory:"
_FORMAT_VERSION = 1
_SECRET_BYTES = 48
_DRIVER = "sqlite+aiosqlite"
_DATABASE = "hypha.sqlite"
_DEPLOYMENT = "deployment.json"
_RESTORING = "restoring"
_FILES = ("lock", _DEPLOYMENT, _DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm")
_OF_OTHERS = 0o077


class DataFolder:
    """An opened data folder; `close` gives the lock back.

    With the path `:memory:` secrets and identity live as long as this object.
    """

    def __init__(self, path: Path | None, lock: FileLock | None) -> None:
        self.path = path
        self._lock = lock
        self._made: dict[str, str] = {}

    @classmethod
    def open(cls, where: str, url: str = "", *, restoring: str = "") -> DataFolder:
        """Create or open the folder and lock it for the server at `url`.

        Args:
            restoring: name of a snapshot with which it is to be filled; it is empty then, or half filled with
                the same one. No server starts on it before `restored`.

        Raises:
            ConfigurationError: it cannot be written, another server uses it, or it is half restored.
        """
        if where == MEMORY:
            return cls(None, None)
        with _usable(where):
            path = Path(where).expanduser().absolute()
        with _usable(path):
            _make_private_folder(path)
            _make_private_folder(path / "secrets")
            lock = _take_lock(path, url)
            try:
                _check_restoring(path, restoring)
            except ConfigurationError:
                lock.close()
                raise
            _close_to_others(path)
            return cls(path, lock)

    @property
    def shown(self) -> str:
        """Where the data lies, for a person."""
        return str(self.path) if self.path else "in memory: nothing is kept"

    @property
    def database_url(self) -> URL:
        """URL of the default database; its file is made here so that only its owner reads it.

        A name in it stands for itself, whatever marks of URLs it holds.
        """
        if self.path is None:
            return URL.create(_DRIVER, database=MEMORY)
        file = self.path / _DATABASE
        with _usable(self.path):
            file.touch(mode=0o600)
        return URL.create(_DRIVER, database=str(file))

    @property
    def database_uri(self) -> str:
        """The same as text."""
        return self.database_url.render_as_string(hide_password=False)

    def secret(self, name: str) -> str:
        """The secret of this name, made at first use."""
        if self.path is None:
            return self._made.setdefault(name, secrets.token_urlsafe(_SECRET_BYTES))
        file = self.path / "secrets" / name
        with _usable(self.path):
            with contextlib.suppress(FileNotFoundError):
                kept = file.read_bytes().decode("utf-8", "replace").strip()
                if kept:
                    return kept
            made = secrets.token_urlsafe(_SECRET_BYTES)
            _write_file(file, made + "\n")
        return made

    def manager_id(self) -> str:
        """Client id of the workspace manager: the same over restarts, or clients drop their calls."""
        if self.path is None:
            return self._made.setdefault("manager_id", _new_manager_id())
        file = self.path / _DEPLOYMENT
        with _usable(self.path):
            with contextlib.suppress(FileNotFoundError):
                return str(_read_record(file)["manager_id"])
            made = _new_manager_id()
            _write_file(file, json.dumps({"version": _FORMAT_VERSION, "manager_id": made}) + "\n")
        return made

    def restored(self) -> None:
        """It holds all of a snapshot: let servers start on it."""
        if self.path is not None:
            (self.path / _RESTORING).unlink()

    def close(self) -> None:
        """Give the lock back; the folder may be opened again."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


@contextlib.contextmanager
def _usable(path: object) -> Iterator[None]:
    """Say in one sentence why the folder cannot be used."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:  # no such home, a NUL in the name
        if isinstance(error, ConfigurationError):
            raise
        reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
        raise ConfigurationError(
            f"The data folder {path} cannot be used ({reason}): choose another with --data-dir"
        ) from error


def kept_files(path: Path) -> list[str]:
    """Secrets and identity in a data folder, as names from there: for backups."""
    secrets_there = sorted((path / "secrets").glob("*"))
    return [str(each.relative_to(path)) for each in (*secrets_there, path / _DEPLOYMENT) if each.is_file()]


def _check_restoring(path: Path, snapshot: str) -> None:
    """Keep servers from a half restored folder, and restores from one that is in use."""
    mark = path / _RESTORING
    begun = mark.read_text("utf-8").strip() if mark.exists() else ""
    if not snapshot and begun:
        raise ConfigurationError(
            f"The data folder {path} is half restored: restore the snapshot {begun} again, or delete it."
        )
    if snapshot and begun not in ("", snapshot):
        raise ConfigurationError(f"The data folder {path} is half restored from {begun}: delete it first.")
    if snapshot and not begun:
        there = {each.name for each in path.iterdir()} - {"lock", "secrets"}
        if there or any((path / "secrets").iterdir()):
            raise ConfigurationError(f"The data folder {path} is not empty: name another with --data-dir.")
        _write_file(mark, snapshot + "\n")


def _close_to_others(path: Path) -> None:
    """Take away what others may do with files of ours: an older version or a copy may have left it."""
    secret_files = (path / "secrets").iterdir()
    for file in (path / "secrets", *secret_files, *(path / name for name in _FILES)):
        with contextlib.suppress(OSError):  # not there, or of another owner
            mode = file.stat().st_mode
            if mode & _OF_OTHERS:
                file.chmod(mode & 0o700)


def check_folder(path: Path) -> str | None:
    """Look at an existing data folder without changing it; says which server runs with it, if one does.

    Raises:
        ConfigurationError: its record is damaged or of a newer version.
    """
    file = path / _DEPLOYMENT
    if file.exists():
        _read_record(file)
    return FileLock.holder(path / "lock")


def _new_manager_id() -> str:
    return f"manager-{readable_id()}"


def _read_record(file: Path) -> Mapping[str, Any]:
    try:
        record = json.loads(file.read_text())
        if record["version"] > _FORMAT_VERSION:
            raise ConfigurationError(f"{file} was written by a newer version of the server: use that one")
        if not isinstance(record["manager_id"], str):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"{file} is damaged: restore it from a backup, or delete it") from error
    return dict(record)


def _make_private_folder(path: Path) -> None:
    if path.exists():
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        if not any(path.iterdir()):  # made for the server a moment ago
            with contextlib.suppress(OSError):
                path.chmod(0o700)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700)


def _write_file(file: Path, text: str) -> None:
    """Write a file that only its owner reads, so that a crash leaves the old one or the new one."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, file)
    if os.name == "posix":
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _take_lock(path: Path, url: str) -> FileLock:
    try:
        return FileLock.take(path / "lock", url)
    except InUse as taken:
        raise ConfigurationError(
            f"The data folder {path} is in use: {taken.holder} is already running. Stop it, "
            "or choose another folder with --data-dir"
        ) from None
