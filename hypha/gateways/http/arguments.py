"""The arguments of one HTTP request: read, opened and parsed, large ones in a thread."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from functools import partial
from typing import Any

from starlette.types import Receive

from hypha.gateways.http.bodies import SMALL_BYTES, has_body, read_body
from hypha.gateways.http.function_values import refuse_functions
from hypha.gateways.http.parameters import (
    JSON_TYPE,
    Arguments,
    Schema,
    body_arguments,
    check_charset,
    check_media_type,
    media_type,
    query_arguments,
)
from hypha.registry.calling import Intake
from hypha.web.bodies import body_at_hand
from hypha.web.scope import ANSWER, HEADERS
from hypha.web.workbench import holding_of
from hypha.wire.packed import PackedList, PackedMap
from hypha.wire.values import MAX_DEPTH
from hypha.wire.weights import memory_of

UNCOUNTED_BYTES = 1024
"""What is in a smaller body is not counted while it waits for the answer: requests are few."""
QUICK_BYTES = 4096
"""A larger body may take milliseconds to parse: of many that are ready at once, some wait for later turns."""
_PLAIN_JSON = JSON_TYPE.encode()


async def request_arguments(
    scope: MutableMapping[str, Any],
    receive: Receive,
    pairs: Iterable[tuple[str, str]],
    schema: Schema | None,
    max_bytes: int,
    intake: Intake,
) -> Arguments:
    """Arguments from the query of a GET, or from the body of a POST.

    Args:
        pairs: the query, split.
        max_bytes: of a body, packed or not; the function may take less.
        intake: what the function takes; large arguments that are passed on are given as `PackedList` and
            `PackedMap`.

    Raises:
        FrameTooLarge, InvalidRequest, UnsupportedContent, RateLimited, ClientLeft: see `read_body`.
        LimitReached: too much of what the caller sent waits for answers.
    """
    if scope["method"] == "GET":
        return _checked(([], query_arguments(pairs, schema)), JSON_TYPE)
    headers = scope[HEADERS]
    content_type = headers.get(b"content-type")
    is_plain = content_type is None or content_type == _PLAIN_JSON  # most are so
    kind = JSON_TYPE if is_plain else media_type(content_type)
    if not is_plain and has_body(headers):
        check_media_type(kind)
    if intake.max_bytes is not None and intake.max_bytes < max_bytes:
        max_bytes = intake.max_bytes
    body = body_at_hand(receive, max_bytes) if b"content-encoding" not in headers else None
    if body is None:
        body = await read_body(receive, headers, max_bytes, holding_of(scope))
    if not is_plain:
        check_charset(content_type, body)
    if len(body) <= SMALL_BYTES:
        if len(body) > QUICK_BYTES:
            await holding_of(scope).begin()
        arguments = body_arguments(body, kind, schema, intake.max_values)
        if len(body) > UNCOUNTED_BYTES and ANSWER in scope:
            scope[ANSWER].hold(memory_of(arguments))
        return arguments if kind == JSON_TYPE and _is_harmless(body) else _checked(arguments, kind)
    holding = holding_of(scope)
    await holding.grow(len(body))
    job = partial(_large_arguments, body, kind, schema, intake.max_values, intake.is_passed_on)
    del body
    args, kwargs = await holding.work(job)
    if isinstance(args, PackedList) and isinstance(kwargs, PackedMap):
        holding.shrink(args.size_bytes + kwargs.size_bytes)
    return args, kwargs


def _large_arguments(
    body: bytes, kind: str, schema: Schema | None, max_values: int, passed_on: bool
) -> tuple[Any, Any]:
    args, kwargs = _checked(body_arguments(body, kind, schema, max_values), kind)
    return (PackedList(args), PackedMap(kwargs)) if passed_on else (args, kwargs)


def _is_harmless(text: bytes) -> bool:
    """Whether a JSON text shows that neither functions nor odd keys are in its values, nor deep lists."""
    is_plain = b"_r" not in text and b"\\" not in text and b"__p" not in text and b"hasOwn" not in text
    return is_plain and text.count(b"{") + text.count(b"[") < MAX_DEPTH


def _checked(arguments: Arguments, kind: str) -> Arguments:
    """The same; functions in them, and keys that some callees cannot read, are refused."""
    refuse_functions(*arguments, any_keys=kind != JSON_TYPE)
    return arguments
