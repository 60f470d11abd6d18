"""Private folders of sessions, and what a worker that was killed has left: processes and folders.

Below a root each running worker has a folder, held by a lock that ends with its process; in it each session
has one, with a record of its process. The next worker ends what a folder without a holder records.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypha.workers.base import WorkerNotAvailableError
from hypha.workers.processes import end_all, stat_of

logger = logging.getLogger(__name__)

_LOCK = "lock"
_RECORD = "process.json"


class SessionFolder:
    """The folder of one session: `work` is for the app, the record beside it for the worker."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"
        self.work.mkdir(mode=0o700)

    def record(self, pid: int, started: int | None, marks: Mapping[str, str]) -> None:
        """Note the leader of the session's processes, when it started, and the variables that name them."""
        text = json.dumps({"pid": pid, "started": started, "marks": dict(marks)})
        (self.path / _RECORD).write_text(text)

    def remove(self) -> None:
        """Delete everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)


class WorkerFolder:
    """The folder of this worker below a root that only its user may enter. Its functions block."""

    def __init__(self, root: Path) -> None:
        make_private(root)
        end_orphans(root)
        self.path = Path(tempfile.mkdtemp(prefix="worker-", dir=root))
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def new_session(self) -> SessionFolder:
        """A folder for one session."""
        return SessionFolder(Path(tempfile.mkdtemp(prefix="session-", dir=self.path)))

    def remove(self) -> None:
        """Delete it, when all sessions are over."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def default_root(name: str) -> Path:
    """Where folders of a kind of worker are, if nothing else was said."""
    return Path(tempfile.gettempdir()) / f"hypha-{name}-{os.getuid()}"


def make_private(root: Path) -> None:
    """Make a folder that only this user may change, or see that it is one.

    Raises:
        WorkerNotAvailableError: it cannot be made, or others may change it.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.lstat()
    except OSError as error:
        raise WorkerNotAvailableError(f"The folder {root} cannot be made: {error.strerror}.") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise WorkerNotAvailableError(f"The folder {root} must belong to this user alone: name another one.")


def size_of(folder: Path, most_bytes: int) -> int:
    """How much the files in a folder have together; no further than beyond `most_bytes`."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
        if total > most_bytes:
            break
    return total


def end_orphans(root: Path) -> None:
    """End the processes and delete the folders of workers that are gone."""
    for folder in root.glob("worker-*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for record in folder.glob(f"session-*/{_RECORD}"):
                    _end_recorded(record)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _end_recorded(record: Path) -> None:
    try:
        known = json.loads(record.read_text())
        pid, started, marks = int(known["pid"]), known["started"], dict(known["marks"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    # a group without its leader may be another's by now
    left = end_all(pid if stat_of(pid) is not None else 0, started, marks)
    if left:
        logger.warning("%d processes of a session that is over could not be ended", left)
