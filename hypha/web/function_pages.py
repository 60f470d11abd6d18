"""What a function answers to a web request: a map of status, headers and body; any other value is JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypha.errors import InvalidRequest
from hypha.values import is_whole
from hypha.web.headers import Headers, fields_of

JSON_TYPE = b"application/json"
_TEXT_TYPE = b"text/plain; charset=utf-8"
_HTML_TYPE = b"text/html; charset=utf-8"
_BYTES_TYPE = b"application/octet-stream"
_WITHOUT_TYPE = (204, 304)


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """One answer; `is_value` says that the body is a value of any kind, which is written as JSON."""

    status: int
    fields: Headers
    body: Any
    is_value: bool = False

    @classmethod
    def of(cls, result: Any) -> PageAnswer:
        """Read what a function returned.

        Raises:
            InvalidRequest: a status that HTTP does not know, or malformed headers.
        """
        if not is_answer(result):
            return cls(200, [(b"content-type", JSON_TYPE)], result, is_value=True)
        fields = given_fields(result.get("headers"))
        return cls(as_status(result.get("status", 200)), fields, result.get("body"))

    @property
    def content(self) -> tuple[bytes, bytes] | None:
        """Bytes and type of the body; None for what is written as JSON."""
        return None if self.is_value else content_of(self.body)

    def with_type(self, fields: Headers, kind: bytes) -> Headers:
        """Fields of the answer with the type of its body, where it has none of its own."""
        if self.status in _WITHOUT_TYPE or any(name == b"content-type" for name, _ in fields):
            return fields
        return [*fields, (b"content-type", kind)]


def is_answer(result: Any) -> bool:
    """True for status, headers and body; any other value that a function returns is answered as JSON."""
    return isinstance(result, Mapping) and bool(result.keys() & {"status", "headers", "body"})


def content_of(body: Any) -> tuple[bytes, bytes] | None:
    """Bytes and type of a body, or of a part of one; None for what is written as JSON."""
    if body is None:
        return b"", _TEXT_TYPE
    if isinstance(body, str):
        return body.encode(), _HTML_TYPE if body.lstrip()[:1] == "<" else _TEXT_TYPE
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body), _BYTES_TYPE
    return None


def as_status(value: Any) -> int:
    """A status that HTTP knows."""
    if is_whole(value) and 200 <= value <= 599:
        return value
    raise InvalidRequest(f"The application answered with the status {str(value)[:20]!r}.")


def given_fields(value: Any) -> Headers:
    """Header fields from pairs or a map of text or bytes, or lists of them.

    Raises:
        InvalidRequest: a name or a value is not what HTTP allows there.
    """
    try:
        return fields_of(value)
    except ValueError:
        raise InvalidRequest("The application answered with malformed headers.") from None
