"""`ls`, `rm` and `verify`: what an artifact holds, taken out of it, and whether it is whole."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hypha.cli.artifact.bar import Bar, shown_name
from hypha.cli.artifact.faults import DAMAGED, OK, Fault, UsageFault
from hypha.cli.artifact.local import LocalFile, find_files, sha256_of
from hypha.cli.artifact.remote import Named, RemoteArtifact, RemoteFile, batches
from hypha.cli.artifact.server import HyphaServer

LISTED = 10_000
PAGE_OF_ARTIFACTS = 100


def list_artifacts(server: HyphaServer, workspace: str | None) -> int:
    """Print the artifacts of a workspace; of the token's own if none is given."""
    offset = 0
    while True:
        found = _artifacts(server, workspace, offset)
        for item in found:
            print(f"{item['id']}  {item['type']}  {item['file_count']} files")
        offset += len(found)
        if len(found) < PAGE_OF_ARTIFACTS:
            return OK


def _artifacts(server: HyphaServer, workspace: str | None, offset: int) -> list[dict[str, Any]]:
    if workspace is None:
        return list(server.call("search", offset=offset, limit=PAGE_OF_ARTIFACTS, stage="all"))
    path = f"/{quote(workspace, safe='')}/artifacts/-/search"
    url = server.address(path, offset=offset, limit=PAGE_OF_ARTIFACTS, stage="all")
    return list(json.loads(server.request("GET", url).response.read()))


def list_files(server: HyphaServer, named: Named, version: str | None, *, long: bool, deep: bool) -> int:
    """Print the files of an artifact, or of a folder in it."""
    artifact = RemoteArtifact.find(server, named.artifact, version)
    folder = f"{named.path.rstrip('/')}/" if named.path else ""
    if not deep and not long:
        for name in _level(artifact, named.path.rstrip("/")):
            print(shown_name(name))
        return OK
    count = 0
    for file in artifact.files():
        rest = file.path.removeprefix(folder)
        if (file.path.startswith(folder) and (deep or "/" not in rest)) or file.path == named.path:
            count += 1
            print(_long(file) if long else shown_name(file.path))
    if named.path and not count:
        raise Fault(f"{artifact.id} has nothing at {shown_name(named.path)}.")
    return OK


def _level(artifact: RemoteArtifact, folder: str) -> Iterator[str]:
    offset = 0
    while True:
        entries = artifact.server.call(
            "list_files", artifact_id=artifact.id, dir_path=folder or None, limit=LISTED,
            version=artifact.version, offset=offset,
        )  # fmt: skip
        for entry in entries:
            yield entry["name"] + ("/" if entry["type"] == "directory" else "")
        offset += len(entries)
        if len(entries) < LISTED:
            break
    if folder and not offset:
        if any(file.path == folder for file in artifact.files()):
            yield folder
        else:
            raise Fault(f"{artifact.id} has nothing at {shown_name(folder)}.")


def _long(file: RemoteFile) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.modified))
    return f"{file.size:>15,}  {when}  {(file.sha256 or '-')[:16]}  {shown_name(file.path)}"


def remove_files(server: HyphaServer, bar: Bar, named: Sequence[Named], *, deep: bool, stage: bool) -> int:
    """Take files out of an artifact, with one commit."""
    if len({each.artifact for each in named}) != 1 or not all(each.path for each in named):
        raise UsageFault("rm takes files of one artifact, as alias:path; --artifact deletes all of it.")
    artifact = RemoteArtifact.find(server, named[0].artifact)
    coming = artifact.coming()
    known = coming.files.keys() | coming.pending
    gone: list[str] = []
    for path in (each.path for each in named):
        below = [other for other in known if other.startswith(f"{path.rstrip('/')}/")]
        if path in known:
            gone.append(path)
        elif below and deep:
            gone += below
        elif below:
            raise UsageFault(f"{shown_name(path)} is a folder of {len(below)} files: add -r to remove them.")
        else:
            raise Fault(f"{artifact.id} has nothing at {shown_name(path)}.")
    if coming.intent is None:
        artifact.open(as_new=False)
    for path in dict.fromkeys(gone):
        artifact.remove(path)
    if not stage:
        artifact.commit(None, None)
    bar.say(f"{artifact.id}: {len(set(gone))} files removed{', staged' if stage else ''}")
    return OK


def remove_artifact(server: HyphaServer, bar: Bar, named: Named, version: str | None, *, deep: bool) -> int:
    """Delete an artifact, or one version of it."""
    if named.path:
        raise UsageFault("--artifact and --version take an artifact without a path.")
    artifact = RemoteArtifact.find(server, named.artifact)
    server.call("delete", is_long=True, artifact_id=artifact.id, version=version, recursive=deep)
    bar.say(f"{artifact.id}: {'version ' + version if version else 'the artifact'} deleted")
    return OK


class Verifying:
    """One run of `verify`."""

    def __init__(self, server: HyphaServer, bar: Bar) -> None:
        self._server, self._bar = server, bar

    def run(self, named: Named, version: str | None, *, all_versions: bool) -> int:
        """Let the server read the files, and print those that are damaged; the exit code."""
        artifact = RemoteArtifact.find(self._server, named.artifact, version)
        versions = artifact.versions if all_versions else [version or "latest"]
        read = damaged = 0
        for each in versions:
            files = [file for file in artifact.files(each) if _is_in(file.path, named.path)]
            self._bar.begin(f"verifying {each}", len(files), sum(file.size for file in files))
            for batch in batches(files):
                told = artifact.verify(each, [file.path for file in batch])
                self._bar.add(sum(file.size for file in batch), len(batch))
                read += told["files"]
                for found in told["damaged"]:
                    damaged += 1
                    self._bar.clear()
                    print(f"{found['problem']}: {shown_name(found['path'])} (version {found['version']})")
        self._bar.say(f"{artifact.id}: {read} files read, {damaged} damaged")
        return DAMAGED if damaged else OK

    def compare(self, named: Named, version: str | None, folder: Path) -> int:
        """Print how a folder here differs from an artifact; the exit code."""
        artifact = RemoteArtifact.find(self._server, named.artifact, version)
        prefix = f"{named.path.rstrip('/')}/" if named.path else ""
        here = {file.path: file for file in find_files(folder, prefix, follow_links=False).files}
        there = {file.path: file for file in artifact.files() if _is_in(file.path, named.path)}
        self._bar.begin("comparing", len(here), sum(file.size for file in here.values()))
        differences = 0
        for path in sorted(here.keys() | there.keys()):
            word = self._difference(path, here, there)
            if word:
                differences += 1
                self._bar.clear()
                print(f"{word}: {shown_name(path)}")
        self._bar.say(f"{artifact.id}: {len(there)} files compared, {differences} differ")
        return DAMAGED if differences else OK

    def _difference(self, path: str, here: dict[str, LocalFile], there: dict[str, RemoteFile]) -> str:
        if path not in here:
            return "missing here"
        if path not in there:
            return "only here"
        digest = sha256_of(here[path].place, self._bar.add, self._server.stopped.is_set)
        self._bar.add(files=1)
        return "" if digest == there[path].sha256 else "differs"


def _is_in(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder.rstrip('/')}/")
