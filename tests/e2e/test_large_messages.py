"""Messages above one frame (docs/spec/wire-protocol.md#large-messages)."""

from __future__ import annotations

import numpy as np
import pytest

from hypha.testing import RawCallError, RawClient
from hypha.testing.rawclient import pack
from tests.e2e.lab import Lab
from tests.kit.clients import Connect, ConnectRaw
from tests.kit.people import Person

CHUNK_BYTES = 262144


SIZES = [1024, 256 * 1024, CHUNK_BYTES + 1024 - 1, CHUNK_BYTES + 1024, CHUNK_BYTES + 1024 + 1, 1024 * 1024]


@pytest.mark.spec("wire-24")
@pytest.mark.parametrize("size", SIZES)
async def test_large_argument_and_result_between_clients(lab: Lab, size: int) -> None:
    data = bytes(bytearray(index % 251 for index in range(1024))) * (size // 1024 + 1)
    data = data[:size]
    for service in (lab.service, lab.public_service):
        assert await service.size(data) == size
        assert await service.echo(data) == data


@pytest.mark.spec("wire-24")
async def test_twenty_megabytes_both_ways_between_clients(lab: Lab) -> None:
    data = np.random.default_rng(1).bytes(20 * 1024 * 1024)
    assert await lab.service.echo(data) == data


@pytest.mark.spec("wire-24")
@pytest.mark.parametrize("size", [1024, CHUNK_BYTES + 1024, 1024 * 1024, 20 * 1024 * 1024])
async def test_large_argument_and_result_through_the_manager(lab: Lab, size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    assert await lab.consumer.echo(data) == data


@pytest.mark.spec("wire-24")
async def test_large_array_arrives_whole(lab: Lab) -> None:
    image = np.random.default_rng(2).integers(0, 255, (1024, 1024, 3), dtype="uint8")
    assert np.array_equal(await lab.service.echo(image), image)


@pytest.mark.spec("wire-26")
async def test_list_of_services_over_one_megabyte_arrives(
    connect_raw: ConnectRaw, connect: Connect, alice: Person
) -> None:
    provider = await connect_raw(alice)
    await provider.offer("first")
    for number in range(150):
        info = {
            "id": f"{provider.address}:svc-{number}",
            "name": f"svc-{number}",
            "type": "generic",
            "docs": "d" * 8000,
            "config": {"visibility": "protected", "workspace": provider.workspace},
            "app_id": "*",
        }
        await provider.call_manager("register_service", info)
    reader = await connect(alice)
    listed = await reader.list_services()
    assert len([service for service in listed if ":svc-" in service["id"]]) == 150


@pytest.mark.spec("wire-24")
async def test_manager_never_sends_a_frame_over_512_kb(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    await raw.call_manager("echo", b"small")
    session = await raw.start_call(raw.manager, "services.default.echo", b"x" * 250_000)
    assert await raw.answer_of(session) == b"x" * 250_000
    assert max(len(frame.raw) for frame in raw.frames) <= 512 * 1024


async def _chunked(raw: RawClient, frame: bytes, key: str, size: int = 100_000) -> None:
    manager = raw.manager
    await raw.call(manager, "services.built-in.message_cache.create", key)
    for index, start in enumerate(range(0, len(frame), size)):
        await raw.call(
            manager, "services.built-in.message_cache.set", key, index, frame[start : start + size]
        )
    await raw.call(manager, "services.built-in.message_cache.process", key)


@pytest.mark.spec("wire-24")
async def test_manager_assembles_chunked_calls(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    main = {
        "type": "method",
        "from": raw.address,
        "to": raw.manager,
        "method": "services.default.echo",
        "session": "big",
    }
    await _chunked(raw, pack(main, {"args": [b"y" * 240_000], "promise": "*", "t": 5.0}), "key-1")
    assert await raw.answer_of("big") == b"y" * 240_000


@pytest.mark.spec("wire-24")
async def test_message_cache_refuses_wrong_keys(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    cache = "services.built-in.message_cache"
    await raw.call(raw.manager, f"{cache}.create", "once")
    with pytest.raises(RawCallError):
        await raw.call(raw.manager, f"{cache}.create", "once")
    with pytest.raises(RawCallError):
        await raw.call(raw.manager, f"{cache}.set", "never-made", 0, b"x")
    with pytest.raises(RawCallError):
        await raw.call(raw.manager, f"{cache}.process", "never-made")
    await raw.call(raw.manager, f"{cache}.remove", "once")
    await raw.call(raw.manager, f"{cache}.create", "once")


@pytest.mark.spec("wire-24")
async def test_chunks_of_an_answer_nobody_waits_for_are_refused(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    cache = "services.built-in.message_cache"
    gone = r"session does not exist anymore: over"
    with pytest.raises(RawCallError, match=gone):
        await raw.call(raw.manager, f"{cache}.create", "over", True)
    await raw.call(raw.manager, f"{cache}.create", "over", False)
    with pytest.raises(RawCallError, match=gone):
        await raw.call(raw.manager, f"{cache}.set", "over", 0, b"x", True)
    with pytest.raises(RawCallError, match=gone):
        await raw.call(raw.manager, f"{cache}.process", "over", True)


@pytest.mark.spec("wire-16.13")
async def test_unfinished_messages_at_the_manager_are_bounded(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    cache = "services.built-in.message_cache"
    await raw.call(raw.manager, f"{cache}.create", "flood")
    with pytest.raises(RawCallError, match=r"(?i)limit|too (large|many|big)|exceed"):
        for index in range(2000):
            await raw.call(raw.manager, f"{cache}.set", "flood", index, b"z" * 500_000)
    assert await raw.is_alive()
