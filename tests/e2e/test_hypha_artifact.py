"""`hypha-artifact` from PyPI, unmodified: files as its users have them, asynchronous and not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypha.testing import ServerProcess
from tests.kit.people import Person, make_person

library = pytest.importorskip("hypha_artifact")
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def person(server: ServerProcess) -> Person:
    return make_person(server, "librarian")


@pytest.fixture
def script_loop() -> Iterator[None]:
    """The event loop that a script's thread has, and that the library keeps its connections in.

    A test before may have left the thread without one, as `asyncio.run` does; the library then makes a
    new loop for every call, and fails with the connections of the last one.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


def names(entries: Any) -> list[str]:
    return sorted(entry["name"] if isinstance(entry, dict) else entry for entry in entries)


@pytest.mark.spec("artifacts-C7.1")
async def test_files_go_there_and_back(server: ServerProcess, person: Person, tmp_path: Path) -> None:
    artifact = library.AsyncHyphaArtifact(
        f"{person.workspace}/there", token=person.token, server_url=server.url
    )
    big, heard = tmp_path / "big.bin", list[Any]()
    big.write_bytes(os.urandom(20_000_000))
    async with artifact:
        await artifact.create(manifest={"name": "There"}, type="generic", config={"permissions": {"*": "r"}})
        await artifact.edit(stage=True)
        async with artifact.open("text.txt", "w") as file:
            await file.write("hello text")
        parts = {"enable": True, "chunk_size": 6 * MIB}
        await artifact.put(str(big), "d/big.bin", callback=heard.append, multipart_config=parts)
        await artifact.commit(comment="first")
        assert names(await artifact.ls("/")) == ["d", "text.txt"]
        (entry,) = await artifact.ls("/d", detail=True)
        assert (entry["name"], entry["size"], entry["type"]) == ("big.bin", 20_000_000, "file")
        assert await artifact.cat("text.txt") == "hello text"
        assert await artifact.head("text.txt", 5) in (b"hello", "hello")
        async with artifact.open("text.txt", "r") as file:
            assert await file.read() == "hello text"
        await artifact.get("d/big.bin", str(tmp_path / "back.bin"))
        assert (tmp_path / "back.bin").read_bytes() == big.read_bytes()
        assert [await artifact.exists(path) for path in ("text.txt", "d", "nope")] == [True, True, False]
        assert (await artifact.size("d/big.bin"), await artifact.isdir("d")) == (20_000_000, True)
        assert names(await artifact.find("/")) == ["/d/big.bin", "/text.txt"]
        assert heard


@pytest.mark.spec("artifacts-C7.1")
async def test_what_is_staged_is_committed_or_discarded(server: ServerProcess, person: Person) -> None:
    artifact = library.AsyncHyphaArtifact("states", person.workspace, person.token, server.url)
    async with artifact:
        await artifact.create(manifest={"name": "States"}, type="collection")
        await artifact.edit(stage=True)
        for name in ("a.txt", "b.txt"):
            async with artifact.open(name, "w") as file:
                await file.write(name)
        await artifact.commit()
        await artifact.edit(stage=True)
        await artifact.rm("a.txt")
        await artifact.copy("b.txt", "c.txt")
        await artifact.commit()
        assert names(await artifact.ls("/")) == ["b.txt", "c.txt"]
        assert await artifact.cat(["b.txt", "c.txt"]) == {"b.txt": "b.txt", "c.txt": "b.txt"}
        await artifact.edit(stage=True)
        async with artifact.open("gone.txt", "w") as file:
            await file.write("x")
        await artifact.discard()
        assert names(await artifact.ls("/")) == ["b.txt", "c.txt"]
        child = library.AsyncHyphaArtifact("child", person.workspace, person.token, server.url)
        async with child:
            await child.create(manifest={"name": "Child"}, parent_id=f"{person.workspace}/states")
        assert [item["alias"] for item in await artifact.list_children()] == ["child"]
        with pytest.raises(OSError) as failed:
            await artifact.cat("never.txt")
        assert "File 'never.txt' does not exist" in str(failed.value.__cause__)
        await artifact.delete(recursive=True)
        with pytest.raises(Exception, match="does not exist"):
            await artifact.ls("/")


@pytest.mark.spec("artifacts-C7.1")
@pytest.mark.usefixtures("script_loop")
def test_the_same_without_async(server: ServerProcess, person: Person, tmp_path: Path) -> None:
    artifact = library.HyphaArtifact("plain", person.workspace, person.token, server.url)
    artifact.create(manifest={"name": "Plain"}, stage=True)
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/ö.txt").write_text("odd")
    (folder / "a.bin").write_bytes(bytes(range(256)))
    artifact.put(str(folder), "in", recursive=True)
    artifact.commit(version="one")
    assert names(artifact.find("/")) == ["/in/a.bin", "/in/sub/ö.txt"]
    artifact.get("in", str(tmp_path / "back"), recursive=True)
    assert (tmp_path / "back/sub/ö.txt").read_text() == "odd"
    with artifact.open("in/a.bin", "rb") as file:
        assert file.read() == bytes(range(256))
    artifact.edit(version="new", stage=True)
    with artifact.open("b.txt", "w") as file:
        file.write("second")
    artifact.commit(version="two")
    assert (names(artifact.ls("/")), names(artifact.ls("/", version="one"))) == (["b.txt"], ["in"])
    stranger = library.HyphaArtifact(f"{person.workspace}/plain", server_url=server.url)
    with pytest.raises(Exception, match="permission"):
        stranger.ls("/")
    artifact.delete()
