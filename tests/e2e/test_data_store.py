"""A data store as its users write one: a `functions` application that hands out addresses."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from hypha.testing import ServerProcess
from tests.kit.clients import Connect


class DataStore:
    """Keeps things for as long as its client is there."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, Any]] = {}
        self._address = ""

    async def offer(self, client: Any) -> None:
        """Register it as a service."""
        service = await client.register_service(
            {"id": "data-store", "type": "functions", "config": {"visibility": "public"}, "get": self.get}
        )
        name = service.id.split(":")[1]
        self._address = f"{client.config.public_base_url}/{client.config.workspace}/apps/{name}/get"

    def put(self, value: Any, kind: str) -> str:
        """The address of something."""
        name = str(uuid.uuid4())
        self._kept[name] = (kind, value)
        return f"{self._address}?id={name}"

    def get(self, scope: dict[str, Any]) -> dict[str, Any]:
        """Answer a request for something."""
        found = self._kept.get(parse_qs(scope["query_string"]).get("id", [""])[0])
        if found is None:
            return {"status": 404, "headers": {"Content-Type": "text/plain"}, "body": "Not found"}
        kind, value = found
        body = value if isinstance(value, str | bytes) else json.dumps(value)
        return {"status": 200, "headers": {"Content-Type": kind}, "body": body}


@pytest.mark.spec("artifacts-C7.4")
async def test_texts_bytes_and_json_have_an_address(server: ServerProcess, connect: Connect) -> None:
    store = DataStore()
    await store.offer(await connect())
    async with httpx.AsyncClient(base_url=server.url) as http:
        for value, kind in (
            ("größer", "text/plain; charset=utf-8"),
            (bytes(range(256)), "application/octet-stream"),
            ({"a": [1, None, "ü"]}, "application/json"),
        ):
            answer = await http.get(store.put(value, kind))
            assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
            shown = answer.content if isinstance(value, bytes) else answer.text
            assert (answer.json() if isinstance(value, dict) else shown) == value
        missing = await http.get(store.put("x", "text/plain") + "0")
        assert (missing.status_code, missing.text) == (404, "Not found")
