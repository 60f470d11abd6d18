"""Names of workspaces, clients and services, parsed once at the edge.

The forms are those of docs/spec/manager.md#service-ids and docs/spec/wire-protocol.md#client-ids.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from hypha.errors import InvalidAddress

_CLIENT_ID = re.compile(r"[^/:@*\s\x00-\x1f\x7f]{1,256}")
_WORKSPACE_ID = re.compile(r"[A-Za-z0-9_|-][A-Za-z0-9_|.@-]{0,127}")
_SERVICE_NAME = re.compile(r"[^/:@*\s\x00-\x1f\x7f]{1,256}")


def check_client_id(client_id: object) -> str:
    """Return the id if a client may have it, else raise InvalidAddress."""
    if not isinstance(client_id, str) or not _CLIENT_ID.fullmatch(client_id) or not client_id.isprintable():
        raise InvalidAddress(
            "Invalid client id: it must be 1 to 256 characters without '/', ':', '@', '*', spaces "
            "or control characters."
        )
    return client_id


def check_workspace_id(workspace: object) -> str:
    """Return the id if a workspace can have it, else raise InvalidAddress."""
    if not isinstance(workspace, str) or not _WORKSPACE_ID.fullmatch(workspace):
        raise InvalidAddress("Invalid workspace id: use up to 128 letters, digits, '-', '_', '|', '.'.")
    return workspace


def check_service_name(name: object) -> str:
    """Return the name if a service can have it, else raise InvalidAddress."""
    if not isinstance(name, str) or not _SERVICE_NAME.fullmatch(name):
        raise InvalidAddress(
            "Invalid service id: it must be 1 to 256 characters without '/', ':', '@', '*', spaces "
            "or control characters."
        )
    return name


class ServiceQuery(NamedTuple):
    """What a user asks for: `workspace/client:name@app`, with `*` where left open."""

    workspace: str
    client_id: str
    name: str
    app_id: str = "*"

    def __str__(self) -> str:
        return f"{self.workspace}/{self.client_id}:{self.name}@{self.app_id}"

    @classmethod
    def parse(cls, text: object, current_workspace: str) -> ServiceQuery:
        """Parse each short form, completed by the caller's workspace (docs/spec/manager.md#service-ids)."""
        if not isinstance(text, str) or not text:
            raise InvalidAddress("Service id must be a non-empty string.")
        for mark in "/:@":
            if text.count(mark) > 1:
                raise InvalidAddress(f"Service id must contain at most one '{mark}', got {text[:200]!r}")
        rest, _, app_id = text.partition("@")
        workspace, slash, local = rest.partition("/")
        if not slash:
            workspace, local = current_workspace, rest
        client_id, colon, name = local.partition(":")
        if not colon:
            client_id, name = "*", local
        if workspace == "*":
            raise InvalidAddress(
                "You must specify a workspace for the service query, otherwise please call list_services "
                f"to find the service, got {text[:200]!r}"
            )
        if name == "*" or not name:
            raise InvalidAddress(f"Service id cannot be a wildcard or empty, got {text[:200]!r}")
        return cls(workspace, client_id or "*", name, app_id or "*")


def service_id(workspace: str, client_id: str, name: str) -> str:
    """Full id of a service without its app: `workspace/client:name`."""
    return f"{workspace}/{client_id}:{name}"


def fold_email(email: str) -> str:
    """The form in which e-mail addresses are compared: without regard to case.

    Not by case folding, under which `ß` and `ss` are the same: they are two mailboxes. Nor are domains
    the same with `ς` and `σ`; before `@` they are, because both have one capital letter.
    """
    name, at, domain = email.rpartition("@")
    folded = name.lower().replace("ς", "σ") + at + "".join(char.lower() for char in domain)
    return unicodedata.normalize("NFC", folded)
