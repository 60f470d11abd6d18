"""What happens when the owner of an address comes forward for an account that somebody made with it.

Until then the address confers nothing, and whoever made the account may be anybody. So nothing that
was done with it before goes on by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypha.auth.tokens import TokenAuthority
    from hypha.features.accounts.held import Held
    from hypha.features.accounts.records import Account, AccountCode, Accounts

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FreshStart:
    """Proves addresses of accounts. `held` is None where there are no workspaces to take."""

    records: Accounts
    tokens: TokenAuthority
    held: Held | None
    clock: Callable[[], float]

    async def by_mailbox(self, code: AccountCode, account: Account, values: Mapping[str, Any]) -> int | None:
        """The owner of the mailbox takes the account over; whoever knew its password before is out.

        Ends all tokens that descend from it, takes its workspaces, deletes its own one, and takes the
        role admin, which was given to whoever made it. Returns how many tokens ended, or None if the
        code was used meanwhile.
        """
        if account.is_admin:
            logger.warning(
                "The account %s is no administrator any more: somebody else may have made it before its "
                "e-mail address was proven.", account.id,
            )  # fmt: skip
        return await self._begin(code, account, {**values, "is_admin": False})

    async def by_holder(self, code: AccountCode, account: Account, session: str | None) -> int | None:
        """Whoever knows the account's password owns the mailbox too: role and own workspace stay theirs.

        All tokens end but that of fingerprint `session`, and workspaces are taken, because others may
        have had a part in them. Returns as `by_mailbox`.
        """
        return await self._begin(code, account, {}, keep=session, keeps_own=True)

    async def _begin(
        self,
        code: AccountCode,
        account: Account,
        values: Mapping[str, Any],
        *,
        keep: str | None = None,
        keeps_own: bool = False,
    ) -> int | None:
        now = self.clock()
        until = now + self.tokens.reconnection_life_s
        async with self.held.changing(account.id) if self.held is not None else nullcontext():
            taken = await self.records.prove(
                code, account.id, values, now, until, keep=keep, keeps_own=keeps_own
            )
            if taken is None:
                return None
            self.tokens.revocations.apply(taken.ended)
            if self.held is not None:
                await self.held.apply(taken)
        return len(taken.ended)
