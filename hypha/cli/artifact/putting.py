"""`put`: makes files of an artifact what they are here, sending nothing that is there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypha.cli.artifact.bar import Bar, shown_name, shown_size
from hypha.cli.artifact.faults import FAILED, OK, Fault, ServerFault, UsageFault
from hypha.cli.artifact.local import Found, LocalFile, find_files, sha256_of
from hypha.cli.artifact.parallel import in_parallel
from hypha.cli.artifact.remote import NEW_VERSION, Coming, Named, RemoteArtifact, batches
from hypha.cli.artifact.sending import LARGE_BYTES, Sending
from hypha.cli.artifact.server import HyphaServer
from hypha.errors import InvalidKey
from hypha.objects.paths import check_folder, check_path

SHOWN_FAULTS = 20


@dataclass(frozen=True, slots=True)
class PutWish:
    """What a person wants."""

    source: Path
    target: Named
    jobs: int
    new_version: bool = False
    version: str | None = None
    comment: str | None = None
    stage: bool = False
    delete: bool = False
    follow_links: bool = False
    skip_refused: bool = False
    manifest: Path | None = None
    type: str = "generic"
    parent: str | None = None


@dataclass(slots=True)
class Done:
    """What became of the files."""

    sent: int = 0
    sent_bytes: int = 0
    there: int = 0
    reused: int = 0
    removed: int = 0
    faults: list[str] = field(default_factory=list)


class Putting:
    """One run of `put`."""

    def __init__(self, server: HyphaServer, bar: Bar, wish: PutWish) -> None:
        self._server, self._bar, self._wish = server, bar, wish
        self._done = Done()

    def run(self) -> int:
        """Do it, and say what was done; the exit code."""
        wish = self._wish
        if wish.delete and wish.source.is_file():
            raise UsageFault(f"{wish.source} is one file: --delete is for a folder that is here as a whole.")
        found = find_files(wish.source, self._folder(), follow_links=wish.follow_links)
        self._check_names(found)
        for line in found.left_out:
            self._bar.say(f"left out: {shown_name(line)}")
        digests = self._hashed(found.files)
        artifact = RemoteArtifact.find_or_none(self._server, wish.target.artifact)
        is_new = artifact is None
        artifact = artifact or self._created()
        coming = artifact.coming(as_new=wish.new_version)
        todo = _missing(coming, found.files, digests)
        self._done.there = len(digests) - len(todo)
        gone = self._gone(coming, found) if wish.delete else []
        if not todo and not gone and not (wish.new_version or is_new or coming.intent):
            self._bar.say(f"{artifact.id}: nothing to do, all {len(digests)} files are there")
            return self._told(found)
        if coming.intent is None or (wish.new_version and coming.intent != NEW_VERSION):
            artifact.open(as_new=wish.new_version)
        todo = self._reused(artifact, todo, digests) if artifact.versions else todo
        self._sent(artifact, todo, digests)
        for path in gone:
            artifact.remove(path)
        self._done.removed = len(gone)
        self._finished(artifact)
        return self._told(found)

    def _folder(self) -> str:
        path, source = self._wish.target.path, self._wish.source
        return f"{path}/" if path and source.is_dir() and not path.endswith("/") else path

    def _check_names(self, found: Found) -> None:
        """Before anything is read or sent: each path is one that the server takes.

        Raises:
            UsageFault: the folder in the artifact is none. Fault: names of files here are none.
        """
        try:
            check_folder(self._wish.target.path)
        except InvalidKey as error:
            raise UsageFault(error.message) from None
        refused = {file.path: f"{file.place}: {why}" for file in found.files if (why := _refusal(file.path))}
        if not refused:
            return
        if not self._wish.skip_refused:
            for why in list(refused.values())[:SHOWN_FAULTS]:
                self._bar.say(f"refused: {why}")
            raise Fault(
                f"nothing was sent: the server does not take the names of {len(refused)} of "
                f"{len(found.files)} files. Rename them, or leave them out with --skip-refused-names."
            )
        for file in found.files:
            if file.path in refused:
                found.leave_out(file.path, refused[file.path])
        found.files = [file for file in found.files if file.path not in refused]

    def _created(self) -> RemoteArtifact:
        wish, name = self._wish, self._wish.target.artifact
        manifest: Any = {"name": name.rpartition("/")[2]}
        if wish.manifest is not None:
            manifest = _read_manifest(wish.manifest)
        which: dict[str, Any] = {"artifact_id": name} if "/" in name else {"alias": name}
        info = self._server.call(
            "create", **which, manifest=manifest, type=wish.type, parent_id=wish.parent, stage=True
        )
        self._bar.say(f"made the artifact {info['id']}")
        return RemoteArtifact(self._server, info)

    # -- what is to be sent

    def _hashed(self, files: Sequence[LocalFile]) -> dict[str, str]:
        self._bar.begin("reading", len(files), sum(file.size for file in files))

        def work(file: LocalFile) -> str:
            digest = sha256_of(file.place, self._bar.add, self._server.stopped.is_set)
            self._bar.add(files=1)
            return digest

        digests: dict[str, str] = {}
        for outcome in in_parallel(work, files, self._wish.jobs):
            if outcome.result is None:
                self._fault(outcome.item.path, outcome.error)
            else:
                digests[outcome.item.path] = outcome.result
        return digests

    def _gone(self, coming: Coming, found: Found) -> list[str]:
        """What is in the artifact, where this folder goes, and not here; what was left out is here."""
        here, folder = {file.path for file in found.files}, self._folder()
        paths = [*coming.files, *coming.pending]
        return [
            path for path in paths if path.startswith(folder) and path not in here and not found.kept(path)
        ]

    def _reused(
        self, artifact: RemoteArtifact, todo: Sequence[LocalFile], digests: Mapping[str, str]
    ) -> list[LocalFile]:
        """Let the server take what it has in some version; what it hasn't."""
        taken: set[str] = set()
        self._bar.begin("looking", len(todo), sum(file.size for file in todo))
        for batch in batches(todo):
            try:
                taken.update(artifact.reuse({file.path: digests[file.path] for file in batch}))
            except ServerFault as error:
                if error.status in (401, 429):
                    raise
                break  # it may not be read by who writes, or a name is none: sending tells which
            self._bar.add(sum(file.size for file in batch), len(batch))
        self._done.reused = len(taken)
        return [file for file in todo if file.path not in taken]

    # -- sending

    def _sent(self, artifact: RemoteArtifact, todo: Sequence[LocalFile], digests: Mapping[str, str]) -> None:
        sending = Sending(artifact, self._bar, self._wish.jobs)
        self._bar.begin("sending", len(todo), sum(file.size for file in todo))
        small = [file for file in todo if file.size <= LARGE_BYTES]
        for outcome in in_parallel(
            lambda file: sending.send(file, digests[file.path]), small, self._wish.jobs
        ):
            self._count(outcome.item, outcome.error, outcome.item.size)
        for file in (file for file in todo if file.size > LARGE_BYTES):
            try:
                there = sending.send_in_parts(file, digests[file.path])
            except (ServerFault, OSError) as error:
                self._count(file, error, 0)
            else:
                self._count(file, None, file.size - there)

    def _count(self, file: LocalFile, error: Exception | None, size: int) -> None:
        if error is None:
            self._done.sent += 1
            self._done.sent_bytes += size
        else:
            self._fault(file.path, error)

    def _fault(self, path: str, error: Exception | None) -> None:
        self._done.faults.append(f"{shown_name(path)}: {error}")

    # -- the end

    def _finished(self, artifact: RemoteArtifact) -> None:
        wish = self._wish
        if self._done.faults:
            self._bar.say(
                f"{artifact.id}: not committed, since the files below are missing. What came is kept: mend "
                "what failed, and run the same command again"
            )
        elif wish.stage:
            self._bar.say(f"{artifact.id}: staged, to be committed later")
        else:
            info = artifact.commit(wish.version, wish.comment)
            version = info["versions"][-1]["version"]
            self._bar.say(f"{info['id']}: committed as {version}, with {info['file_count']} files")

    def _told(self, found: Found) -> int:
        done = self._done
        self._bar.say(
            f"{done.sent} files sent ({shown_size(done.sent_bytes)}), {done.there} were there, "
            f"{done.reused} taken from other versions, {done.removed} removed, {len(found.left_out)} left out"
        )
        for line in done.faults[:SHOWN_FAULTS]:
            self._bar.say(f"failed: {line}")
        if len(done.faults) > SHOWN_FAULTS:
            self._bar.say(f"failed: {len(done.faults) - SHOWN_FAULTS} more")
        return FAILED if done.faults else OK


def _refusal(path: str) -> str:
    """Why the server takes no file of this path; empty if it does."""
    try:
        check_path(path)
    except InvalidKey as error:
        return error.message
    return ""


def _missing(coming: Coming, files: Sequence[LocalFile], digests: Mapping[str, str]) -> list[LocalFile]:
    """Which files are not in the artifact as they are here."""
    todo = []
    for file in files:
        other = coming.files.get(file.path)
        if file.path in digests and (other is None or other.sha256 != digests[file.path]):
            todo.append(file)
    return todo


def _read_manifest(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UsageFault(f"The manifest {file} cannot be read as JSON: {error}") from None
