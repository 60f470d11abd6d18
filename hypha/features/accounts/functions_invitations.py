"""Functions of administrators on invitations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.features.accounts.answers import Answer, FunctionGroup, answered
from hypha.features.accounts.codes import INVITATION_MARK

if TYPE_CHECKING:
    from hypha.auth.audit import AuditLog
    from hypha.features.accounts.invitations import Admittance
    from hypha.features.sign_in import Handler

NAMES = ("create_invitation", "list_invitations", "revoke_invitation")


class InvitationFunctions(FunctionGroup):
    """Invitations to make an account, for holders of the role admin."""

    def __init__(self, admittance: Admittance, page_url: str, audit: AuditLog) -> None:
        super().__init__(audit)
        self._admittance = admittance
        self._page_url = page_url

    def handlers(self) -> dict[str, Handler]:
        """All functions by name."""
        return {name: getattr(self, name) for name in NAMES}

    @permission(Level.ADMIN, by_root=True)
    @answered
    async def create_invitation(
        self,
        expires_in: float | None = None,
        uses: int = 1,
        email: str | None = None,
        note: str = "",
        *,
        context: Context,
    ) -> Answer:
        """Make an invitation, with which somebody can make an account.

        Only a hash of it is kept: it cannot be shown again.

        Args:
            expires_in: seconds for which it is good (7 days; at most 366).
            uses: how many accounts may be made with it.
            email: the only address that may use it; absent: any.
            note: what it is for, for those who list invitations.

        Returns:
            `link` to send to the person, `invitation` (its secret part), `id`, `expires_at` (Unix time), and
            what was given.
        """
        code, made = await self._admittance.invite(context.user.id, expires_in, uses, email, note)
        detail = {"invitation": made["id"], "uses": uses}
        self._note("invitation_made", context.user.id, context, **detail)
        return {**made, "invitation": code, "link": f"{self._page_url}{INVITATION_MARK}{code}"}

    @permission(Level.ADMIN, by_root=True)
    @answered
    async def list_invitations(self, offset: int = 0, limit: int = 100, *, context: Context) -> Answer:
        """List the invitations, the newest first; those that are over for a month at most.

        Args:
            offset: how many to skip.
            limit: how many at most (1000).

        Returns:
            `invitations`, each with `id`, `email`, `note`, `uses`, `used`, `created_by`, `created_at`,
            `expires_at` and `is_good`.
        """
        return {"invitations": await self._admittance.list(offset, limit)}

    @permission(Level.ADMIN, by_root=True)
    @answered
    async def revoke_invitation(self, id: str = "", *, context: Context) -> Answer:
        """Take an invitation back; accounts that were made with it stay.

        Args:
            id: its id from `list_invitations`.
        """
        await self._admittance.revoke(id)
        self._note("invitation_revoked", context.user.id, context, invitation=id)
        return {"id": id}
