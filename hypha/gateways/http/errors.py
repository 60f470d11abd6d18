"""HTTP status and text of errors that a callee raised (docs/http.md#errors)."""

from __future__ import annotations

import builtins
from collections.abc import MutableMapping
from typing import Any

from hypha.errors import CallFailed
from hypha.web.errors import ErrorAnswer, error_answer
from hypha.wire.tracebacks import MAX_READ_CHARS, raised_in, read_ends, remote_error

__all__ = ["MAX_DETAIL_CHARS", "MAX_READ_CHARS", "call_error_answer", "remote_error", "status_of"]

MAX_DETAIL_CHARS = 4000
_STATUS_OF_TYPE = {
    "KeyError": 404,
    "FileNotFoundError": 404,
    "PermissionError": 403,
    "TypeError": 400,
    "ValueError": 400,
    "AssertionError": 400,
    "ValidationError": 400,
    "TimeoutError": 504,
}
_OWN_TEXTS = (
    ("Permission denied for ", 403),
    ("Service not found: ", 404),
    ("Method not found: ", 404),
    ("Method expired or not found: ", 404),
    ("Session not found: ", 404),
)
"""With which the client libraries and the server refuse a call, whatever type it passes on as."""


def call_error_answer(
    error: BaseException, scope: MutableMapping[str, Any], *, expose: bool = False
) -> ErrorAnswer:
    """What an HTTP caller is told about a failed call.

    Args:
        expose: add the callee's traceback (HYPHA_EXPOSE_DETAILED_ERRORS).
    """
    if not isinstance(error, CallFailed):
        return error_answer(error, scope)
    kind, message = raised_in(error)
    shown = message[:MAX_DETAIL_CHARS]
    detail = f"RemoteException: {kind}: {shown}" if kind else f"RemoteException: {shown}"
    if expose:
        detail = f"{detail}\n{read_ends(error.trace or error.message)}"
    status = status_of(kind, message) if type(error) is CallFailed else error.status
    return error_answer(error, scope, status=status, detail=detail)


def status_of(kind: str, message: str) -> int:
    """HTTP status for the type of a callee's error; its words count only where they are our own."""
    for start, status in _OWN_TEXTS:
        if message.startswith(start):
            return status
    known = _STATUS_OF_TYPE.get(kind)
    if known is None and isinstance(raised := getattr(builtins, kind, None), type):
        known = next(
            (_STATUS_OF_TYPE[base.__name__] for base in raised.__mro__ if base.__name__ in _STATUS_OF_TYPE),
            None,
        )
    return known or 500
