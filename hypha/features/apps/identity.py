"""Who a session is: its client id, and a token with the rights of whoever started it, which ends with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypha.auth.minting import program_of
from hypha.auth.scopes import DRAFT_PREFIX, FIXED_PREFIX
from hypha.auth.tokens import fingerprint
from hypha.ids import random_id, spoken_id

if TYPE_CHECKING:
    from hypha.auth.guard import Guard
    from hypha.auth.tokens import TokenAuthority
    from hypha.auth.users import Context

PREFIX, SUFFIX = "_rapp_", "__rlb"
"""Client ids of apps begin and end so; the suffix asks for their load to be measured."""
SESSION_LIFE_S = 30 * 86400.0
DAEMON_LIFE_S = 365 * 86400.0


def new_client_id() -> str:
    """A client id that nobody can guess."""
    return f"{PREFIX}{spoken_id()}-{random_id(8)}{SUFFIX}"


@dataclass(frozen=True, slots=True)
class SessionToken:
    """A token, of whom it is, and by what and until when it can be revoked (Unix time, s)."""

    token: str
    user_id: str
    mark: str
    until: float


class Identities:
    """Makes and ends the tokens of sessions."""

    def __init__(self, tokens: TokenAuthority, guard: Guard) -> None:
        self._tokens = tokens
        self._guard = guard

    async def issue(
        self, context: Context, client_id: str, app_id: str, *, stage: bool, daemon: bool, revision: str
    ) -> SessionToken:
        """A token for a program that a caller starts, good for one client id.

        With `stage` it reads of the app what is staged, with a `revision` nothing else than that.

        Raises:
            PermissionDenied: the caller may not start programs there.
        """
        words = [f"{DRAFT_PREFIX}{app_id}"] if stage else []
        words += [f"{FIXED_PREFIX}{app_id}@{revision}"] if revision else []
        user = program_of(context, client_id, context.level(), tuple(words))
        life_s = min(DAEMON_LIFE_S if daemon else SESSION_LIFE_S, self._tokens.max_life_s)
        name = f"app {app_id}"
        token = await self._guard.issue_token(self._tokens, user, life_s, maker=context.user, name=name)
        _, until = await self._tokens.revocable(token)
        return SessionToken(token, user.id, fingerprint(token), until)

    async def end(self, mark: str, until: float) -> None:
        """Revoke a session's token, and what was made with it; its client is disconnected.

        Raises:
            BackendUnavailable: it could not be written.
        """
        if not mark:
            return
        await self._guard.take_back_mark(self._tokens, mark, until)
