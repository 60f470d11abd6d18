"""HTTP status and text of errors that a callee raised (core-api 5.4)."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

from hypha.errors import CallFailed
from hypha.web.errors import ErrorAnswer, error_answer

_TRACEBACK = "Traceback (most recent call last):"
_EXCEPTION = re.compile(r"([A-Za-z_][\w.]{0,199})(?::[ ]?(.*))?", re.DOTALL)
_PREFIXES = re.compile(r"(?:(?:RemoteException|RemoteError|CallFailed):\s*)*+")
_STATUS_OF_TYPE = {
    "KeyError": 404,
    "FileNotFoundError": 404,
    "PermissionError": 403,
    "TypeError": 400,
    "ValueError": 400,
    "AssertionError": 400,
    "TimeoutError": 504,
}
MAX_DETAIL_CHARS = 4000
MAX_READ_CHARS = 128 * 1024
"""Of a longer text the two ends are read."""


def remote_error(text: str, trace: str = "") -> tuple[str, str]:
    """Type name and message of an error as a client reports it.

    The Python client sends a whole traceback as the text, or the bare message with the traceback
    beside it; JavaScript sends `Type: message`. The last exception of a chain is the one that was
    raised. Nothing else of the traceback (it names the callee's files) is kept. The type is empty
    when neither names one.
    """
    text, trace = _ends(text), _ends(trace)
    if trace and _TRACEBACK not in text:
        kind, _ = remote_error(trace)
        if kind and not text.startswith(f"{kind}: "):
            return kind, text.strip()
    last = _after_traceback(text).strip()
    if prefixes := _PREFIXES.match(last):
        last = last[prefixes.end() :]
    match = _EXCEPTION.fullmatch(last)
    if match is None or not _names_a_type(match[1], match[2]):
        return "", last
    return match[1].rpartition(".")[2], (match[2] or "").strip()


def _ends(text: str) -> str:
    half = MAX_READ_CHARS // 2
    return text if len(text) <= MAX_READ_CHARS else f"{text[:half]} … {text[-half:]}"


def _after_traceback(text: str) -> str:
    head, mark, rest = text.rpartition(_TRACEBACK)
    if not mark:
        return text.partition("\n    at ")[0]
    lines = rest.split("\n")
    start = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith(" ")), None)
    return "\n".join(lines[start:]) if start is not None else head


def _names_a_type(name: str, message: str | None) -> bool:
    short = name.rpartition(".")[2]
    return short[:1].isupper() and (message is not None or short.endswith(("Error", "Exception")))


def call_error_answer(
    error: BaseException, scope: MutableMapping[str, Any], *, expose: bool = False
) -> ErrorAnswer:
    """What an HTTP caller is told about a failed call.

    Args:
        expose: add the callee's traceback (HYPHA_EXPOSE_DETAILED_ERRORS).
    """
    if not isinstance(error, CallFailed):
        return error_answer(error, scope)
    kind, message = remote_error(error.message, error.trace)
    shown = message[:MAX_DETAIL_CHARS]
    detail = f"RemoteException: {kind}: {shown}" if kind else f"RemoteException: {shown}"
    if expose:
        detail = f"{detail}\n{_ends(error.trace or error.message)}"
    status = status_of(kind, message) if type(error) is CallFailed else error.status
    return error_answer(error, scope, status=status, detail=detail)


def status_of(kind: str, message: str) -> int:
    """HTTP status for a callee's error type and message."""
    known = _STATUS_OF_TYPE.get(kind)
    if known is not None and known != 400:
        return known
    if "Permission denied" in message:
        return 403
    if "not found" in message.lower():
        return 404
    return known or 500
