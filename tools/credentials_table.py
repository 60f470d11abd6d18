"""The table of docs/security.md: who a request counts as, by its place, its credential and how it came."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

from hypha.auth.users import User
from hypha.testing.arrivals import REQUESTS, SOCKETS, Sample
from hypha.web.credentials import Credentials

OWN = "https://hub.example"
TOKEN = "token"
HEADER, BASIC, COOKIE = "H", "B", "C"


def carried(token: str) -> dict[str, list[dict[str, str]]]:
    """The ways in which a request carries a token, by their letters in the table."""
    basic = base64.b64encode(f"user:{token}".encode()).decode()
    return {
        HEADER: [
            {"authorization": f"Bearer {token}"}, {"authorization": token}, {"x-local-auth": token}
        ],
        BASIC: [{"authorization": f"Basic {basic}"}],
        COOKIE: [{"cookie": f"access_token={token}"}, {"cookie": f"hypha_local_token={token}"}],
    }  # fmt: skip


MOUNT = "/ws-user-ann/apps/desk/"
PLACES = {
    "functions, lists, descriptions": "/ws-user-ann/services/diary/note",
    "front page of an application": MOUNT,
    "inside of an application": f"{MOUNT}inside",
    "HTTP stream (`/rpc`)": "/rpc",
    "signing out, letting programs in": "/public/apps/hypha-login/approve",
}
STREAM, ACTS = list(PLACES)[3:]
SOCKET_PLACES = {"WebSocket of an application": f"{MOUNT}socket", "`/ws`": "/ws"}
SOCKET = list(SOCKET_PLACES)[1]


def credentials() -> Credentials:
    """The rule itself, with one person whose token is `TOKEN`."""

    async def authenticate(token: str) -> User:
        assert token == TOKEN
        return User("ann")

    found = Credentials(authenticate, None)  # type: ignore[arg-type]
    found.accept_header(b"x-local-auth")
    found.accept_cookie(b"hypha_local_token")
    return found


def scope_of(sample: Sample, carrying: Mapping[str, str], path: str, kind: str = "http") -> dict[str, Any]:
    """The request as the server gets it."""
    headers = {"host": "hub.example", **sample.sent(OWN, MOUNT), **carrying}
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": kind, "scheme": "https" if kind == "http" else "wss", "method": sample.method, "path": path,
        "query_string": b"", "headers": lines, "root_path": "",
    }  # fmt: skip


async def counts(sample: Sample, carrying: Mapping[str, str], place: str) -> bool:
    """Whether a request counts as the person's at one of `PLACES` or `SOCKET_PLACES`."""
    rule = credentials()
    if place in SOCKET_PLACES:
        scope = scope_of(sample, carrying, SOCKET_PLACES[place], "websocket")
        return place != SOCKET and await rule.token(scope) is not None
    scope = scope_of(sample, carrying, PLACES[place])
    if place == ACTS and not rule.may_act(scope):
        return False
    return await rule.token(scope, with_cookies=place != STREAM) is not None


async def letters(sample: Sample, place: str) -> str:
    """Which credentials count for a request at a place."""
    if place == ACTS and sample.method != "POST":
        return ""
    found = []
    for letter, ways in carried(TOKEN).items():
        outcomes = {await counts(sample, carrying, place) for carrying in ways}
        assert len(outcomes) == 1, "ways of one letter count alike"
        found.append(letter if outcomes.pop() else "·")
    return " ".join(found)


def table() -> str:
    """The tables as Markdown."""
    return f"{_table(REQUESTS, list(PLACES), 'request')}\n{_table(SOCKETS, list(SOCKET_PLACES), 'WebSocket')}"


def _table(samples: Mapping[str, Sample], places: list[str], what: str) -> str:
    head = [f"the {what} came by", *places]
    lines = [_row(head), "|---" * len(head) + "|"]
    for name, sample in samples.items():
        lines.append(_row([name, *(asyncio.run(letters(sample, place)) for place in places)]))
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
