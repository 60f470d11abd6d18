"""The artifact manager with the unmodified Python client: the life of an artifact and its files."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hypha.testing import NodeWorker, ServerProcess
from tests.kit.clients import Connect
from tests.kit.people import Person


async def manager(connect: Connect, person: Person | None, **config: Any) -> Any:
    """The artifact manager as somebody has it."""
    return await (await connect(person, **config)).get_service("public/artifact-manager")


async def upload(url: str, content: bytes) -> httpx.Response:
    """Send a file to where it can be put."""
    async with httpx.AsyncClient() as http:
        answer = await http.put(url, content=content)
        answer.raise_for_status()
        return answer


async def download(url: str) -> bytes:
    """Fetch a file."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(url)
        answer.raise_for_status()
        return answer.content


async def put(artifacts: Any, artifact: str, **files: str) -> None:
    """Upload files; `_` stands for a dot in their names."""
    for name, content in files.items():
        url = await artifacts.put_file(artifact, name.replace("_", "."))
        await upload(url, content.encode())


def names(entries: Any) -> list[str]:
    """Of what a list holds."""
    return [entry["name"] for entry in entries]


@pytest.mark.spec("artifacts-C1.1", "artifacts-C1.2", "artifacts-C1.3")
async def test_a_draft_gets_a_file_and_becomes_a_version(connect: Connect, alice: Person) -> None:
    artifacts = await manager(connect, alice)
    draft = await artifacts.create(alias="d1", manifest={"name": "D"}, stage=True)
    assert draft["id"] == f"{alice.workspace}/d1"
    assert (draft["versions"], draft["staging"]) == ([], [{"_intent": "new_version"}])
    url = await artifacts.put_file("d1", "a/b.txt", download_weight=0.5)
    assert (await upload(url, b"hello")).headers["etag"]
    committed = await artifacts.commit("d1")
    assert [version["version"] for version in committed["versions"]] == ["v0"]
    assert (committed["file_count"], committed["staging"]) == (1, None)
    assert committed["config"]["download_weights"] == {"a/b.txt": 0.5}
    assert await download(await artifacts.get_file("d1", "a/b.txt")) == b"hello"
    assert await download(await artifacts.get_file("d1", "a/b.txt", silent=True)) == b"hello"
    found = await artifacts.read("d1", silent=True)
    assert (found["download_count"], found["view_count"]) == (0.5, 0)
    assert names(await artifacts.list_files("d1")) == ["a"]
    (entry,) = await artifacts.list_files("d1", "a")
    assert (entry["type"], entry["name"], entry["size"]) == ("file", "b.txt", 5)


@pytest.mark.spec("artifacts-C1.4", "artifacts-C1.5")
async def test_a_commit_needs_what_was_announced(connect: Connect, alice: Person) -> None:
    artifacts = await manager(connect, alice)
    made = await artifacts.create(alias="guide", type="application", manifest={"name": "app"})
    assert [version["version"] for version in made["versions"]] == ["v0"]
    again = await artifacts.commit(artifact_id=made["id"])
    assert (again["versions"], again["_id"]) == (made["versions"], made["_id"])
    assert (await artifacts.commit("guide", version="v0"))["versions"] == made["versions"]
    with pytest.raises(Exception, match="AssertionError: Artifact must be in staging mode"):
        await artifacts.commit("guide", version="v7")
    await artifacts.edit("guide", stage=True)
    await artifacts.put_file("guide", "never.txt")
    with pytest.raises(
        Exception, match=r"FileNotFoundError: File 'never.txt' does not exist in the artifact"
    ):
        await artifacts.commit("guide")
    await artifacts.remove_file("guide", "never.txt")
    assert (await artifacts.commit("guide"))["file_count"] == 0
    with pytest.raises(Exception, match=r"AssertionError: Artifact must be in staging mode\."):
        await artifacts.put_file("guide", "late.txt")


@pytest.mark.spec("artifacts-C1.6", "artifacts-C1.7", "artifacts-C1.20")
async def test_versions_keep_their_files_whatever_happens_to_others(connect: Connect, alice: Person) -> None:
    artifacts = await manager(connect, alice)
    await artifacts.create(alias="versions", manifest={"name": "first"}, stage=True)
    await put(artifacts, "versions", a_txt="a")
    await artifacts.commit("versions")
    await artifacts.edit("versions", manifest={"name": "second"}, version="new", stage=True)
    await put(artifacts, "versions", c_txt="c")
    committed = await artifacts.commit("versions", version="rel-1", comment="x")
    assert committed["versions"][1]["version"] == "rel-1"
    assert names(await artifacts.list_files("versions")) == ["c.txt"]
    assert names(await artifacts.list_files("versions", version="v0")) == ["a.txt"]
    assert (await artifacts.read("versions", version="v0"))["manifest"]["name"] == "first"
    assert (await artifacts.read("versions", version=1))["manifest"]["name"] == "second"
    with pytest.raises(Exception, match="Invalid version"):
        await artifacts.edit("versions", version="v0")
    await artifacts.edit("versions", version="new", stage=True)
    await put(artifacts, "versions", d_txt="d")
    with pytest.raises(Exception, match="Version 'rel-1' already exists"):
        await artifacts.commit("versions", version="rel-1")
    await artifacts.commit("versions")
    await artifacts.delete("versions", version="v0")
    for version, name in (("rel-1", "c.txt"), ("v2", "d.txt")):
        assert names(await artifacts.list_files("versions", version=version)) == [name]
        url = await artifacts.get_file("versions", name, version=version)
        assert await download(url) == name[0].encode()
    with pytest.raises(Exception, match="Artifact version 'v0' does not exist"):
        await artifacts.read("versions", version="v0")


@pytest.mark.spec("artifacts-C1.8", "artifacts-C1.9")
async def test_what_is_staged_is_seen_when_it_is_committed(connect: Connect, alice: Person) -> None:
    artifacts = await manager(connect, alice)
    await artifacts.create(alias="staged", manifest={"name": "old"}, stage=True)
    await put(artifacts, "staged", c_txt="old", gone_txt="gone")
    await artifacts.commit("staged")
    for is_committed in (False, True):
        await artifacts.edit("staged", manifest={"name": "new"}, stage=True)
        await put(artifacts, "staged", c_txt="new", n_txt="n")
        await artifacts.remove_file("staged", "gone.txt")
        assert (await artifacts.read("staged"))["manifest"] == {"name": "old"}
        assert (await artifacts.read("staged"))["staging"] is None
        seen = await artifacts.read("staged", stage=True)
        assert (seen["manifest"], seen["staging"][-1]) == ({"name": "new"}, {"_intent": "edit_version"})
        assert await download(await artifacts.get_file("staged", "c.txt")) == b"old"
        assert names(await artifacts.list_files("staged")) == ["c.txt", "gone.txt"]
        assert names(await artifacts.list_files("staged", stage=True)) == ["c.txt", "n.txt"]
        assert await download(await artifacts.get_file("staged", "c.txt", stage=True)) == b"new"
        with pytest.raises(Exception, match="You cannot specify a version when using stage mode"):
            await artifacts.read("staged", stage=True, version="v0")
        if is_committed:
            await artifacts.commit("staged")
        else:
            left = await artifacts.discard("staged")
            assert (left["manifest"], left["staging"]) == ({"name": "old"}, None)
            assert await download(await artifacts.get_file("staged", "c.txt")) == b"old"
            with pytest.raises(Exception, match="No staged changes"):
                await artifacts.discard("staged")
            assert (await artifacts.discard_changes("staged"))["status"] == "nothing_to_discard"
    found = await artifacts.read("staged")
    assert (found["manifest"], len(found["versions"]), found["file_count"]) == ({"name": "new"}, 1, 2)
    assert names(await artifacts.list_files("staged")) == ["c.txt", "n.txt"]
    assert await download(await artifacts.get_file("staged", "c.txt")) == b"new"


@pytest.mark.spec("artifacts-C1.10")
async def test_several_files_are_there_together_or_not_at_all(connect: Connect, alice: Person) -> None:
    artifacts = await manager(connect, alice)
    await artifacts.create(alias="several", manifest={"name": "S"}, stage=True)
    urls = await artifacts.put_file("several", ["a.txt", "b/c.txt"], download_weight=[1, 2])
    for path, url in urls.items():
        await upload(url, path.encode())
    await artifacts.commit("several")
    with pytest.raises(Exception, match="FileNotFoundError"):
        await artifacts.get_file("several", ["a.txt", "missing.txt"])
    found = await artifacts.get_file("several", ["a.txt", "b/c.txt"])
    assert [await download(found[path]) for path in ("a.txt", "b/c.txt")] == [b"a.txt", b"b/c.txt"]
    assert (await artifacts.read("several"))["download_count"] == 3
    for wrong in ([], ["a.txt", "../b"]):
        with pytest.raises(Exception, match="ValueError"):
            await artifacts.get_file("several", wrong)


ESCAPES = ("../v0.json", "../../x/v0/x", "/etc/x", "a/../../b", "a\\..\\b", "", "a//b", "a\x00b", 7)


@pytest.mark.spec("artifacts-C1.11")
async def test_no_path_leads_out_of_an_artifact(connect: Connect, alice: Person) -> None:
    artifacts = await manager(connect, alice)
    await artifacts.create(alias="paths", manifest={"name": "P"}, stage=True)
    await put(artifacts, "paths", a_txt="a")
    for path in ESCAPES:
        for call in (
            artifacts.put_file("paths", path),
            artifacts.get_file("paths", path),
            artifacts.get_file("paths", path, stage=True),
            artifacts.remove_file("paths", path),
            artifacts.put_file_start_multipart("paths", path, part_count=1),
        ):
            with pytest.raises(Exception, match="ValueError"):
                await call
        if path:
            with pytest.raises(Exception, match="ValueError"):
                await artifacts.list_files("paths", path)
    assert (await artifacts.get_status("paths"))["files"] == [{"path": "a.txt"}]


@pytest.mark.spec("artifacts-C1.1", "artifacts-C1.16")
async def test_lists_with_the_clients_own_arguments(connect: Connect, bob: Person) -> None:
    artifacts = await manager(connect, bob)
    box = await artifacts.create(alias="box", type="collection", manifest={"name": "Box"})
    for name in ("Ant", "Bee", "Asp"):
        await artifacts.create(
            alias=name.lower(), parent_id=box["id"], manifest={"name": name, "tags": ["x"]}
        )
    await artifacts.create(alias="draft", parent_id="box", manifest={"name": "Axe"}, stage=True)
    found = await artifacts.list("box", filters={"manifest": {"name": "A*"}}, order_by="manifest.name>")
    assert [item["alias"] for item in found] == ["asp", "ant"]
    page = await artifacts.list(parent_id="box", keywords=["x"], limit=2, offset=2, pagination=True)
    assert ([item["alias"] for item in page["items"]], page["total"]) == (["asp"], 3)
    assert [item["alias"] for item in await artifacts.list("box", stage=True)] == ["draft"]
    assert len(await artifacts.search(stage="all")) == 5
    assert [item["alias"] for item in await artifacts.list()] == ["box"]


@pytest.mark.node
@pytest.mark.spec("artifacts-C7.3")
async def test_a_round_trip_in_javascript(node: NodeWorker, server: ServerProcess, alice: Person) -> None:
    script = """
      const server = await connect({server_url: args.url, token: args.token});
      const artifacts = await server.getService("public/artifact-manager");
      const made = await artifacts.create({
        alias: "from-js", type: "application", manifest: {name: "js"}, stage: true, _rkwargs: true,
      });
      const put = await artifacts.put_file({artifact_id: made.id, file_path: "a.txt", _rkwargs: true});
      const answer = await fetch(put, {
        method: "PUT", body: "from a browser", headers: {Origin: "https://x.org"},
      });
      await artifacts.commit({artifact_id: made.id, _rkwargs: true});
      const again = await artifacts.commit({artifact_id: made.id, _rkwargs: true});
      const get = await artifacts.get_file({artifact_id: made.id, file_path: "a.txt", _rkwargs: true});
      const text = await (await fetch(get)).text();
      const exposed = answer.headers.get("access-control-expose-headers");
      return [answer.status, !!answer.headers.get("etag"), exposed, again.versions.length, text];
    """
    result = await node.run(script, url=server.url, token=alice.token)
    status, has_etag, exposed, versions, text = result
    assert (status, has_etag, versions, text) == (200, True, 1, "from a browser")
    assert "ETag" in exposed
