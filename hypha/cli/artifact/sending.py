"""One file on its way to an artifact: in one request, or in parts that go on where they stopped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hypha.cli.artifact.bar import Bar
from hypha.cli.artifact.faults import Fault, ServerFault
from hypha.cli.artifact.local import LocalFile, blocks_of
from hypha.cli.artifact.parallel import in_parallel
from hypha.cli.artifact.remote import LINK_LIFE_S, RemoteArtifact
from hypha.cli.artifact.server import Upload

LARGE_BYTES = 64 * 1024 * 1024
"""What is larger goes in parts."""
PART_BYTES = 16 * 1024 * 1024
MOST_PARTS = 9000


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file, where it goes, and what is there already of it."""

    number: int
    start: int
    size: int
    url: str
    etag: str = ""


class Sending:
    """Sends files; each is checked by the server against its digest."""

    def __init__(self, artifact: RemoteArtifact, bar: Bar, jobs: int) -> None:
        self._artifact = artifact
        self._server = artifact.server
        self._bar = bar
        self._jobs = jobs

    def send(self, file: LocalFile, sha256: str) -> None:
        """Send a file in one request.

        Raises:
            ServerFault: it was refused. Fault, OSError: it cannot be read. Unreachable, Stopped.
        """
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        headers = {"Content-Type": "application/octet-stream", "Content-Digest": f"sha-256=:{digest}:"}
        url = self._artifact.address_of(file.path)
        self._server.request("PUT", url, headers, self._upload(file, 0, file.size)).end()
        self._bar.add(files=1)

    def send_in_parts(self, file: LocalFile, sha256: str) -> int:
        """Send a large file, several parts at a time; how many bytes were there already.

        Raises:
            ServerFault: it was refused. Fault, OSError: it cannot be read. Unreachable, Stopped.
        """
        size = max(PART_BYTES, -(-file.size // MOST_PARTS))
        count = -(-file.size // size)
        begun = self._begun(file, count, sha256)
        parts = [
            Part(
                each["part_number"], start, min(size, file.size - start), each["url"], _etag(each, size, file)
            )
            for each, start in zip(begun["parts"], range(0, file.size, size), strict=True)
        ]
        sent: dict[int, str] = {}
        there = 0
        for outcome in in_parallel(lambda part: self._send_part(file, part), parts, self._jobs):
            if outcome.error is not None:
                raise outcome.error
            assert outcome.result is not None
            sent[outcome.item.number], was_there = outcome.result
            there += outcome.item.size if was_there else 0
        self._server.call(
            "put_file_complete_multipart", is_long=True, artifact_id=self._artifact.id,
            upload_id=begun["upload_id"],
            parts=[{"part_number": number, "etag": etag} for number, etag in sorted(sent.items())],
        )  # fmt: skip
        self._bar.add(files=1)
        return there

    def _begun(self, file: LocalFile, count: int, sha256: str) -> Mapping[str, Any]:
        """The upload of these bytes that stopped; else a new one, in place of those of others."""
        how: dict[str, Any] = {
            "artifact_id": self._artifact.id, "file_path": file.path, "part_count": count,
            "expires_in": LINK_LIFE_S, "sha256": sha256,
        }  # fmt: skip
        try:
            return dict(self._server.call("put_file_resume_multipart", **how))
        except ServerFault as error:
            if error.status not in (400, 404):
                raise
        self._artifact.give_up(file.path)
        return dict(self._server.call("put_file_start_multipart", **how))

    def _send_part(self, file: LocalFile, part: Part) -> tuple[str, bool]:
        """The ETag of a part, and whether it was there."""
        if part.etag and part.etag in self._etags(file, part):
            return part.etag, True
        answer = self._server.request("PUT", part.url, {}, self._upload(file, part.start, part.size))
        answer.end()
        etag = answer.headers.get("etag", "").strip('"')
        if not etag:
            raise Fault("The storage gave no ETag for a part.")
        return etag, False

    def _etags(self, file: LocalFile, part: Part) -> tuple[str, str]:
        """What the ETag of a part is on our own storage, and on S3."""
        ours, theirs = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for block in self._upload(file, part.start, part.size).make():
            ours.update(block)
            theirs.update(block)
        return ours.hexdigest()[:32], theirs.hexdigest()

    def _upload(self, file: LocalFile, start: int, size: int) -> Upload:
        counted = 0

        def tick(count: int) -> None:
            nonlocal counted
            counted += count
            self._bar.add(count)

        def make() -> Iterator[bytes]:
            nonlocal counted
            self._bar.add(-counted)  # of an attempt before
            counted = 0
            return blocks_of(file.place, start, size, tick, self._server.stopped.is_set)

        return Upload(size, make)


def _etag(part: Mapping[str, Any], size: int, file: LocalFile) -> str:
    """That of a part which is there, if it is as large as ours."""
    start = (part["part_number"] - 1) * size
    return part.get("etag", "") if part.get("size") == min(size, file.size - start) else ""
