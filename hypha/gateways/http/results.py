"""Results of calls as HTTP answers: JSON, msgpack, or a stream of items."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Protocol

import orjson
from starlette.responses import Response
from starlette.types import Receive, Send

from hypha.errors import CallFailed, HyphaError, ResultNotJson
from hypha.gateways.http.codings import accepts_gzip, zip_pieces
from hypha.gateways.http.json_form import PLAIN, JsonForm, JsonWriter, is_weighty
from hypha.web.downloads import WHOLE_BYTES, keep_answer
from hypha.web.leaving import note_leaving, while_there
from hypha.web.scope import HEADERS
from hypha.web.workbench import Holding, holding_of
from hypha.wire.frames import pack
from hypha.wire.json_turns import dumps_in_turns
from hypha.wire.packed import is_large, pack_in_turns
from hypha.wire.pieces import pack_pieces
from hypha.wire.tracebacks import raised_in
from hypha.wire.values import is_short

logger = logging.getLogger(__name__)

JSON_HEADER = (b"content-type", b"application/json")
MSGPACK_HEADER = (b"content-type", b"application/msgpack")
_STREAM_HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
_CONTAINERS = (dict, list)
LARGE_BYTES = 64 * 1024
"""Of bytes in a value: turning more into text is work for a thread."""


class ItemStream(Protocol):
    """An async iterator that can be closed early."""

    def __aiter__(self) -> AsyncIterator[Any]:
        """The items."""

    async def aclose(self) -> None:
        """Stop; the producer is told."""


def is_generator(value: Any) -> bool:
    """True for the encoded form of a generator (docs/spec/wire-protocol.md#generators)."""
    return type(value) is dict and value.get("_rtype") == "generator"


def function_schema(value: Mapping[str, Any]) -> dict[str, Any]:
    """How a function inside a value appears to an HTTP caller."""
    schema = value.get("_rschema")
    if isinstance(schema, Mapping):
        inner = schema.get("function") if schema.get("type") == "function" else schema
        return {"type": "function", "function": inner}
    name = value.get("_rname") or str(value.get("_rmethod", "")).rpartition(".")[2]
    return {"type": "function", "function": {"name": name, "description": value.get("_rdoc") or ""}}


def presentable(value: Any, writer: JsonWriter | None = None) -> Any:
    """The value with every function replaced by its schema; the same object if nothing changes.

    With a `writer` other tagged maps become plain values, too.
    """
    if type(value) is dict:
        tag = value.get("_rtype")
        if tag == "method":
            return function_schema(value)
        if tag == "generator":
            return {"type": "generator"}
        if writer is not None and isinstance(tag, str):
            turned = writer.turn(tag, value)
            if turned is not value:
                return presentable(turned, writer)
        if tag is None and value.get("_rintf"):
            value = {key: item for key, item in value.items() if key != "_rintf"}
        changed = None
        for key, item in value.items():
            if type(item) in _CONTAINERS:
                new = presentable(item, writer)
                if new is not item:
                    changed = changed if changed is not None else dict(value)
                    changed[key] = new
        return value if changed is None else changed
    if type(value) is list:
        if not any(type(item) in _CONTAINERS for item in value):
            return value
        items = [presentable(item, writer) if type(item) in _CONTAINERS else item for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def encode_json(value: Any, form: JsonForm = PLAIN) -> bytes:
    """JSON of a result.

    Raises:
        ResultNotJson: the result holds a thing that JSON cannot carry, or too much of it.
    """
    return b"".join(_json_pieces(value, JsonWriter(form), in_turns=False))


def _json_pieces(value: Any, writer: JsonWriter, *, in_turns: bool) -> list[bytes]:
    return _written(presentable(value, writer), writer, in_turns=in_turns)


def _written(value: Any, writer: JsonWriter, *, in_turns: bool) -> list[bytes]:
    try:
        return _dumps(value, writer, in_turns=in_turns)
    except orjson.JSONEncodeError as error:
        if isinstance(error.__cause__, ResultNotJson):
            raise error.__cause__ from None
        with_keys = _with_text_keys(value, writer)
        if with_keys is value:
            raise ResultNotJson(f"TypeError: the result cannot be written as JSON: {error}") from None
    return _json_pieces(with_keys, writer, in_turns=in_turns)


def _with_text_keys(value: Any, writer: JsonWriter) -> Any:
    """The value with text for bytes and times as keys; the same object if it has none."""
    if type(value) is dict:
        changed = {writer.text_key(key): _with_text_keys(item, writer) for key, item in value.items()}
        is_same = all(old is new for old, new in zip(value, changed, strict=False))
        is_same = is_same and all(value[key] is item for key, item in changed.items() if key in value)
        return value if is_same and len(changed) == len(value) else changed
    if type(value) is list:
        items = [_with_text_keys(item, writer) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def _dumps(value: Any, writer: JsonWriter, *, in_turns: bool) -> list[bytes]:
    option = orjson.OPT_NON_STR_KEYS
    if "numpy" in sys.modules:  # orjson would import it, which takes a tenth of a second
        option |= orjson.OPT_SERIALIZE_NUMPY
    if in_turns:
        return dumps_in_turns(value, writer.default, option)
    return [orjson.dumps(value, default=writer.default, option=option)]


async def json_of(scope: Mapping[str, Any], value: Any) -> bytes:
    """JSON of a result; a large one is made in the asker's share of the threads.

    Raises:
        ResultNotJson: as from `encode_json`.
    """
    if not _is_heavy(value, False):
        return encode_json(value)
    return b"".join(await holding_of(scope).work(partial(_large_pieces, value, False, JsonWriter(PLAIN))))


def encode_msgpack(value: Any) -> bytes:
    """MessagePack of a result."""
    return b"".join(pack_pieces(presentable(value)))


async def send_value(
    send: Send,
    value: Any,
    *,
    as_msgpack: bool,
    scope: Mapping[str, Any] | None = None,
    form: JsonForm = PLAIN,
) -> None:
    """Answer 200 with one value.

    Args:
        scope: of the request, which pays for work on a large value in a thread.
    """
    headers = [MSGPACK_HEADER if as_msgpack else JSON_HEADER]
    writer = JsonWriter(form)
    if is_short(value):  # there is nothing to present in another way
        pieces = [pack(value)] if as_msgpack else _written(value, writer, in_turns=False)
    elif scope is None or not _holds_much(value, as_msgpack):
        pieces = (
            pack_pieces(presentable(value)) if as_msgpack else _json_pieces(value, writer, in_turns=False)
        )
    else:
        pieces, more = await made_in_thread(scope, partial(_large_pieces, value, as_msgpack, writer))
        headers += more
    if writer.note:
        headers.append((b"x-json-values", writer.note.encode()))
    size = sum(map(len, pieces))
    if size > WHOLE_BYTES and scope is not None:
        await keep_answer(scope, size)
    headers.append((b"content-length", b"%d" % size))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for piece in pieces[:-1]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": pieces[-1]})


def _is_heavy(value: Any, as_msgpack: bool) -> bool:
    return not is_short(value) and _holds_much(value, as_msgpack)


def _holds_much(value: Any, as_msgpack: bool) -> bool:
    return is_large(value) or (not as_msgpack and is_weighty(value, LARGE_BYTES))


async def value_response(scope: Mapping[str, Any], value: Any, *, as_msgpack: bool) -> Response:
    """The same as a response of a route."""
    kind = "application/msgpack" if as_msgpack else "application/json"
    if not _is_heavy(value, as_msgpack):
        return Response(encode_msgpack(value) if as_msgpack else encode_json(value), media_type=kind)
    return await response_made_in_thread(
        scope, partial(_large_pieces, value, as_msgpack, JsonWriter(PLAIN)), kind
    )


async def response_made_in_thread(
    scope: Mapping[str, Any], make: Callable[[], list[bytes]], media_type: str
) -> Response:
    """A response whose body takes long to make; who asks for it pays."""
    pieces, headers = await made_in_thread(scope, make)
    more = {name.decode(): value.decode() for name, value in headers}
    return Response(b"".join(pieces), headers=more, media_type=media_type)


async def made_in_thread(
    scope: Mapping[str, Any], make: Callable[[], list[bytes]]
) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    """Make and pack a body in the asker's share of the threads; returns it and its headers."""
    zipped = accepts_gzip(scope[HEADERS].get(b"accept-encoding"))
    pieces = await holding_of(scope).work((lambda: zip_pieces(make())) if zipped else make)
    await keep_answer(scope, sum(map(len, pieces)))
    return pieces, [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")] if zipped else []


def _large_pieces(value: Any, as_msgpack: bool, writer: JsonWriter) -> list[bytes]:
    return pack_in_turns(presentable(value)) if as_msgpack else _json_pieces(value, writer, in_turns=True)


async def send_items(
    scope: Mapping[str, Any],
    send: Send,
    receive: Receive,
    items: ItemStream,
    *,
    as_msgpack: bool,
    expose: bool = False,
    form: JsonForm = PLAIN,
) -> None:
    """Answer 200 with the items of a generator, each sent when it is made.

    JSON callers get server-sent events (`data: <json>`, at the end `data: [DONE]`), msgpack callers
    one msgpack value after another. An error inside ends the stream as `{"error": …}`. When the
    caller goes away the generator is closed.
    """
    kind = MSGPACK_HEADER if as_msgpack else (b"content-type", b"text/event-stream; charset=utf-8")
    await send({"type": "http.response.start", "status": 200, "headers": [kind, *_STREAM_HEADERS]})
    left = asyncio.Event()
    watching = asyncio.ensure_future(note_leaving(receive, left))
    try:
        encode = partial(_encoded_item, holding_of(scope), as_msgpack, form)
        async with (
            aclosing(items),
            aclosing(_parts(items, left, encode, partial(_stream_error, expose))) as parts,
        ):
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    end = b"" if as_msgpack else b"data: [DONE]\n\n"
    await send({"type": "http.response.body", "body": end, "more_body": False})


async def _parts(
    items: ItemStream,
    left: asyncio.Event,
    encode: Callable[[Any], Awaitable[bytes]],
    told: Callable[[HyphaError], str],
) -> AsyncGenerator[bytes]:
    try:
        async with aclosing(while_there(aiter(items), left)) as those:
            async for item in those:
                yield await encode(item)
    except HyphaError as error:
        yield await encode({"error": told(error)})


def _encode_item(item: Any, as_msgpack: bool, form: JsonForm) -> bytes:
    return encode_msgpack(item) if as_msgpack else b"data: " + encode_json(item, form) + b"\n\n"


async def _encoded_item(holding: Holding, as_msgpack: bool, form: JsonForm, item: Any) -> bytes:
    """One item; a large one is made in the asker's share of the threads."""
    if not _is_heavy(item, as_msgpack):
        return _encode_item(item, as_msgpack, form)
    pieces = await holding.work(partial(_large_pieces, item, as_msgpack, JsonWriter(form)))
    return b"".join(pieces if as_msgpack else (b"data: ", *pieces, b"\n\n"))


def _stream_error(expose: bool, error: HyphaError) -> str:
    if not isinstance(error, CallFailed) or expose:
        return error.message
    kind, message = raised_in(error)
    return f"{kind}: {message}" if kind else message
