"""`functions` services: the path chooses a function, which gets the request and returns the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, cast

from starlette.types import Message

from hypha.errors import NotFound
from hypha.gateways.asgi_apps.answers import as_headers, names_origin
from hypha.gateways.asgi_apps.mount import Mount
from hypha.gateways.asgi_apps.outgoing import is_bodyless
from hypha.gateways.context import GatewayContext
from hypha.gateways.http.bodies import read_body
from hypha.gateways.http.results import json_of
from hypha.registry.described import is_function, schema_at
from hypha.web.downloads import keep_answer
from hypha.web.function_pages import JSON_TYPE, PageAnswer, content_of
from hypha.web.headers import by_name
from hypha.web.leaving import note_leaving, while_there
from hypha.web.scope import HEADERS, NAMED
from hypha.web.workbench import holding_of

INDEX = "index"
DEFAULT = "default"


def choose_function(functions: Mapping[str, Any], path: str) -> str | None:
    """Dotted name of the function for a path, in a tree whose leaves are function schemas.

    The function at the path itself; else the `index` of the group there; else the top `default`.
    """
    words = [word for word in path.split("/") if word]
    if words and is_function(schema_at(functions, words)):
        return ".".join(words)
    if is_function(schema_at(functions, [*words, INDEX])):
        return ".".join([*words, INDEX])
    return DEFAULT if is_function(functions.get(DEFAULT)) else None


class FunctionsApp:
    """Answers one request from a `functions` service."""

    def __init__(self, services: GatewayContext, mount: Mount) -> None:
        self._services = services
        self._mount = mount

    async def run(self) -> None:
        """Find the function, call it, send what it returns.

        Raises:
            NotFound: no function fits the path. CallFailed: it raised.
        """
        services, mount = self._services, self._mount
        calling, record, context = services.calling, mount.record, mount.context
        functions = await calling.pages(record, context, services.call_timeout_s)
        name = choose_function(functions, mount.path)
        if name is None:
            raise NotFound(f"Function not found: {mount.path.lstrip('/')[:200]}")
        bound, most = calling.intake(record, name, context).max_bytes, services.max_body_bytes
        event = await self._event(most if bound is None else min(most, bound))
        if name == DEFAULT:
            event["function_path"] = mount.path
        await self._answer(await calling.call(record, name, [event], {}, context, services.call_timeout_s))

    async def _event(self, max_bytes: int) -> dict[str, Any]:
        """The request as one value (docs/applications.md#functions-services)."""
        mount = self._mount
        headers = by_name(mount.visit.headers)
        scope = mount.scope
        body = await read_body(mount.receive, scope[HEADERS], max_bytes, holding_of(scope))
        return {
            **mount.plain_scope(),
            "headers": _as_text(headers),
            "query_string": mount.visit.query_string.decode("latin-1"),
            "raw_path": mount.raw_path.decode("latin-1"),
            "body": body or None,
        }

    async def _answer(self, result: Any) -> None:
        services, mount = self._services, self._mount
        answer = PageAnswer.of(result)
        headers = as_headers(answer.fields)
        start: Message = {"type": "http.response.start", "status": answer.status, "headers": headers}
        start[NAMED] = names_origin(answer.fields, mount.scope)
        if not answer.is_value:
            record, context, timeout_s = mount.record, mount.context, services.call_timeout_s
            items = services.calling.items(record, answer.body, context, timeout_s)
            if items is not None:
                await self._stream(start, items)
                return
        data, kind = answer.content or (await json_of(mount.scope, answer.body), JSON_TYPE)
        start["headers"] = [
            *answer.with_type(headers, kind),
            (b"content-length", b"%d" % len(data)),
        ]
        await keep_answer(mount.scope, len(data))
        await mount.send(start)
        await mount.send({"type": "http.response.body", "body": data})

    async def _stream(self, start: Message, items: AsyncIterator[Any]) -> None:
        services, mount = self._services, self._mount
        has_body = not is_bodyless(start["status"], mount.scope["method"])
        watching = asyncio.create_task(note_leaving(mount.receive, mount.send.left))
        try:
            await mount.send(start)
            async with (
                services.lasting.watching(mount.context),
                aclosing(cast(Any, items)),
                aclosing(while_there(items, mount.send.left)) as parts,
            ):
                async for item in parts:
                    if not has_body:
                        break
                    part = (content_of(item) or (await json_of(mount.scope, item), JSON_TYPE))[0]
                    await mount.send({"type": "http.response.body", "body": part, "more_body": True})
        finally:
            watching.cancel()
        await mount.send({"type": "http.response.body", "body": b""})


def _as_text(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Headers as a map of text, without names that would make a function of it, or end a program in Node."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers.items()
        if not name.startswith((b"_r", b"__proto__"))
    }
