"""What routes of files share: what a query says, the parts of an upload, plain answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive

from hypha.errors import InvalidRequest, UnprocessableContent
from hypha.objects.urls import Reach, reach_of
from hypha.values import NO, YES
from hypha.web.bodies import read_whole

MAX_PARTS_BYTES = 2 * 1024 * 1024
"""Of the list of the parts of an upload."""
_DIGITS = 12


def whole(query: Mapping[str, str], name: str, default: int) -> int:
    """A whole number of a query.

    Raises:
        UnprocessableContent: it is none.
    """
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
        raise UnprocessableContent(f"{name} is a whole number.")
    return int(text)


def is_true(query: Mapping[str, str], name: str) -> bool:
    """Whether a query says yes."""
    return query.get(name, "").lower() in YES


def reach_in(query: Mapping[str, str]) -> Reach:
    """How a query says with `use_proxy` and `use_local_url` that somebody comes to the bytes.

    Raises:
        InvalidRequest: the second is neither yes, no, nor an address.
    """
    base = query.get("use_local_url", "")
    proxied = is_true(query, "use_proxy") if "use_proxy" in query else None
    return reach_of(proxied, base.lower() in YES if not base or base.lower() in YES | NO else base)


async def told_parts(receive: Receive) -> tuple[Any, Any]:
    """Id and parts of an upload that is complete, unchecked, as the body of a request tells them.

    Raises:
        InvalidRequest: the body is no such object. FrameTooLarge, ClientLeft: see `read_whole`.
    """
    try:
        given = orjson.loads(await read_whole(receive, MAX_PARTS_BYTES))
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise InvalidRequest("The body is JSON: {upload_id, parts: [{part_number, etag}]}.")
    return given.get("upload_id", ""), given.get("parts", [])


def json_answer(value: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    """A small value as JSON."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


def told_room(kept: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Headers that tell how many bytes of a kind a workspace keeps, and may keep (`Workspaces.kept`)."""
    row = kept.get(kind)
    if row is None:
        return {}
    return {"X-Storage-Used": str(row["used_bytes"]), "X-Storage-Limit": str(row["limit_bytes"])}


def method_refused(allowed: str) -> Response:
    """The answer to a method that a route of files does not take; `allowed` lists those that it does."""
    refusal = {"success": False, "detail": "Method not allowed.", "code": "method_not_allowed"}
    return json_answer(refusal, {"Allow": allowed}, 405)
