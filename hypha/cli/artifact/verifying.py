"""`verify`: whether an artifact is whole, and as it is here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hypha.cli.artifact.bar import Bar, shown_name
from hypha.cli.artifact.faults import DAMAGED, FAILED, OK, UsageFault
from hypha.cli.artifact.local import Found, LocalFile, find_files, sha256_of
from hypha.cli.artifact.remote import Named, Place, RemoteArtifact, RemoteFile, batches
from hypha.cli.artifact.server import HyphaServer

NO_DIGEST, LEFT_OUT = "no digest", "left out"
"""Said of a file that may be whole or not: nobody knows what it should be, or it is not read here."""
UNKNOWN = (NO_DIGEST, LEFT_OUT)


@dataclass(slots=True)
class Verdict:
    """How many files were looked at, and what was found."""

    files: int = 0
    bad: int = 0
    unknown: int = 0

    def told(self, what: str, bad: str) -> str:
        """The last line."""
        unknown = f", {self.unknown} could not be checked" if self.unknown else ""
        return f"{self.files} files {what}, {self.bad} {bad}{unknown}"

    @property
    def exit_code(self) -> int:
        """What was not checked is no success either."""
        return DAMAGED if self.bad else FAILED if self.unknown else OK


class Verifying:
    """One run of `verify`."""

    def __init__(self, server: HyphaServer, bar: Bar) -> None:
        self._server, self._bar = server, bar
        self._verdict = Verdict()

    def run(self, named: Named, version: str | None, *, all_versions: bool) -> int:
        """Let the server read the files, and print those that are damaged; the exit code."""
        artifact = RemoteArtifact.find(self._server, named.artifact, version)
        versions = artifact.versions if all_versions else [version or "latest"]
        places = {each: artifact.find_at(named.path, each) for each in versions}
        if named.path and not any(places.values()):
            raise artifact.nothing_at(named.path)
        for each, place in places.items():
            if place is not None:
                self._read(artifact, each, place)
        self._bar.say(f"{artifact.id}: {self._verdict.told('read', 'damaged')}")
        return self._verdict.exit_code

    def _read(self, artifact: RemoteArtifact, version: str, place: Place) -> None:
        verdict = self._verdict
        self._bar.begin(f"verifying {version}", len(place.files), sum(file.size for file in place.files))
        for batch in batches(place.files):
            told = artifact.verify(version, [file.path for file in batch])
            self._bar.add(sum(file.size for file in batch), len(batch))
            verdict.files += told["files"]
            verdict.bad += len(told["damaged"])
            for found in told["damaged"]:
                self._say(found["problem"], found["path"], found["version"])
            bad = {found["path"] for found in told["damaged"]}
            for file in batch:
                if file.sha256 is None and file.path not in bad:
                    verdict.unknown += 1
                    self._say(NO_DIGEST, file.path, version)

    def compare(self, named: Named, version: str | None, source: Path) -> int:
        """Print how a folder or file here differs from what lies at a path; the exit code."""
        artifact = RemoteArtifact.find(self._server, named.artifact, version)
        place = artifact.at(named.path)
        found, there = _found(place, source), {file.path: file for file in place.files}
        for line in found.left_out:
            self._bar.say(f"left out: {shown_name(line)}")
        here = {file.path: file for file in found.files}
        self._bar.begin("comparing", len(here), sum(file.size for file in here.values()))
        verdict = self._verdict
        verdict.files = len(there)
        for path in sorted(here.keys() | there.keys()):
            word = self._difference(here.get(path), there.get(path))
            if path not in here and found.kept(path):
                word = LEFT_OUT
            verdict.unknown += word in UNKNOWN
            verdict.bad += word not in ("", *UNKNOWN)
            if word:
                self._say(word, path)
        self._bar.say(f"{artifact.id}: {verdict.told('compared', 'differ')}")
        return verdict.exit_code

    def _difference(self, here: LocalFile | None, there: RemoteFile | None) -> str:
        if here is None:
            return "missing here"
        if there is None:
            return "only here"
        if here.size != there.size:
            self._bar.add(here.size, 1)
            return "differs"
        if there.sha256 is None:
            return NO_DIGEST
        digest = sha256_of(here.place, self._bar.add, self._server.stopped.is_set)
        self._bar.add(files=1)
        return "" if digest == there.sha256 else "differs"

    def _say(self, word: str, path: str, version: str = "") -> None:
        self._bar.clear()
        of = f" (version {shown_name(version)})" if version else ""
        print(f"{shown_name(word)}: {shown_name(path)}{of}")


def _found(place: Place, source: Path) -> Found:
    """Files here, by their paths in the artifact."""
    if not place.is_file:
        if source.is_file():
            raise UsageFault(f"{source} is one file: name one of the artifact, as alias:path.")
        return find_files(source, place.folder, follow_links=False)
    (file,) = place.files
    single = source / place.below(file) if source.is_dir() else source
    if source.is_dir() and not single.is_file():
        return Found()
    return find_files(single, file.path, follow_links=False)
