"""The first messages of a connection (docs/spec/wire-protocol.md#connecting)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from hypha.errors import HyphaError, InvalidRequest

MAX_FIRST_MESSAGE_BYTES = 64 * 1024
MAX_CONTROL_CHARS = 1000
MAX_CLOSE_REASON_BYTES = 123
OBSOLETE_QUERY_KEYS = frozenset({"workspace", "client_id", "token", "reconnection_token"})


class Refused(HyphaError):
    """A handshake is refused for good: the text is sent, then the socket is closed with the code.

    `kind` is what it would be in answer to a request. `user_id` is who was refused, where that is known;
    a stranger is who showed no valid credential.
    """

    code, status = "refused", 403

    def __init__(
        self, message: str, close_code: int = 1001, *, kind: type[HyphaError] = InvalidRequest
    ) -> None:
        super().__init__(message)
        self.close_code = close_code
        self.kind = kind
        self.user_id = ""
        self.is_stranger = True


class Busy(HyphaError):
    """Too many handshakes at once; the client may try again (closed without an error text)."""

    code, status, retry = "busy", 503, "yes"


@dataclass(frozen=True, slots=True)
class FirstMessage:
    """What a client says about itself; `reconnection_token` wins over `token`."""

    client_id: str
    workspace: str | None = None
    token: str | None = None
    reconnection_token: str | None = None


def _text(message: dict[str, Any], key: str) -> str | None:
    value = message.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Refused(f"Failed to decode authentication information: '{key}' must be text", 1003)
    return value


def parse_first_message(text: str | bytes) -> FirstMessage:
    """Read the client's first text message; unknown keys are ignored.

    Raises:
        Refused: not JSON, not an object, wrong types (1003), or without `client_id` (1001).
    """
    if len(text) > MAX_FIRST_MESSAGE_BYTES:
        raise Refused("Failed to decode authentication information: message too long", 1003)
    try:
        message = orjson.loads(text)
    except ValueError:
        raise Refused("Failed to decode authentication information", 1003) from None
    if not isinstance(message, dict):
        raise Refused("Failed to decode authentication information: not an object", 1003)
    client_id = _text(message, "client_id")
    if client_id is None:
        raise Refused(
            "Failed to establish connection: Failed to authenticate user to workspace: client_id is required"
        )
    return FirstMessage(
        client_id,
        _text(message, "workspace"),
        _token(message, "token"),
        _token(message, "reconnection_token"),
    )


def _token(message: dict[str, Any], key: str) -> str | None:
    """A token; what was read from a file often ends with a line end."""
    value = _text(message, key)
    return value and (value.strip() or value)


def parse_control(text: str) -> str | None:
    """Return the `type` of a control message after the handshake, or None if it is to be ignored."""
    if len(text) > MAX_CONTROL_CHARS:
        return None
    try:
        message = orjson.loads(text)
    except ValueError:
        return None
    kind = message.get("type") if isinstance(message, dict) else None
    return kind if isinstance(kind, str) else None


def close_reason(text: str) -> str:
    """Cut a close reason to the 123 bytes that a close frame can carry, at a character boundary."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= MAX_CLOSE_REASON_BYTES:
        return raw.decode()
    return raw[: MAX_CLOSE_REASON_BYTES - 3].decode("utf-8", "ignore") + "..."


def control(message: dict[str, Any]) -> str:
    """Encode a control message as JSON text."""
    return orjson.dumps(message).decode()
