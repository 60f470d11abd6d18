"""Environments that are kept for the next start: made once for each workspace that asks for the same.

Sessions can change the environment that they run in, and through links the packages that it was made of: so
workspaces share neither.

A folder below `environments` holds each; the marker in it, written last, says that it is complete, and its
time when it was last used. A lock beside says who uses it: see `locks.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypha.workers.base import WorkerError
from hypha.workers.children import Child, ProcessLimits, describe_code
from hypha.workers.conda.backends import Backend, Step, build_variables, python_in
from hypha.workers.conda.locks import FileLock
from hypha.workers.conda.requirements import Requirements
from hypha.workers.folders import SessionFolder, make_private, size_of

MOST_ENVIRONMENTS = 10
MOST_DOWNLOADED_BYTES = 20 * 1024**3
"""Of packages that are kept for further environments; when it is more, all go."""
_KEPT_S = 30 * 86_400.0
"""How long an environment is kept that nobody uses."""
_BUILD_S = 1_800.0
_MARKER = ".hypha-ready"
_MARK = "HYPHA_SESSION_DIR"
_TOLD_LINES, _TOLD_CHARS = 20, 3_000
_FOLDERS = re.compile(r"(?<![\w:/.>])/(?:[\w.+@-]+/)+")

Told = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Environment:
    """A complete environment, which stays as long as it is not released."""

    prefix: Path
    _lock: FileLock

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return python_in(self.prefix)

    def variables(self, path: str) -> dict[str, str]:
        """Variables with which its programs are found first."""
        found = {"PATH": f"{self.prefix / 'bin'}{os.pathsep}{path}"}
        kind = "CONDA_PREFIX" if (self.prefix / "conda-meta").is_dir() else "VIRTUAL_ENV"
        return found | {kind: str(self.prefix)}

    def release(self) -> None:
        """It may be deleted now."""
        self._lock.release()


@dataclass(frozen=True, slots=True)
class _Build:
    """An environment that is made: where, how, in whose session, with what was downloaded before."""

    prefix: Path
    steps: Sequence[Step]
    folder: SessionFolder
    downloads: Path
    told: Told


class Environments:
    """The environments of a folder, which workers may share. `clock` gives seconds since 1970."""

    def __init__(
        self,
        root: Path,
        backend: Backend,
        limits: ProcessLimits,
        variables: Mapping[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._backend = backend
        self._limits = limits
        self._variables = variables
        self._clock = clock
        self._making: set[str] = set()
        self._root, self._locks, self._downloads = (
            root / name for name in ("environments", "locks", "downloads")
        )
        self._downloading = root / "downloading"
        make_private(root)
        for each in (self._root, self._locks, self._downloads):
            make_private(each)

    def name_of(self, wanted: Requirements, workspace: str) -> str:
        """The name of the environment of a workspace for this."""
        return f"{wanted.digest(self._backend.name)[:20]}-{_mark_of(workspace)}"

    async def provide(
        self, wanted: Requirements, workspace: str, folder: SessionFolder, told: Told
    ) -> Environment:
        """The environment for this, made if it isn't there; `folder` is where commands of a build run.

        Raises:
            WorkerError: it cannot be made; with the last lines of what was tried. Or all that may be kept
                are in use.
        """
        name = self.name_of(wanted, workspace)
        prefix, lock = self._root / name, FileLock(self._locks / name)
        downloads = self._downloads / _mark_of(workspace)
        build = _Build(prefix, self._backend.steps(wanted, prefix), folder, downloads, told)
        is_new = False
        while True:
            await lock.take(shared=True)
            if self._use(prefix):
                await told("The environment is ready" if is_new else "The environment is there already")
                return Environment(prefix, lock)
            lock.release()
            await lock.take(shared=False)
            try:
                if not (prefix / _MARKER).exists():
                    await self._make_with_room(build)
                    is_new = True
            finally:
                if not (prefix / _MARKER).exists():
                    lock.delete()
                lock.release()

    def _use(self, prefix: Path) -> bool:
        """Note that it is used, if it is complete."""
        try:
            now = self._clock()
            os.utime(prefix / _MARKER, (now, now))
        except FileNotFoundError:
            return False
        return True

    async def _make_with_room(self, build: _Build) -> None:
        name = build.prefix.name
        await asyncio.to_thread(self._make_room, name)
        await asyncio.to_thread(self._drop_downloads)
        downloading = FileLock(self._downloading)
        self._making.add(name)
        try:
            await downloading.take(shared=True)
            await asyncio.to_thread(make_private, build.downloads)
            await self._make(build)
        finally:
            downloading.release()
            self._making.discard(name)

    def _drop_downloads(self) -> None:
        """Delete what was downloaded when it is too much, and nobody downloads."""
        lock = FileLock(self._downloading)
        if lock.try_take(shared=False):
            try:
                if size_of(self._downloads, MOST_DOWNLOADED_BYTES) > MOST_DOWNLOADED_BYTES:
                    shutil.rmtree(self._downloads, ignore_errors=True)
                    make_private(self._downloads)
            finally:
                lock.release()

    async def _make(self, build: _Build) -> None:
        prefix = build.prefix
        await asyncio.to_thread(shutil.rmtree, prefix, ignore_errors=True)
        try:
            async with asyncio.timeout(_BUILD_S):
                for step in build.steps:
                    await build.told(step.told)
                    await self._run(step.command, build)
            await asyncio.to_thread((prefix / _MARKER).touch)
        except TimeoutError:
            raise WorkerError(f"The environment was not ready after {_BUILD_S:.0f} s.") from None
        finally:
            if not (prefix / _MARKER).exists():
                await asyncio.to_thread(shutil.rmtree, prefix, ignore_errors=True)

    async def _run(self, command: tuple[str, ...], build: _Build) -> None:
        """Run a command of a build to its end.

        Raises:
            WorkerError: it failed.
        """
        folder = build.folder
        work = folder.path / "build"
        await asyncio.to_thread(work.mkdir, mode=0o700)
        variables = build_variables(self._variables, work, build.downloads) | {_MARK: str(work)}
        child: Child | None = None
        try:
            child = await Child.start(
                command, folder=work, environment=variables, marks=[_MARK], limits=self._limits
            )
            folder.record(child.pid, child.started, child.marks)
            code = await child.wait()
        finally:
            if child is not None:
                await child.kill()
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        if code:
            text = child.err.text().strip() or child.out.text().strip()
            raise self._backend.explain(text) or WorkerError(
                f"The environment could not be made: {self._backend.name} ended with {describe_code(code)}:\n"
                + self._last_lines(text, folder.path)
            )

    def _last_lines(self, text: str, session: Path) -> str:
        """The end of what was printed, without the folders of this machine."""
        for known, name in ((self._root.parent, "cache"), (session, "session")):
            text = text.replace(str(known), f"<{name}>")
        end = "\n".join(text.splitlines()[-_TOLD_LINES:])[-_TOLD_CHARS:]
        return _FOLDERS.sub("…/", end)

    def _make_room(self, name: str) -> None:
        """Delete what is incomplete or long unused, and the least recently used beyond the bound.

        Raises:
            WorkerError: there is no room, since sessions use them all.
        """
        known = sorted((self._used(each), each) for each in self._root.iterdir() if each.name != name)
        left = len(known) + len(self._making - {each.name for _, each in known})
        for used, prefix in known:
            is_old = used < self._clock() - _KEPT_S
            if (is_old or left >= MOST_ENVIRONMENTS) and self._delete(prefix):
                left -= 1
        if left >= MOST_ENVIRONMENTS:
            raise WorkerError(
                f"This worker keeps {MOST_ENVIRONMENTS} environments, and sessions use them all: stop some."
            )

    def _used(self, prefix: Path) -> float:
        """When it was used last; 0 for one that is incomplete."""
        with contextlib.suppress(OSError):
            return (prefix / _MARKER).stat().st_mtime
        return 0.0

    def _delete(self, prefix: Path) -> bool:
        """Delete an environment that nobody uses or makes."""
        lock = FileLock(self._locks / prefix.name)
        if not lock.try_take(shared=False):
            return False
        try:
            (prefix / _MARKER).unlink(missing_ok=True)  # first: what is left of it is not complete
            shutil.rmtree(prefix, ignore_errors=True)
        finally:
            lock.delete()
        return not prefix.exists()


def _mark_of(workspace: str) -> str:
    """What stands for a workspace in names of folders."""
    return hashlib.sha256(workspace.encode()).hexdigest()[:12]
