"""Damaged, forged and monstrous tokens at every door: refused as not valid, never a fault of the server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hypha.testing import RawRefused, ServerProcess
from tests.kit.clients import ConnectRaw

LOGIN = "/public/services/hypha-login"
HEADER = b'{"alg":"HS256","typ":"JWT"}'
OURS = "https://amun.ai/"


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    audience = "https://amun-ai.eu.auth0.com/api/v2/"
    whole = {"iss": OURS, "aud": audience, "sub": "eve", "iat": now, "exp": now + 600}
    return {**whole, "scope": "ws:ws-user-eve#a", f"{OURS}roles": [], **more}


def signed(secret: str, payload: bytes | dict[str, Any], header: bytes = HEADER) -> str:
    """Any header and any payload, with a right signature."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    text = f"{encoded(header)}.{encoded(body)}"
    return f"{text}.{encoded(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def bad_tokens(secret: str) -> dict[str, str]:
    whole = json.dumps(claims()).encode()
    unsigned = encoded(b'{"alg":"none"}') + "." + encoded(whole)
    tokens = {
        "none": f"{unsigned}.",
        "none, with the signature": signed(secret, claims(), b'{"alg":"none"}'),
        "alg twice": signed(secret, claims(), b'{"alg":"HS256","alg":"none"}'),
        "no alg": signed(secret, claims(), b"{}"),
        "deep header": signed(secret, claims(), b"[" * 5000),
        "critical extension": signed(secret, claims(), b'{"alg":"HS256","crit":["x"],"x":1}'),
        "unencoded payload": signed(secret, claims(), b'{"alg":"HS256","b64":false,"crit":["b64"]}'),
        "another key": signed("x" * 40, claims()),
        "no key": signed("", claims()),
        "its own key": signed("own", claims(), b'{"alg":"HS256","jwk":{"kty":"oct","k":"b3du"}}'),
        "deep payload": signed(secret, b"[" * 7000),
        "deep claim": signed(secret, whole[:-1] + b',"x":' + b"[" * 3000 + b"]" * 3000 + b"}"),
        "no object": signed(secret, b"[1]"),
        "no json": signed(secret, b"hello"),
        "huge": signed(secret, claims(x="x" * 14_000)),
        "half": signed(secret, claims())[:-20],
        "encrypted": "a.b.c.d.e",
        "junk": "~" * 50,
    }
    wrong: dict[str, Any] = {
        "exp": [10**400, -1, None, "5", True, [1]],
        "nbf": [10**400, "x", 4e9],
        "sub": [5, ["root"], {"id": "root"}, None, "", "a/b", "\ud800", "x" * 5000, "u\u202e", "*"],
        "aud": [5, None, [], ["x"], {}],
        "iss": [5, None, [OURS], "https://elsewhere/"],
        "scope": [5, {"ws:*#a": 1}, [["ws:*#a"]], "ws:x#a \ud800"],
        f"{OURS}roles": ["admin", {"admin": 1}, [["admin"]], True, ["\ud800"]],
        f"{OURS}parent": [5, ["x"], "\ud800"],
        f"{OURS}email": ["a\ud800@x.org"],
    }
    for name, values in wrong.items():
        for value in values:
            tokens[f"{name} = {value!r}"[:60]] = signed(secret, claims(**{name: value}))
    return tokens


@pytest.fixture(scope="module")
def own() -> Iterator[ServerProcess]:
    """A server of its own: so many mistakes slow their sender down at the login service."""
    running = ServerProcess()
    try:
        yield running.start()
    finally:
        running.close()


NAMES = list(bad_tokens("any"))


@pytest.mark.spec("core-A2", "core-H4")
@pytest.mark.parametrize("name", NAMES)
async def test_a_bad_token_is_refused_at_every_door(
    own: ServerProcess, connect_raw: ConnectRaw, name: str
) -> None:
    token = bad_tokens(own.secret or "")[name]
    with pytest.raises(RawRefused, match=r"^(Authentication error|Failed to (decode|establish))") as refused:
        await connect_raw(url=own.ws_url, token=token)
    assert "server failed" not in str(refused.value)
    bearer = {"Authorization": b"Bearer " + token.encode()}
    async with httpx.AsyncClient(base_url=own.url) as http:
        key = (await http.post(f"{LOGIN}/start", json={})).json()["key"]
        answers = [
            await http.get("/public/services/ws/check_status", headers=bearer),
            await http.get("/rpc?client_id=x", headers=bearer),
            await http.get(f"{LOGIN}/profile", headers=bearer),
            await http.get("/ws-user-eve/info", headers={"Cookie": b"access_token=" + token.encode()}),
        ]
        reported = await http.post(f"{LOGIN}/report", json={"key": key, "token": token})
    assert [answer.status_code for answer in answers] == [401] * 4, [answer.text for answer in answers]
    assert reported.status_code == 400 and "Invalid token provided" in reported.text
    for answer in (*answers, reported):
        assert "Traceback" not in answer.text and token not in answer.text


async def test_the_same_claims_unspoilt_are_accepted(own: ServerProcess, connect_raw: ConnectRaw) -> None:
    client = await connect_raw(url=own.ws_url, token=signed(own.secret or "", claims()))
    assert client.workspace == "ws-user-eve"
