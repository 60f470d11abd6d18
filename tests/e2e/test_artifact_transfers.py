"""Many files of artifacts with real clients: progress, digests that the server checks, uploads that go on."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

import httpx
import pytest

from hypha.testing import ServerProcess
from tests.kit.clients import Connect
from tests.kit.people import Person


async def test_a_client_hears_how_far_its_commit_has_come(connect: Connect, alice: Person) -> None:
    artifacts = await (await connect(alice)).get_service("public/artifact-manager")
    await artifacts.create("told", manifest={"name": "T"}, stage=True)
    for name in ("a", "b", "c"):
        await artifacts.write_file("told", name, name)
    heard: list[Any] = []
    await artifacts.commit("told", progress_callback=heard.append)
    assert (heard[-1]["type"], heard[-1]["done"], heard[-1]["total"]) == ("success", 3, 3)
    never = asyncio.Event()

    async def deaf(report: Any) -> None:
        await never.wait()

    def broken(report: Any) -> None:
        raise ValueError("no")

    for callback in (deaf, broken):
        assert (await artifacts.verify("told", progress_callback=callback))["files"] == 3
    never.set()
    await artifacts.duplicate("told", "copy", progress_callback=heard.append)
    await artifacts.delete("told", progress_callback=heard.append)
    assert [report["operation"] for report in heard if report["type"] == "success"] == [
        "commit", "duplicate", "delete",
    ]  # fmt: skip
    with pytest.raises(Exception, match="function of the client that calls"):
        await artifacts.commit("copy", progress_callback="no function")


async def test_bytes_that_are_not_what_was_said_are_refused(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    artifacts = await (await connect(alice)).get_service("public/artifact-manager")
    await artifacts.create("sums", manifest={"name": "S"}, stage=True)
    right = hashlib.sha256(b"right")
    in_base64 = base64.b64encode(right.digest()).decode()
    signed = await artifacts.put_file("sums", "signed.txt", sha256=right.hexdigest())
    plain = await artifacts.put_file("sums", "plain.txt")
    auth = {"Authorization": f"Bearer {alice.token}"}
    digest = {"Content-Digest": f"sha-256=:{in_base64}:"}
    artifact = f"{server.url}/{alice.workspace}/artifacts/sums/files/route.txt"
    places = [
        (signed, {}), (plain, digest), (plain, {"x-amz-checksum-sha256": in_base64}),
        (artifact, auth | digest), (f"{server.url}/{alice.workspace}/files/route.txt", auth | digest),
    ]  # fmt: skip
    async with httpx.AsyncClient() as http:
        for url, headers in places:
            refused = await http.put(url, content=b"wrong", headers=headers)
            assert (refused.status_code, right.hexdigest() in refused.text) == (400, False)
            assert hashlib.sha256(b"wrong").hexdigest() in refused.text
            assert (await http.put(url, content=b"right", headers=headers)).status_code == 200
        for headers in ({"Content-Digest": "sha-256=:!:"}, {"x-amz-checksum-sha256": "AAAA"}):
            assert (await http.put(plain, content=b"right", headers=headers)).status_code == 400
        other = await http.put(signed, content=b"right", headers={"x-amz-content-sha256": "0" * 64})
        assert other.status_code == 400
        by_http = await http.post(
            f"{server.url}/public/services/artifact-manager/commit", headers=auth,
            json={"artifact_id": f"{alice.workspace}/sums", "progress_callback": {"_rtype": "method"}},
        )  # fmt: skip
        assert by_http.status_code == 400
    committed = await artifacts.commit("sums")
    assert committed["file_count"] == 3
