"""`get`: brings files of an artifact here, going on where it stopped."""

from __future__ import annotations

import contextlib
import http.client
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hypha.cli.artifact.bar import Bar, shown_name, shown_size
from hypha.cli.artifact.faults import FAILED, OK, Fault, ServerFault, Stopped, Unreachable, UsageFault
from hypha.cli.artifact.local import PART_SUFFIX, sha256_of, target_in
from hypha.cli.artifact.parallel import in_parallel
from hypha.cli.artifact.remote import Named, RemoteArtifact, RemoteFile
from hypha.cli.artifact.server import HyphaServer

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class GetWish:
    """What a person wants."""

    source: Named
    target: Path | None
    jobs: int
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A file, and where it goes."""

    file: RemoteFile
    target: Path


class Getting:
    """One run of `get`."""

    def __init__(self, server: HyphaServer, bar: Bar, wish: GetWish) -> None:
        self._server, self._bar, self._wish = server, bar, wish
        self._there = 0
        self._unchecked: list[str] = []

    def run(self) -> int:
        """Do it, and say what was done; the exit code."""
        artifact = RemoteArtifact.find(self._server, self._wish.source.artifact, self._wish.version)
        faults: list[str] = []
        jobs = self._jobs(artifact, faults)
        self._bar.begin("getting", len(jobs), sum(job.file.size for job in jobs))
        got, size = 0, 0
        for outcome in in_parallel(lambda job: self._get(artifact, job), jobs, self._wish.jobs):
            if outcome.error is not None:
                faults.append(f"{shown_name(outcome.item.file.path)}: {outcome.error}")
            elif outcome.result is not None:
                got, size = got + 1, size + outcome.result
        self._bar.say(f"{got} files got ({shown_size(size)}), {self._there} were there")
        if self._unchecked:
            self._bar.say(
                f"{len(self._unchecked)} of them came in their length, but the server has no digest to check "
                f"them by: {', '.join(map(shown_name, self._unchecked[:5]))}"
            )
        for line in faults[:20]:
            self._bar.say(f"failed: {line}")
        return FAILED if faults else OK

    def _jobs(self, artifact: RemoteArtifact, faults: list[str]) -> list[Job]:
        place, target = artifact.at(self._wish.source.path), self._wish.target
        if place.is_file:
            (file,) = place.files
            return [Job(file, self._place_of(place.below(file)))]
        # what the person calls it, since the server may call it anything
        root = target or target_in(Path(), self._wish.source.artifact.rpartition("/")[2])
        if root.exists() and not root.is_dir():
            raise UsageFault(f"{root} is a file: name a folder.")
        jobs = []
        for file in place.files:
            try:
                jobs.append(Job(file, target_in(root, place.below(file))))
            except Fault as error:
                faults.append(str(error))
        return jobs

    def _place_of(self, name: str) -> Path:
        target = self._wish.target
        if target is not None and not target.is_dir():
            return target
        return target_in(target or Path(), name)

    def _get(self, artifact: RemoteArtifact, job: Job) -> int | None:
        """Bytes that came; None if the file was there."""
        file, target = job.file, job.target
        if self._is_there(file, target):
            self._there += 1
            self._bar.add(file.size, 1)
            return None
        if target.is_dir():
            raise Fault(f"{target} is a folder here.")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + PART_SUFFIX)
        if file.sha256 is None:
            part.unlink(missing_ok=True)  # nothing tells whether it is of this file
            came = self._fetched(artifact, file, part)
            part.replace(target)
            self._bar.add(files=1)
            self._unchecked.append(file.path)
            return came
        came = 0
        for is_last in (False, True):
            came += self._fetched(artifact, file, part)
            if self._has_digest(file, part):
                part.replace(target)
                self._bar.add(files=1)
                return came
            self._bar.add(-file.size)
            part.unlink()  # what was left of an earlier run was of something else
            if is_last:
                break
        raise Fault("what came is not what was committed: ask for verify on the server.")

    def _is_there(self, file: RemoteFile, target: Path) -> bool:
        try:
            if target.is_symlink() or not target.is_file() or target.stat().st_size != file.size:
                return False
            return self._has_digest(file, target)
        except OSError:
            return False

    def _has_digest(self, file: RemoteFile, place: Path) -> bool:
        return sha256_of(place, lambda size: None, self._server.stopped.is_set) == file.sha256

    def _fetched(self, artifact: RemoteArtifact, file: RemoteFile, part: Path) -> int:
        """Bring what is missing of a file; how many bytes came."""
        came = 0
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        with open(os.open(part, flags, 0o666), "r+b") as stream:
            at = stream.seek(0, os.SEEK_END)
            if at > file.size:
                at = stream.truncate(0)
                stream.seek(0)
            self._bar.add(at)
            attempts = 0
            while at < file.size:
                with contextlib.suppress(ConnectionError):
                    for piece in self._pieces(artifact, file, at):
                        stream.write(piece)
                        at, came = at + len(piece), came + len(piece)
                        self._bar.add(len(piece))
                attempts += 1
                if at < file.size and attempts >= ATTEMPTS:
                    raise Unreachable(f"{self._server.url} breaks off again and again.")
        return came

    def _pieces(self, artifact: RemoteArtifact, file: RemoteFile, start: int) -> Iterator[bytes]:
        """What comes of a file from a place on; the server may go away in between.

        Raises:
            ConnectionError: it broke off.
        """
        url = artifact.address_of(file.path, version=artifact.version)
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        answer = self._server.request("GET", url, headers)
        if start and answer.status != 206:
            answer.end()
            raise ServerFault("The server does not send a part of the file.", answer.status)
        try:
            for piece in answer.chunks():
                if self._server.stopped.is_set():
                    raise Stopped
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(str(error)) from None
