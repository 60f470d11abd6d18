"""What watches over access: the blocklist, the audit log and the register of generated tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from hypha.auth.audit import AuditLog
from hypha.auth.blocklist import Blocklist
from hypha.auth.issued import IssuedTokens
from hypha.auth.revocation import line_of
from hypha.auth.tokens import TokenAuthority, fingerprint
from hypha.auth.users import Context, User
from hypha.errors import HyphaError

if TYPE_CHECKING:
    from hypha.settings import Settings
    from hypha.store import Store
    from hypha.store.blocklist import BlockRecord
    from hypha.store.issued_tokens import TokenKind


class Sender(Protocol):
    """A client of the hub, as far as it is noted."""

    @property
    def user(self) -> User:
        """Who it is."""

    @property
    def workspace(self) -> str:
        """Where it is."""

    @property
    def peer_address(self) -> str:
        """Its network address, as far as it is known."""


@dataclass(slots=True)
class Guard:
    """The three, together; without a store nothing is blocked, noted or registered."""

    blocklist: Blocklist = field(default_factory=Blocklist)
    audit: AuditLog = field(default_factory=AuditLog)
    issued: IssuedTokens | None = None

    @classmethod
    async def open(
        cls,
        store: Store,
        tokens: TokenAuthority,
        settings: Settings,
        on_blocked: Callable[[BlockRecord], None],
    ) -> Self:
        """Make the three on a store; `on_blocked` ends the connections of who was just blocked."""
        audit = AuditLog(
            store.audit, keep_s=settings.audit_retention_s, keep_entries=settings.audit_max_entries
        )
        blocklist = Blocklist(store.blocks)
        await blocklist.load()
        blocklist.on_blocked = on_blocked
        issued = IssuedTokens(store.issued_tokens, tokens, max_per_user=settings.max_tokens_per_user)
        return cls(blocklist, audit, issued)

    async def issue_token(
        self,
        tokens: TokenAuthority,
        user: User,
        life_s: float,
        *,
        maker: User,
        name: str | None,
        kind: TokenKind = "generated",
    ) -> str:
        """Sign a token and write it down; it is on disk when this returns.

        Raises:
            BackendUnavailable: it could not be written.
        """
        token = await tokens.issue(user, life_s)
        if self.issued is not None:
            await self.issued.record(fingerprint(token), user, maker, name, life_s, kind)
        return token

    async def take_back_token(self, tokens: TokenAuthority, token: str) -> int:
        """Make a token and those that were made with it invalid for good; their connections are closed.

        Returns how many tokens ended.
        """
        return await self.take_back_mark(tokens, *await tokens.revocable(token))

    async def take_back_mark(self, tokens: TokenAuthority, mark: str, expires_at: float) -> int:
        """The same for a token of which the fingerprint is known, and until when it is good (Unix, s)."""
        if self.issued is not None:
            return await self.issued.revoke(mark, expires_at)
        for each in (mark, line_of(mark)):
            await tokens.revocations.revoke(each, expires_at)
        return 1

    def note(self, action: str, context: Context, **detail: object) -> None:
        """Note something that a caller did, with plain details."""
        self.audit.note(action, context.user.id, context.workspace, detail=detail)

    def note_refused(self, context: Context, function: str, error: HyphaError) -> None:
        """Note that a built-in function refused its caller."""
        user = context.user
        self.audit.note(
            "access_refused",
            user.id,
            context.workspace,
            address=context.network_address,
            detail={"function": function, "reason": error.message},
            is_stranger=user.is_anonymous,
        )

    def note_refused_frame(self, client: Sender, workspace: str, what: str) -> None:
        """Note that something a client sent straight to another workspace was refused.

        Without the client's own words, so that many attempts are one entry.
        """
        self.audit.note(
            "access_refused",
            client.user.id,
            workspace[:128],
            address=client.peer_address,
            detail={"from": client.workspace, "what": what},
            is_stranger=client.user.is_anonymous,
        )

    def note_connected(self, user: User, workspace: str, address: str) -> None:
        """Note that somebody with a credential came in; anonymous users come and go unnoted."""
        if not user.is_anonymous:
            self.audit.note("connected", user.id, workspace, address=address)
