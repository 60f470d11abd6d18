"""Archives are as long as was said, and readers of archives find in them what was put in."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.features.artifacts import http_zip
from hypha.features.artifacts.file_records import File
from hypha.features.artifacts.zip_writing import Checksums
from hypha.features.artifacts.zips import (
    Member,
    central_header,
    descriptor,
    end_of,
    length_of,
    local_header,
    offsets,
)  # fmt: skip
from hypha.web.scope import HOLDING


class Sparse(io.RawIOBase):
    """A file of which only what is not zero is in memory."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, bytes]] = []
        self.size = self.at = 0

    def add(self, data: bytes, zeros: int = 0) -> None:
        if data:
            self.parts.append((self.size, data))
        self.size += len(data) + zeros

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, size: int = -1) -> bytes:
        stop = self.size if size < 0 else min(self.size, self.at + size)
        out = bytearray(stop - self.at)
        for begin, data in self.parts:
            low, high = max(begin, self.at), min(begin + len(data), stop)
            if low < high:
                out[low - self.at : high - self.at] = data[low - begin : high - begin]
        self.at = stop
        return bytes(out)


def written(members: Sequence[Member], contents: dict[str, bytes]) -> Sparse:
    """An archive; members without content are full of zeros, whose checksum is taken for 0."""
    file = Sparse()
    crcs = {member.name: zlib.crc32(contents.get(member.name, b"")) for member in members}
    for member in members:
        file.add(local_header(member))
        file.add(contents.get(member.name, b""), 0 if member.name in contents else member.size)
        file.add(descriptor(member, crcs[member.name]))
    begins = list(offsets(members))
    assert file.size == begins[-1]
    directory = b"".join(
        central_header(m, crcs[m.name], at) for m, at in zip(members, begins[:-1], strict=True)
    )
    file.add(directory + end_of(len(members), begins[-1], len(directory)))
    return file


def test_small_archives() -> None:
    contents = {"a.txt": b"hello", "b/ä.bin": b"\x00" * 1000, "empty": b""}
    members = [Member(name, len(data), 1_700_000_000) for name, data in contents.items()]
    file = written(members, contents)
    assert file.size == length_of(members)
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == contents
        assert archive.infolist()[0].external_attr >> 16 == 0o100600
    assert length_of([]) == 22


@pytest.mark.spec("artifacts-C9.1")
def test_archives_beyond_4_gib_and_65535_members() -> None:
    large = [Member("large", 5 * 2**30, 0), Member("behind", 3, 5e9)]
    file = written(large, {"behind": b"far"})
    assert file.size == length_of(large)
    with zipfile.ZipFile(file) as archive:
        assert archive.getinfo("large").file_size == 5 * 2**30
        assert archive.read("behind") == b"far"
    many = [Member(f"{n}", 0, 0) for n in range(70_000)]
    data = b"".join(
        [*(local_header(m) + descriptor(m, 0) for m in many)]
        + [central_header(m, 0, at) for m, at in zip(many, list(offsets(many))[:-1], strict=True)]
    )
    start = list(offsets(many))[-1]
    data += end_of(len(many), start, len(data) - start)
    assert len(data) == length_of(many)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == 70_000


class Share:
    """A caller's share of the threads."""

    jobs = 0

    async def work(self, job: Callable[[], Any]) -> Any:
        self.jobs += 1
        return job()


@pytest.mark.parametrize("count", [2, 3])
async def test_archives_of_many_files_are_laid_out_beside_the_loop(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_zip, "LAID_OUT_AT_ONCE", 2)
    files = [File(f"f{number}", "v0", 1, "e", "s", "t", 0.0) for number in range(count)]
    share, sent = Share(), list[Any]()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"method": "HEAD", "headers": [], HOLDING: share}
    artifact: Any = SimpleNamespace(alias="a", folder="f")
    nothing: Any = None
    await http_zip._send(nothing, artifact, files, Checksums(8), scope, send)
    assert share.jobs == (1 if count > 2 else 0)
    size = length_of([Member(file.path, file.size, file.modified) for file in files])
    assert (b"content-length", b"%d" % size) in sent[0]["headers"]
