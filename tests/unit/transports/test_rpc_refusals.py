"""What a refused handshake is in answer to a request for a stream."""

from __future__ import annotations

import pytest

from hypha.errors import (
    AlreadyExists,
    HyphaError,
    InvalidRequest,
    NotAuthenticated,
    PermissionDenied,
    WorkspaceNotFound,
)
from hypha.transports.reception import PREFIX
from hypha.transports.rpc_endpoint import _refusal
from hypha.wire.handshake import Refused


@pytest.mark.parametrize(
    ("refused", "kind", "text"),
    [
        (Refused(f"{PREFIX}Invalid client id"), InvalidRequest, f"{PREFIX}Invalid client id"),
        (
            Refused(f"{PREFIX}Permission denied for workspace: lab-a", kind=PermissionDenied),
            PermissionDenied,
            "Permission denied for workspace lab-a",
        ),
        (Refused("x is blocked", 1008, kind=PermissionDenied), PermissionDenied, "x is blocked"),
        (Refused(f"{PREFIX}It is there", kind=AlreadyExists), AlreadyExists, f"{PREFIX}It is there"),
        (Refused(f"{PREFIX}'None'", kind=WorkspaceNotFound), WorkspaceNotFound, f"{PREFIX}'None'"),
        (
            Refused("Authentication error: no", kind=NotAuthenticated),
            NotAuthenticated,
            "Authentication error: no",
        ),
    ],
)
def test_a_refusal_is_told_by_its_kind(refused: Refused, kind: type[HyphaError], text: str) -> None:
    told = _refusal(refused, resuming=False)
    assert type(told) is kind and told.message == text


def test_what_a_client_writes_does_not_choose_the_status() -> None:
    told = _refusal(Refused(f"{PREFIX}Invalid client id: 'Permission denied, mismatch'"), resuming=True)
    assert type(told) is InvalidRequest


def test_who_comes_back_is_told_which_token_was_refused() -> None:
    told = _refusal(Refused("Client id mismatch", kind=NotAuthenticated), resuming=True)
    assert told.message == "Invalid reconnection token: Client id mismatch" and told.status == 401
