"""Who a newcomer is and in which workspace it acts (docs/spec/wire-protocol.md#first-message).

An anonymous newcomer and one that comes back with its reconnection token are admitted without
touching the database, unless the server restarted meanwhile: a JavaScript client
gives up when its socket dies before it has its answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hypha.addresses import check_client_id
from hypha.auth.scopes import Level
from hypha.auth.tokens import REVOKED_TEXT, TokenAuthority
from hypha.auth.users import OUTSIDER_TEXT, User, anonymous_user
from hypha.errors import (
    HyphaError,
    InvalidAddress,
    InvalidRequest,
    NotAuthenticated,
    PermissionDenied,
    WorkspaceNotFound,
)
from hypha.limits.turns import on_behalf_of
from hypha.store.records import WorkspaceRecord
from hypha.wire.handshake import FirstMessage, Refused
from hypha.workspaces.lifecycle import Workspaces
from hypha.workspaces.records import PERSONAL_PREFIX, PUBLIC

PREFIX = "Failed to establish connection: "
AUTHENTICATION_PREFIX = "Failed to authenticate user: "
POLICY_VIOLATION = 1008


@dataclass(frozen=True, slots=True)
class Identity:
    """A newcomer as the server knows it.

    `user` carries the rights found for `workspace`, none if the token with which it first came has
    expired; `resumes` says that a reconnection token proved it to be the one who had `client_id` before.
    """

    user: User
    workspace: str
    client_id: str
    resumes: bool = False


class Admission:
    """Turns a first message into an identity, or refuses it.

    A place in the workspace is kept for the newcomer until it joins. `clock` gives Unix seconds. Without
    `serves_anonymous` anonymous users are outsiders, who may sign in and nothing else.
    """

    def __init__(
        self,
        tokens: TokenAuthority,
        workspaces: Workspaces,
        clock: Callable[[], float] = time.time,
        *,
        serves_anonymous: bool = True,
    ) -> None:
        self._serves_anonymous = serves_anonymous
        self._tokens = tokens
        self._workspaces = workspaces
        self._clock = clock

    async def identify(self, first: FirstMessage) -> Identity:
        """Find out who a newcomer is.

        Raises:
            Refused: with the close code and text of docs/spec/wire-protocol.md#refusals.
            BackendUnavailable: the database is needed and does not answer; the client may try again.
        """
        try:
            check_client_id(first.client_id)
        except InvalidAddress as error:
            raise Refused(PREFIX + error.message) from None
        if first.reconnection_token is not None:
            return await self._returning(first, first.reconnection_token)
        if first.token is not None:
            return await self._with_token(first, first.token)
        return await self._anonymous(first)

    async def _anonymous(self, first: FirstMessage) -> Identity:
        level = Level.ADMIN if self._serves_anonymous else Level.NONE
        user = anonymous_user(level=level)
        if first.workspace is not None:
            if user.is_outsider:
                raise _refused(OUTSIDER_TEXT, user)
            return await self._enter(first, user, first.workspace)
        own = self._workspaces.open_new(user).id
        return Identity(user.within(own, first.client_id, level), own, first.client_id)

    async def _with_token(self, first: FirstMessage, token: str) -> Identity:
        user = await self._authenticate(token)
        scope = user.scope
        if scope.client_id is not None and scope.client_id != first.client_id:
            raise _refused(
                f"Client id mismatch: this token is restricted to client with client_id='{scope.client_id}'",
                kind=NotAuthenticated,
            )
        bound = None if user.is_root else scope.current_workspace
        wanted = first.workspace
        if wanted == PUBLIC and bound != PUBLIC and not user.is_root:
            wanted = bound or user.own_workspace
        if bound is not None and wanted is not None and wanted != bound:
            raise _refused(
                f"Current workspace encoded in the token ({bound}) does not match the specified "
                f"workspace ({wanted[:200]})"
            )
        return await self._enter(first, user, wanted or bound or user.own_workspace)

    async def _returning(self, first: FirstMessage, token: str) -> Identity:
        user = await self._authenticate(token, is_ours=True)
        workspace, client_id = user.scope.current_workspace, user.scope.client_id
        if workspace is None or client_id is None:
            raise _refused("Invalid reconnection token: it names no workspace or no client")
        if client_id != first.client_id:
            raise _refused("Client id mismatch, disconnecting", kind=NotAuthenticated)
        if first.workspace is not None and first.workspace != workspace:
            raise _refused(
                f"Invalid scope, workspace mismatch: {workspace} != {first.workspace[:200]}",
                kind=NotAuthenticated,
            )
        return await self._enter(first, user, workspace, resumes=True)

    async def _authenticate(self, token: str, *, is_ours: bool = False) -> User:
        """Whose token it is; reconnection tokens are `is_ours`: no provider is asked about them."""
        try:
            user = self._tokens.parse(token) if is_ours else await self._tokens.authenticate(token)
        except NotAuthenticated as error:
            if error.message == REVOKED_TEXT:
                raise _refused(AUTHENTICATION_PREFIX + REVOKED_TEXT, kind=NotAuthenticated) from None
            raise Refused(error.message, POLICY_VIOLATION, kind=NotAuthenticated) from None
        if user.is_anonymous and not self._serves_anonymous:
            raise _refused(OUTSIDER_TEXT, user)
        if user.scope.is_specialized:
            raise _refused(
                f"Specialized token with scopes {list(user.scope.extra_scopes)} cannot be used for general "
                "workspace access. Permission is limited to the endpoint that it was made for."
            )
        return user

    async def _enter(
        self, first: FirstMessage, user: User, workspace: str, *, resumes: bool = False
    ) -> Identity:
        try:
            if user.is_anonymous:
                record = await self._workspaces.open(workspace, user, returning=resumes)
            else:
                with on_behalf_of(user.party):  # no longer of its address, which strangers share
                    record = await self._workspaces.open(workspace, user, returning=resumes)
        except WorkspaceNotFound as error:
            raise _refused(f"'{error.message}'", user, WorkspaceNotFound) from None
        if resumes and _is_newer(record, user):
            raise _refused(
                f"Permission denied for workspace: {workspace}, which was made anew", user, PermissionDenied
            )
        level = self._workspaces.level_for(user, record)
        if level < Level.READ:
            raise _refused(f"Permission denied for workspace: {workspace}", user, PermissionDenied)
        acting = user.within(workspace, first.client_id, level)
        if acting.lapses_at is not None and acting.lapses_at <= self._clock():
            acting = acting.lapsed()
        return Identity(acting, workspace, first.client_id, resumes)


def _is_newer(record: WorkspaceRecord, returning: User) -> bool:
    """True if the workspace is not the one that a reconnection token was made for.

    A person's own is made again for that person and those who descend from them; others who were in it
    are as strange to the new one as anywhere.
    """
    person = record.id.removeprefix(PERSONAL_PREFIX)
    if person != record.id and person in (returning.id, returning.parent):
        return False
    return returning.minted_at is not None and record.created_at > returning.minted_at


def _refused(text: str, user: User | None = None, kind: type[HyphaError] = InvalidRequest) -> Refused:
    refusal = Refused(PREFIX + text, kind=kind)
    if user is not None:
        refusal.user_id, refusal.is_stranger = user.id, user.is_anonymous
    return refusal
