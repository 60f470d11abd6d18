"""How every error looks over HTTP: one body, one place that decides what may be told."""

from __future__ import annotations

import logging
import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException

from hypha.errors import HyphaError, LimitReached, NotAuthenticated, ServerFault, UnsupportedContent
from hypha.ids import random_id
from hypha.web.scope import REQUEST_ID

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_STATUS_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    414: "target_too_long",
    415: "unsupported_type",
    417: "expectation_failed",
    426: "upgrade_required",
    431: "head_too_large",
    501: "not_implemented",
    505: "version_not_supported",
}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """Status, body and extra headers of one refused or failed request."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def request_id(scope: MutableMapping[str, Any]) -> str:
    """Id of a request: the caller's `X-Request-ID` if it is well formed, else a new one."""
    known = scope.get(REQUEST_ID)
    if isinstance(known, str):
        return known
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    name: str = given.decode() if _REQUEST_ID.fullmatch(given) else random_id(16)
    scope[REQUEST_ID] = name
    return name


def error_answer(
    error: BaseException,
    scope: MutableMapping[str, Any],
    *,
    status: int | None = None,
    detail: str | None = None,
) -> ErrorAnswer:
    """Turn any exception into what a stranger may read about it.

    Errors of our own tree and HTTP refusals of the router tell their sentence; everything else is
    a fault of the server: logged with its traceback under the request id, told only by that id.
    """
    name = request_id(scope)
    if isinstance(error, HTTPException):
        return _router_refusal(error, name)
    if not isinstance(error, HyphaError):
        logger.error("request %s failed: %s %s", name, scope["method"], scope["path"], exc_info=error)
        error = ServerFault(f"The server failed to handle this request. Tell its operator the id {name}.")
    body: dict[str, Any] = {
        "success": False,
        "detail": error.message if detail is None else detail,
        "code": error.code,
        "request_id": name,
    }
    if error.hint:
        body["hint"] = error.hint
    return ErrorAnswer(status or error.status, orjson.dumps(body), tuple(_headers_for(error)))


def _headers_for(error: HyphaError) -> list[tuple[bytes, bytes]]:
    headers = []
    if isinstance(error, LimitReached) and error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after_s))).encode()))
    if isinstance(error, NotAuthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, UnsupportedContent) and error.accept_encoding:
        headers.append((b"accept-encoding", error.accept_encoding.encode()))
    return headers


def _router_refusal(error: HTTPException, name: str) -> ErrorAnswer:
    detail = error.detail or HTTPStatus(error.status_code).phrase
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        detail = f"Method not allowed; this address takes {allowed}." if allowed else "Method not allowed."
    code = _STATUS_CODES.get(error.status_code, "invalid_request")
    body = orjson.dumps({"success": False, "detail": detail, "code": code, "request_id": name})
    headers = tuple((key.lower().encode(), value.encode()) for key, value in (error.headers or {}).items())
    return ErrorAnswer(error.status_code, body, headers)
