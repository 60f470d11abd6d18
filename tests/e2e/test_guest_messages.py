"""Large messages to the address in `public` at which the server and its startup functions both are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgpack
import pytest

from hypha.testing import ServerProcess
from tests.kit.clients import Connect, shared_server
from tests.kit.people import make_person

STARTUP = Path(__file__).parent / "guest_services.py"
LARGE = 3 * 1024 * 1024

guest_server = shared_server(flags=[f"--startup-functions={STARTUP}:hypha_startup"])


@pytest.mark.parametrize("is_stranger", [True, False])
async def test_large_values_go_to_startup_functions_and_back(
    connect: Connect, guest_server: ServerProcess, is_stranger: bool
) -> None:
    person = None if is_stranger else make_person(guest_server, "ann")
    client = await connect(person, url=guest_server.url, method_timeout=20)
    sizes = await client.get_service("public/sizes")
    assert await sizes.size(b"x" * LARGE) == LARGE
    assert await asyncio.gather(*(sizes.size(b"y" * (LARGE + n)) for n in range(3))) == [
        LARGE,
        LARGE + 1,
        LARGE + 2,
    ]
    assert await sizes.asked(lambda: b"z" * LARGE) == LARGE
    assert len(await sizes.large(LARGE)) == LARGE


async def test_large_arguments_reach_functions_of_the_server_beside_startup_functions(
    connect: Connect, guest_server: ServerProcess
) -> None:
    ann = make_person(guest_server, "ann")
    client = await connect(ann, url=guest_server.url, method_timeout=20)
    artifacts = await client.get_service("public/artifact-manager")
    manifest = {"name": "large", "rows": [f"row {n}" for n in range(50_000)]}
    made = await artifacts.create(alias="large", manifest=manifest)
    assert len((await artifacts.read(made["id"]))["manifest"]["rows"]) == 50_000


async def test_large_messages_that_name_others_do_not_reach_startup_functions(
    connect: Connect, guest_server: ServerProcess
) -> None:
    client = await connect(None, url=guest_server.url, method_timeout=20)
    sizes = await client.get_service("public/sizes")
    foreign = {"_rtype": "method", "_rtarget": "public/somebody", "_rmethod": "services.built-in.ping"}
    with pytest.raises(Exception, match="functions of somebody else"):
        await sizes.size([b"x" * LARGE, foreign])


async def test_unfinished_messages_for_startup_functions_are_bounded_as_the_servers_are(
    connect: Connect, guest_server: ServerProcess
) -> None:
    client = await connect(None, url=guest_server.url, method_timeout=20)
    target = (await client.get_service("public/sizes")).size.__rpc_object__["_rtarget"]

    def cache(function: str, *args: Any) -> Any:
        method = f"services.built-in.message_cache.{function}"
        call = {"_rtype": "method", "_rtarget": target, "_rmethod": method, "_rpromise": True}
        return client.rpc._generate_remote_method(call)(*args)

    main = {"type": "method", "from": "x", "to": target, "method": "services.sizes.size", "session": "s"}
    first = msgpack.packb(main) + b"\x81\xa4args\x91\xc6\x7f\x00\x00\x00"

    async def flood() -> None:
        for number in range(8):
            await cache("create", f"key {number}", False)
            for index in range(125):
                await cache("set", f"key {number}", index, first * (not index) + bytes(200_000), False)

    with pytest.raises(Exception, match=r"too large|too many others"):
        await flood()
