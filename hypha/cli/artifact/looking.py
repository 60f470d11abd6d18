"""`ls` and `rm`: what an artifact holds, and taking it out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from hypha.cli.artifact.bar import Bar, shown_name
from hypha.cli.artifact.faults import OK, UsageFault
from hypha.cli.artifact.remote import Named, RemoteArtifact, RemoteFile
from hypha.cli.artifact.server import HyphaServer

LISTED = 10_000
PAGE_OF_ARTIFACTS = 100


def list_artifacts(server: HyphaServer, workspace: str | None) -> int:
    """Print the artifacts of a workspace; of the token's own if none is given."""
    offset = 0
    while True:
        found = _artifacts(server, workspace, offset)
        for item in found:
            print(shown_name(f"{item['id']}  {item['type']}  {item['file_count']} files"))
        offset += len(found)
        if len(found) < PAGE_OF_ARTIFACTS:
            return OK


def _artifacts(server: HyphaServer, workspace: str | None, offset: int) -> list[dict[str, Any]]:
    if workspace is None:
        return list(server.call("search", offset=offset, limit=PAGE_OF_ARTIFACTS, stage="all"))
    path = f"/{quote(workspace, safe='')}/artifacts/-/search"
    url = server.address(path, offset=offset, limit=PAGE_OF_ARTIFACTS, stage="all")
    return list(server.value_of(server.request("GET", url)))


def list_files(server: HyphaServer, named: Named, version: str | None, *, long: bool, deep: bool) -> int:
    """Print the files of an artifact, or of a folder in it."""
    artifact = RemoteArtifact.find(server, named.artifact, version)
    if not deep and not long:
        for name in _level(artifact, named.path.rstrip("/")):
            print(shown_name(name))
        return OK
    place = artifact.at(named.path)
    for file in place.files:
        if deep or "/" not in place.below(file):
            print(_long(file) if long else shown_name(file.path))
    return OK


def _level(artifact: RemoteArtifact, folder: str) -> Iterator[str]:
    offset = 0
    while True:
        entries = artifact.server.call(
            "list_files", artifact_id=artifact.id, dir_path=folder or None, limit=LISTED,
            version=artifact.version, offset=offset,
        )  # fmt: skip
        try:
            yield from [entry["name"] + ("/" if entry["type"] == "directory" else "") for entry in entries]
        except (KeyError, TypeError):
            raise artifact.server.nonsense() from None
        offset += len(entries)
        if len(entries) < LISTED:
            break
    if folder and not offset:
        for file in artifact.at(folder).files:
            yield file.path


def _long(file: RemoteFile) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.modified))
    return f"{file.size:>15,}  {when}  {(file.sha256 or '-')[:16]}  {shown_name(file.path)}"


def remove_files(server: HyphaServer, bar: Bar, named: Sequence[Named], *, deep: bool, stage: bool) -> int:
    """Take files out of an artifact, with one commit."""
    if len({each.artifact for each in named}) != 1 or not all(each.path for each in named):
        raise UsageFault("rm takes files of one artifact, as alias:path; --artifact deletes all of it.")
    artifact = RemoteArtifact.find(server, named[0].artifact)
    coming = artifact.coming()
    gone: list[str] = []
    for path in (each.path for each in named):
        place = coming.at(path)
        if place is None:
            raise artifact.nothing_at(path)
        if not place.is_file and not deep:
            count = len(place.files)
            raise UsageFault(f"{shown_name(path)} is a folder of {count} files: add -r to remove them.")
        gone += [file.path for file in place.files]
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
