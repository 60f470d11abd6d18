"""The page of the terminal worker: what it is made of, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.workers.terminal.web import page_service

SERVICE = page_service("public/abc:terminal-worker")


async def asked(path: str, method: str = "GET", type: str = "http") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    await SERVICE["serve"]({"scope": {"type": type, "path": path, "method": method}, "send": send})
    return sent


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/", b"text/html; charset=utf-8", b"<title>Terminals</title>"),
        ("/terminal.js", b"text/javascript", b"resize_terminal"),
        ("/terminal.css", b"text/css", b"#screen"),
        ("/config.json", b"application/json", b'{"worker": "public/abc:terminal-worker"}'),
    ],
)
async def test_it_is_served_with_a_policy_of_its_own(path: str, kind: bytes, words: bytes) -> None:
    start, body = await asked(path)
    headers = {bytes(name): bytes(value) for name, value in start["headers"]}
    assert (start["status"], headers[b"content-type"]) == (200, kind) and words in body["body"]
    assert b"default-src 'none'" in headers[b"content-security-policy"]
    assert headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize(
    ("path", "method"), [("/../web.py", "GET"), ("/none", "GET"), ("/", "POST"), ("/pages/index.html", "GET")]
)
async def test_nothing_else_is(path: str, method: str) -> None:
    start, body = await asked(path, method)
    assert (start["status"], body["body"]) == (404, b"Not found")
    assert (await asked(path, type="websocket"))[0]["type"] == "websocket.close"
