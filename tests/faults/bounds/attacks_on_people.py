"""Attacks on tokens, sign-ins and accounts."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select
from starlette.requests import Request
from starlette.types import Message

from hypha.auth import blocklist, keysets, minting, tokens
from hypha.auth.blocklist import Blocklist
from hypha.auth.revocation import PURGE_AT, Revocations
from hypha.auth.scopes import Level
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import User, root_user
from hypha.errors import (
    BackendUnavailable,
    FrameTooLarge,
    HyphaError,
    InvalidArguments,
    InvalidRequest,
    LimitReached,
    QuotaExceeded,
    RateLimited,
)
from hypha.features.accounts import invitations as invitations_module
from hypha.features.accounts import mail, names, page, passwords
from hypha.features.accounts.attempts import Attempts, Origin
from hypha.features.accounts.codes import Codes
from hypha.features.accounts.invitation_records import Invitations
from hypha.features.accounts.invitations import Admittance
from hypha.features.accounts.mail import Letter, Mail
from hypha.features.accounts.options import AccountOptions
from hypha.features.accounts.records import MAX_PLACES, _know
from hypha.features.accounts.throttle import Allowance, Throttle
from hypha.features.accounts.turns import MOST_PER_KEY, MOST_WAITING, Turns
from hypha.features.admin import terminal as terminal_module
from hypha.features.admin.terminal import Terminal
from hypha.features.login import functions_page, pending
from hypha.features.login.mistakes import Mistakes
from hypha.features.login.pending import PendingKeys
from hypha.features.login.records import PendingLogins
from hypha.features.oidc import attempts as oidc_attempts
from hypha.features.oidc import web
from hypha.features.oidc.attempts import Attempt
from hypha.features.oidc.claims import MAX_ROLES, roles_of
from hypha.features.oidc.providers import Provider
from hypha.store.tables import RevokedToken
from hypha.testing import RawCallError
from hypha.workspaces.functions_tokens import (
    MAX_LISTED,
    MAX_NAME_CHARS,
    MAX_REVOKED,
    MAX_TOKEN_CHARS,
    STRANGERS_MAX_REVOKED,
    TokenFunctions,
)
from tests.faults.bounds.kit import Kit
from tests.unit.auth.test_minting import OWNER, mint
from tests.unit.features.accounts.test_accounts import Bench
from tests.unit.workspaces.tenancy_kit import acting


def devices() -> Any:
    """Nobody has signed in before."""

    async def knows(*_: Any) -> bool:
        return False

    return SimpleNamespace(is_known=knows)


SECRET = "a-secret-of-the-tests-which-is-long-enough"


async def tokens_of_a_user(kit: Kit) -> None:
    client = await kit.raw(kit.person())
    for _ in range(3):
        await client.call_manager("generate_token", {"expires_in": 60})
    with pytest.raises(RawCallError, match="QuotaExceeded"):
        await client.call_manager("generate_token", {"expires_in": 60})


async def one_token(kit: Kit) -> None:
    client = await kit.raw(kit.person())
    for config in (
        {"expires_in": 10_000},
        {"extra_scopes": ["x"] * (minting.MAX_EXTRA_SCOPES + 1)},
        {f"k{number}": 1 for number in range(minting.MAX_KEYS + 1)},
    ):
        with pytest.raises(RawCallError):
            await client.call_manager("generate_token", config)
    user: Any = OWNER
    with pytest.raises(LimitReached):
        for _ in range(minting.MAX_GENERATIONS + 1):
            user = mint(user, {}, parent_level=Level.ADMIN)


async def revoked_tokens(kit: Kit) -> None:
    client = await kit.raw()
    token = await client.call_manager("generate_token", {"expires_in": 60})
    with pytest.raises(RawCallError, match=r"RateLimited"):
        for _ in range(STRANGERS_MAX_REVOKED + 1):
            await client.call_manager("revoke_token", token)
            token = await client.call_manager("generate_token", {"expires_in": 60})
    functions = TokenFunctions(SimpleNamespace())  # type: ignore[arg-type]
    somebody = acting(User("alice"), "w")
    with pytest.raises(RateLimited):
        for _ in range(MAX_REVOKED + 10):
            functions._spend_revocation(somebody)
    now = [1000.0]
    revocations = Revocations(clock=lambda: now[0])
    for number in range(3 * PURGE_AT):
        now[0] += 1
        revocations.apply({f"t{number}": now[0] + 100})
    assert len(revocations._known) <= PURGE_AT + 1
    store = await kit.store()
    await store.revoked_tokens.add("old", 10.0)
    await store.issued_tokens.note_use({}, 20.0, 0.0)
    async with store.reading() as connection:
        assert not (await connection.execute(select(RevokedToken.fingerprint))).all()


async def text_of_a_token(kit: Kit) -> None:
    client = await kit.raw(kit.person())
    for function, arguments in (
        ("parse_token", ["x" * (MAX_TOKEN_CHARS + 1)]),
        ("revoke_token", ["x" * (MAX_TOKEN_CHARS + 1)]),
        ("rename_token", ["0" * 32, "x" * (MAX_NAME_CHARS + 1)]),
        ("list_tokens", [None, 0, MAX_LISTED + 1]),
    ):
        with pytest.raises(RawCallError):
            await client.call_manager(function, *arguments)


async def known_tokens(kit: Kit) -> None:
    kit.patch.setattr(tokens, "_MAX_CACHED", 20)
    authority = TokenAuthority(SECRET)
    for number in range(100):
        authority.parse(authority.mint(User(f"u{number}"), 60.0))
    assert len(authority._cache) <= 20 and len(authority.used) <= 20
    authority = TokenAuthority(SECRET)
    authority.parse(authority.mint(User("u", roles=("x" * tokens._MAX_CACHED_CHARS,)), 60.0))
    assert not authority._cache


async def blocks(kit: Kit) -> None:
    kit.patch.setattr(blocklist, "MAX_BLOCKS", 20)
    blocked = Blocklist()
    with pytest.raises(InvalidRequest):
        for number in range(30):
            await blocked.block("user", f"u{number}", 60, "", "root")
    with pytest.raises(InvalidRequest):
        await Blocklist().block("user", "u", 60, "x" * (blocklist.MAX_REASON_CHARS + 1), "root")


async def logins_of_programs(kit: Kit) -> None:
    kit.patch.setattr(pending, "MAX_PENDING", 5)
    now = [1000.0]
    keys = PendingKeys(PendingLogins(await kit.store()), 60.0, clock=lambda: now[0])
    made = [await keys.new() for _ in range(5)]
    with pytest.raises(LimitReached):
        await keys.new()
    kit.patch.setattr(pending, "MAX_WAITING", 2)
    with contextlib.ExitStack() as stack:
        for _ in range(pending.MAX_WAITING_PER_KEY):
            stack.enter_context(keys._waits("one"))
        with pytest.raises(LimitReached):
            stack.enter_context(keys._waits("one"))
        stack.enter_context(keys._waits("two"))
        with pytest.raises(LimitReached):
            stack.enter_context(keys._waits("three"))
    assert not keys._waiting
    now[0] += 61
    with pytest.raises(HyphaError):
        await keys.get(made[0])


async def mistakes_of_logins(kit: Kit) -> None:
    mistakes = Mistakes(5, 10.0, clock=lambda: 0.0, max_tracked=20)
    for number in range(200):
        mistakes.note(f"a{number}")
    assert len(mistakes) <= 20


async def sign_in_attempts(kit: Kit) -> None:
    throttle = Throttle(clock=lambda: 0.0, max_keys=50)
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    made = Attempts(AccountOptions(sign_in_attempts_per_address=30), devices(), throttle)
    made._pause = pause
    origin = Origin.of("192.0.2.1")
    with pytest.raises(RateLimited):
        for _ in range(200):
            await made.guess("password", "ann@example.org", origin)
    with pytest.raises(RateLimited):
        for _ in range(200):
            made.use(origin)
    for number in range(500):
        throttle.count(f"k{number}", Allowance(5, 60.0))
    assert len(throttle) <= 50


async def letters(kit: Kit) -> None:
    for bound in ("letters_per_recipient", "letters_per_address", "letters_per_hour"):
        limits = {"letters_per_recipient": 0, "letters_per_address": 0, "letters_per_hour": 0, bound: 3}
        made = Attempts(AccountOptions(**limits), devices(), Throttle(clock=lambda: 0.0))  # type: ignore[arg-type]
        with pytest.raises(RateLimited):
            for number in range(10):
                made.letter(
                    "ann@example.org" if "recipient" in bound else f"a{number}", Origin.of("192.0.2.1")
                )
                made.letter_of_all("sign-up")
    gate = threading.Event()
    post = Mail(lambda _: (gate.wait(10), None)[1])
    letter = Letter("ann@example.org", "s", "t")
    waiting = [asyncio.ensure_future(post.send(letter)) for _ in range(mail.MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(BackendUnavailable):
        await post.send(letter)
    gate.set()
    await asyncio.gather(*waiting)


async def sign_ups_that_wait(kit: Kit) -> None:
    bench = Bench(await kit.store())
    for number in range(3):
        await bench.accounts.sign_up("Ann", f"a{number}@example.org", "correct horse battery", "192.0.2.1")
    with pytest.raises(LimitReached):
        await bench.accounts.sign_up("Ann", "more@example.org", "correct horse battery", "192.0.2.1")
    for _ in range(4):
        with pytest.raises(InvalidArguments):
            await bench.accounts.verify_email("a0@example.org", "000000", "192.0.2.1")
    with pytest.raises(HyphaError, match=r"sign up again|Too many"):
        await bench.accounts.verify_email("a0@example.org", "000000", "192.0.2.1")
        await bench.accounts.verify_email("a0@example.org", "000000", "192.0.2.1")


async def passwords_at_work(kit: Kit) -> None:
    assert (MOST_WAITING, MOST_PER_KEY) == (2000, 64)
    for key in (lambda _: "one", str):
        turns, done = Turns(1, most=20, most_per_key=5), asyncio.Event()

        async def work(name: str, turns: Turns = turns, done: asyncio.Event = done) -> None:
            async with turns.taken(name):
                await done.wait()

        crowd = [asyncio.ensure_future(work(key(number))) for number in range(50)]
        await asyncio.sleep(0.01)
        refused = [task for task in crowd if task.done() and isinstance(task.exception(), RateLimited)]
        assert len(refused) == (44 if key("x") == "one" else 29)
        done.set()
        await asyncio.gather(*crowd, return_exceptions=True)


async def texts_of_accounts(kit: Kit) -> None:
    with pytest.raises(InvalidArguments):
        passwords.check_password("x" * (passwords.MAX_BYTES + 1))
    with pytest.raises(InvalidArguments):
        names.check_name("x" * (names.MAX_NAME_CHARS + 1))
    with pytest.raises(InvalidArguments):
        names.check_email("a" * names.MAX_EMAIL_CHARS + "@example.org")
    http = await kit.http()
    answer = await http.post("/public/apps/hypha-login/session", json={"token": "x" * page.MAX_BODY_BYTES})
    assert answer.status_code == 413

    async def receive() -> Message:
        part = bytes(functions_page.MAX_BODY_BYTES // 4)
        return {"type": "http.request", "body": part, "more_body": True}

    with pytest.raises(FrameTooLarge):
        await functions_page.event_of(Request({"type": "http", "method": "POST"}, receive), root_user())


async def invitations(kit: Kit) -> None:
    kit.patch.setattr(invitations_module, "MAX_KEPT", 3)
    store = await kit.store()
    admittance = Admittance(
        Invitations(store), AccountOptions(sign_up="invitation"), Codes("secret", lambda: 0.0)
    )
    for uses, note in (
        (invitations_module.MAX_USES + 1, ""),
        (1, "x" * (invitations_module.MAX_NOTE_CHARS + 1)),
    ):
        with pytest.raises(InvalidArguments):
            await admittance.invite("root", None, uses, "", note)
    with pytest.raises(QuotaExceeded):
        for _ in range(5):
            await admittance.invite("root", None, 1, "", "")
    with pytest.raises(InvalidArguments):
        await admittance.list(0, invitations_module.MAX_LISTED + 1)


async def known_places(kit: Kit) -> None:
    bench = Bench(await kit.store())
    await bench.account()
    account = await bench.records.find("ann@example.org")
    assert account is not None
    async with bench.records._connections.writing() as connection:
        for number in range(MAX_PLACES + 20):
            await _know(connection, account.id, f"place-{number}", float(number))
    known = [await bench.records.knows(f"place-{number}", -1.0) for number in range(MAX_PLACES + 20)]
    assert sum(known) == MAX_PLACES and not known[0]


async def provider_sign_ins(kit: Kit) -> None:
    kit.patch.setattr(oidc_attempts, "MAX_USED", 20)
    attempts = oidc_attempts.Attempts(secrets.token_bytes(32))
    for _ in range(100):
        attempt = Attempt.begin("lab", "", "")
        assert attempts.open(attempts.seal(attempt), "lab", attempt.state) is not None
    assert len(attempts._used) <= 20
    lab = Provider(id="lab", name="Lab", client_id="c", discovery_url="https://l/x", roles_claim="roles")
    assert len(roles_of(lab, {"roles": [f"r{number}" for number in range(1000)]})) <= MAX_ROLES
    read: list[int] = []
    kit.patch.setattr(keysets, "_read_key", lambda key: (read.append(1), ("RS256", None))[1])
    keysets.read_keys({"keys": [{"kid": str(number)} for number in range(1000)]})
    assert len(read) == keysets._MAX_KEYS

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(bytes(64 * 1024))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    kit.stack.callback(server.close)
    provider = web.ProviderWeb()
    kit.stack.push_async_callback(provider.close)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(BackendUnavailable):
        await provider.send("GET", f"http://127.0.0.1:{port}/keys")


async def terminal(kit: Kit) -> None:
    kit.patch.setattr(terminal_module, "MAX_SCREEN_CHARS", 1000)
    shell = Terminal({"app": None, "store": None})
    await shell.execute("print('x' * 100_000)")
    assert len(shell._printed()) <= 1000
    shell._show("x" * 100_000)
    assert len(shell.screen) <= 1000
    await shell.write("x" * (terminal_module.MAX_COMMAND_CHARS + 1))
    assert "dropped" in shell.read()
    kit.patch.setattr(terminal_module, "MAX_SCREEN_CHARS", 100_000)
    kit.patch.setattr(terminal_module, "MAX_UNFINISHED_LINES", 50)
    await shell.write("(\n" + "1,\n" * (terminal_module.MAX_UNFINISHED_LINES + 1))
    assert "dropped" in shell.read()
