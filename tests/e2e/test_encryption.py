"""End-to-end encrypted calls pass through untouched (docs/spec/wire-protocol.md#encryption)."""

from __future__ import annotations

from typing import Any

import pytest
from hypha_rpc.crypto import generate_encryption_keypair

from hypha.testing import NodeWorker, ServerProcess
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

pytest.importorskip("nacl")

PLAIN = "swordfish-in-the-clear"


async def _connect_encrypted(connect: Connect, person: Person, **config: Any) -> tuple[Any, str]:
    private, public = generate_encryption_keypair()
    keys = {"encryption": True, "encryption_private_key": private, "encryption_public_key": public}
    return await connect(person, **keys, **config), public.hex()


@pytest.mark.spec("wire-53")
async def test_trusted_caller_gets_through_and_others_do_not(connect: Connect, alice: Person) -> None:
    provider, provider_key = await _connect_encrypted(connect, alice, client_id="vault")
    caller, caller_key = await _connect_encrypted(connect, alice)
    stranger, _ = await _connect_encrypted(connect, alice)

    def open_vault(secret: str, context: Any = None) -> dict[str, Any]:
        return {"secret": secret, "encrypted": bool(context.get("encryption"))}

    config = {"trusted_keys": [caller_key], "require_context": True}
    await provider.register_service({"id": "vault", "config": config, "open": open_vault})
    service = await caller.get_service("vault", encryption_public_key=provider_key)
    assert await service.open(PLAIN) == {"secret": PLAIN, "encrypted": True}
    untrusted = await stranger.get_service("vault", encryption_public_key=provider_key)
    with pytest.raises(Exception, match=r".+"):
        await untrusted.open(PLAIN)


@pytest.mark.spec("wire-53")
async def test_encrypted_callbacks_generators_and_large_messages(connect: Connect, alice: Person) -> None:
    provider, key = await _connect_encrypted(connect, alice, client_id="vault")
    caller, _ = await _connect_encrypted(connect, alice)

    async def twice(function: Any) -> Any:
        return [await function(1), await function(2)]

    await provider.register_service({"id": "vault", "twice": twice, "echo": lambda value: value})
    service = await caller.get_service("vault", encryption_public_key=key)
    assert await service.twice(lambda value: value * 10) == [10, 20]
    data = b"s" * (1024 * 1024)
    assert await service.echo(data) == data


@pytest.mark.spec("wire-53")
async def test_server_log_shows_no_plaintext(start_server: StartServer, connect: Connect) -> None:
    own = await start_server(env={"HYPHA_LOGLEVEL": "DEBUG"})
    alice = make_person(own, "alice")
    provider, key = await _connect_encrypted(connect, alice, url=own.url)
    caller, _ = await _connect_encrypted(connect, alice, url=own.url)
    await provider.register_service({"id": "vault", "echo": lambda value: value})
    service = await caller.get_service("vault", encryption_public_key=key)
    assert await service.echo(PLAIN) == PLAIN
    assert PLAIN not in own.log


@pytest.mark.node
@pytest.mark.spec("wire-53")
async def test_javascript_caller_and_python_provider_encrypted(
    node: NodeWorker, connect: Connect, server: ServerProcess, alice: Person
) -> None:
    provider, key = await _connect_encrypted(connect, alice, client_id="vault")
    await provider.register_service({"id": "vault", "echo": lambda value: value})
    answer = await node.run(
        """
        const server = await connect({server_url: args.url, token: args.token, encryption: true});
        const vault = await server.getService("vault", {encryption_public_key: args.key});
        return await vault.echo("from js");
        """,
        url=server.url,
        token=alice.token,
        key=key,
    )
    assert answer == "from js"
