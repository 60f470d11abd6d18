"""One artifact as the command works with it: what it holds, opened for changes, committed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from hypha.cli.artifact.bar import shown_name
from hypha.cli.artifact.faults import Fault, ServerFault, UsageFault
from hypha.cli.artifact.server import HyphaServer

PAGE = 1000
NEW_VERSION = "new_version"
BATCH_FILES, BATCH_BYTES = 500, 256 * 1000 * 1000
LINK_LIFE_S = 2 * 86_400
"""How long an upload in parts is open: so long it can go on after a break."""


@dataclass(frozen=True, slots=True)
class Named:
    """An artifact as a person writes it, and a path in it: `workspace/alias:folder/file`."""

    artifact: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Named:
        """Read it.

        Raises:
            UsageFault: it names no artifact.
        """
        artifact, _, path = text.partition(":")
        if not artifact or artifact.startswith((".", "/")) or artifact.count("/") > 1:
            raise UsageFault(
                f"{text!r} names no artifact: write alias, workspace/alias or alias:path/of/file."
            )
        return cls(artifact, path.removeprefix("/"))


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of an artifact; the digest of what was sent in parts may not be known before the commit."""

    path: str
    size: int
    sha256: str | None
    modified: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """What lies at a path: one file, or all that is in a folder and below; without a path all there is."""

    path: str
    files: Sequence[RemoteFile]
    is_file: bool = False

    def below(self, file: RemoteFile) -> str:
        """The path of a file from here; the name of a single one."""
        return file.path[file.path.rfind("/") + 1 if self.is_file else len(self.folder) :]

    @property
    def folder(self) -> str:
        """The beginning of all paths in it: with `/` at its end, or empty."""
        return f"{self.path.rstrip('/')}/" if self.path else ""


@dataclass(frozen=True, slots=True)
class Coming:
    """What the next commit makes of an artifact.

    Attributes:
        intent: `new_version` or `edit_version`; None if nothing is staged.
        files: what it would hold, by path. pending: paths that were announced, and nothing came of them.
    """

    intent: str | None
    files: Mapping[str, RemoteFile]
    pending: frozenset[str] = frozenset()

    def at(self, path: str) -> Place | None:
        """What would lie at a path; None for nothing. What has not come yet has no size."""
        return _at([*self.files.values(), *(RemoteFile(path, 0, None) for path in self.pending)], path)


class HasSize(Protocol):
    """A file, here or there."""

    @property
    def size(self) -> int:
        """In bytes."""


Sized = TypeVar("Sized", bound=HasSize)


def batches(files: Iterable[Sized]) -> Iterator[list[Sized]]:
    """Files in lists that the server reads within one request, before somebody on the way gives up."""
    batch: list[Sized] = []
    size = 0
    for file in files:
        if batch and (len(batch) >= BATCH_FILES or size + file.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch


class RemoteArtifact:
    """An artifact that is there. `id` is `workspace/alias`, `version` the one that is looked at."""

    def __init__(self, server: HyphaServer, info: dict[str, Any], version: str | None = None) -> None:
        self.server = server
        self.version = version
        try:
            self.id: str = info["id"]
            self._workspace, self._alias = self.id.split("/")
            self.versions: list[str] = [str(each["version"]) for each in info["versions"]]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise server.nonsense() from None

    @classmethod
    def find(cls, server: HyphaServer, artifact: str, version: str | None = None) -> RemoteArtifact:
        """Look one up.

        Raises:
            ServerFault: it isn't there (404), or not for this person (403).
        """
        return cls(server, server.call("read", artifact_id=artifact, silent=True, version=version), version)

    @classmethod
    def find_or_none(cls, server: HyphaServer, artifact: str) -> RemoteArtifact | None:
        """The same; None if it isn't there."""
        try:
            return cls.find(server, artifact)
        except ServerFault as error:
            if error.status == 404:
                return None
            raise

    def files(self, version: str | None = None, *, staged: bool = False) -> Iterator[RemoteFile]:
        """All files of a version (default: the one looked at), or those uploaded since the last commit."""
        after: str | None = ""
        while after is not None:
            page = self.server.call(
                "list_contents", artifact_id=self.id, version=None if staged else version or self.version,
                stage=staged, after=after, limit=PAGE,
            )  # fmt: skip
            try:
                found = [_file(each) for each in page["files"]]
                after = page["after"]
            except (KeyError, TypeError, ValueError):
                raise self.server.nonsense() from None
            yield from found

    def at(self, path: str, version: str | None = None) -> Place:
        """What lies at a path in a version (default: the one looked at).

        Raises:
            Fault: nothing does.
        """
        found = self.find_at(path, version)
        if found is None:
            raise self.nothing_at(path)
        return found

    def find_at(self, path: str, version: str | None = None) -> Place | None:
        """The same; None for nothing."""
        return _at(self.files(version), path)

    def nothing_at(self, path: str) -> Fault:
        """What is said of a path at which nothing lies."""
        return Fault(f"{self.id} has nothing at {shown_name(path)}.")

    def coming(self, *, as_new: bool = False) -> Coming:
        """What the next commit would make of it; `as_new` if a new version is to come, which begins empty."""
        staging = self.server.call("read", artifact_id=self.id, silent=True, stage=True)["staging"] or []
        intent = staging[-1]["_intent"] if staging else None
        removed = {each["path"] for each in staging if each.get("_remove")}
        announced = {each["path"] for each in staging if "path" in each} - removed
        files: dict[str, RemoteFile] = {}
        if self.versions and not as_new and intent != NEW_VERSION:
            files = {file.path: file for file in self.files() if file.path not in removed}
        came = {file.path: file for file in self.files(staged=True)} if announced else {}
        files |= {path: came[path] for path in announced if path in came}
        return Coming(intent, files, frozenset(announced - came.keys()))

    def open(self, *, as_new: bool) -> None:
        """Let files be uploaded; `as_new` for a new version, which begins empty."""
        self.server.call("edit", artifact_id=self.id, stage=True, version="new" if as_new else None)

    def commit(self, version: str | None, comment: str | None) -> dict[str, Any]:
        """Let readers see what was uploaded; the artifact as it is then."""
        done = self.server.call("commit", is_long=True, artifact_id=self.id, version=version, comment=comment)
        return dict(done)

    def reuse(self, files: dict[str, str]) -> list[str]:
        """Let the server take files from what it has; which those were."""
        told = self.server.call("reuse_files", is_long=True, artifact_id=self.id, files=files)
        return list(told["reused"])

    def remove(self, path: str) -> None:
        """Take out a file with the next commit."""
        self.server.call("remove_file", artifact_id=self.id, file_path=path)

    def give_up(self, path: str) -> None:
        """End uploads to a file that have not come to their end, if there are some and it is allowed."""
        try:
            self.server.call("remove_file", artifact_id=self.id, file_path=path, pending_only=True)
        except ServerFault as error:
            if error.status not in (400, 403, 404):
                raise

    def verify(self, version: str | None, paths: Sequence[str]) -> dict[str, Any]:
        """Let the server read files and say which are damaged."""
        told = self.server.call(
            "verify", is_long=True, artifact_id=self.id, version=version, file_path=list(paths)
        )
        return dict(told)

    def address_of(self, path: str, **query: object) -> str:
        """Where a file is read and written."""
        base = f"/{quote(self._workspace, safe='')}/artifacts/{quote(self._alias, safe='')}"
        files = f"{base}/files/{quote(path)}"
        return self.server.address(files, **query)


def _at(files: Iterable[RemoteFile], path: str) -> Place | None:
    inside: list[RemoteFile] = []
    place = Place(path, inside)
    for file in files:
        if path and file.path == path:
            return Place(path, [file], is_file=True)
        if file.path.startswith(place.folder):
            inside.append(file)
    return place if inside or not path else None


def _file(told: Mapping[str, Any]) -> RemoteFile:
    path, size, sha256 = told["path"], told["size"], told["sha256"]
    if not isinstance(path, str) or not isinstance(size, int) or not isinstance(sha256, str | None):
        raise TypeError("no file")
    return RemoteFile(path, size, sha256, float(told["last_modified"] or 0.0))
