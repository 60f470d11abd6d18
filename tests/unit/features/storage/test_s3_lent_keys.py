"""Keys that S3 lends: offered only where the storage holds them to their folder."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from urllib.parse import parse_qs, unquote

import pytest
import pytest_asyncio

from hypha.features.storage.options import StorageOptions
from hypha.features.storage.remote import lender_of
from hypha.testing import ServerProcess
from tests.kit.clients import Connections
from tests.kit.faulty import FaultyProxy
from tests.kit.people import make_person
from tests.kit.s3 import SECRET, S3Server, running

pytest.importorskip("obstore")
from hypha.objects.s3.store import S3Objects

pytestmark = pytest.mark.slow
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class PolicedProxy(FaultyProxy):
    """Holds keys to the policy for which they were lent, which `moto` does not."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.allowed: dict[str, str] = {}

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        path = unquote(head.split(b" ")[1].decode()).partition("?")[0]
        for key, prefix in self.allowed.items():
            if key.encode() in head and not path.startswith(prefix):
                return REFUSED
        answer = await super()._ask(head, body)
        asked = parse_qs(body.decode("latin-1")) if b"AssumeRole" in body else {}
        if asked:
            policy = json.loads(asked["Policy"][0])
            (resource,) = policy["Statement"][2]["Resource"]
            found = re.search(rb"<AccessKeyId>([^<]+)<", answer)
            assert found is not None, answer
            self.allowed[found.group(1).decode()] = "/" + resource.removeprefix("arn:aws:s3:::").rstrip("*")
        return answer


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running("moto") as server:
        yield server


@pytest_asyncio.fixture
async def proxy(s3: S3Server) -> AsyncIterator[PolicedProxy]:
    made = PolicedProxy(s3.port)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


async def test_a_lent_key_opens_one_folder_and_ends(s3: S3Server, proxy: PolicedProxy) -> None:
    store = S3Objects(replace(s3.endpoint("hypha-test"), url=proxy.url))
    await store.start()
    lender = await lender_of(StorageOptions(s3_admin_type="minio"), store)
    assert lender is not None
    given = await lender.lend("ws-1/", "alice@example.org")
    assert given["prefix"] == "ws-1/" and given["bucket"] == "hypha-test" and given["session_token"]
    assert given["endpoint_url"] == proxy.url and given["expires_at"] > 0
    assert given["access_key_id"] != store.endpoint.access_key_id
    assert given["secret_access_key"] != store.endpoint.secret_access_key
    assert set(given) == {
        "endpoint_url", "access_key_id", "secret_access_key", "session_token", "expires_at", "region_name",
        "bucket", "prefix",
    }  # fmt: skip
    await store.close()


async def test_no_key_is_lent_by_a_storage_that_does_not_hold_it_to_its_folder(s3: S3Server) -> None:
    store = S3Objects(s3.endpoint("hypha-test"))
    await store.start()
    assert await lender_of(StorageOptions(s3_admin_type="minio"), store) is None
    assert await lender_of(StorageOptions(), store) is None
    await store.close()


async def test_where_no_keys_are_lent_nothing_is_offered() -> None:
    with running("rclone") as server:
        store = S3Objects(server.endpoint("hypha-test"))
        await store.start()
        assert await lender_of(StorageOptions(s3_role_arn="arn:aws:iam::1:role/files"), store) is None
        await store.close()


async def test_people_get_a_key_for_their_own_workspace(s3: S3Server, proxy: PolicedProxy) -> None:
    flags = [*s3.flags(), f"--endpoint-url={proxy.url}", "--s3-admin-type=minio"]
    async with ServerProcess(flags=flags) as own:
        person, connections = make_person(own), Connections(own)
        storage = await (await connections.connect(person)).get_service("public/s3-storage")
        given = await storage.generate_credential()
        assert given["prefix"] == f"{person.workspace}/" and s3.url not in str(given)
        anonymous = await (await connections.connect()).get_service("public/s3-storage")
        with pytest.raises(Exception, match="read-only"):
            await anonymous.generate_credential()
        assert given["secret_access_key"] not in own.log and SECRET not in own.log
        await connections.close()
