"""What all rules of local accounts share: the parts they work with, and who somebody is."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import User
from hypha.errors import BackendUnavailable, InvalidArguments, NotAuthenticated
from hypha.features.accounts.attempts import Attempts, Origin
from hypha.features.accounts.devices import Devices
from hypha.features.accounts.fresh_start import FreshStart
from hypha.features.accounts.invitations import Admittance
from hypha.features.accounts.passwords import Passwords, check_password
from hypha.features.accounts.records import Account
from hypha.ids import readable_id

if TYPE_CHECKING:
    from hypha.auth.tokens import TokenAuthority
    from hypha.features.accounts.codes import Codes
    from hypha.features.accounts.held import Held
    from hypha.features.accounts.invitation_records import Invitations
    from hypha.features.accounts.mail import Letter, Mail
    from hypha.features.accounts.options import AccountOptions
    from hypha.features.accounts.records import Accounts
    from hypha.features.accounts.throttle import Throttle
    from hypha.workspaces.lifecycle import Workspaces

ID_PREFIX = "local-"


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change of an account did; `ended` counts the tokens that ended with it."""

    account_id: str
    has_new_password: bool
    ended: int


class AccountRules:
    """Everything that the rules acknowledge is in the store.

    Args:
        held: takes workspaces from accounts whose address is proven later; None where there are none.
        invitations: where they are kept; None where there are none.
        start: runs work that nobody waits for.
        admit: raises for a user who is blocked.

    `origin` in the methods is where the caller is, as far as known: an address will do.
    """

    def __init__(
        self,
        records: Accounts,
        tokens: TokenAuthority,
        workspaces: Workspaces,
        options: AccountOptions,
        codes: Codes,
        *,
        mail: Mail | None,
        base_url: str,
        held: Held | None = None,
        invitations: Invitations | None = None,
        start: Callable[[Coroutine[Any, Any, Any], str], bool],
        admit: Callable[[User], object] = lambda _: None,
        passwords: Passwords | None = None,
        throttle: Throttle | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._tokens = tokens
        self._workspaces = workspaces
        self._options = options
        self._codes = codes
        self.mail = mail
        self._base_url = base_url
        self._start = start
        self._admit = admit
        self._passwords = passwords or Passwords()
        self.devices = Devices(records, codes.secret, clock)
        self._attempts = Attempts(options, self.devices, throttle)
        self._clock = clock
        self.admittance = Admittance(invitations, options, codes, clock)
        self._fresh_start = FreshStart(records, tokens, held, clock)

    def close(self) -> None:
        """Let go of threads."""
        self._passwords.close()
        if self.mail is not None:
            self.mail.close()

    async def account_of(self, user: User) -> Account | None:
        """The account of a signed-in person; None for everybody else.

        Child tokens are somebody else's, and a sign-in that was limited to a workspace is not for what
        lies outside of it.
        """
        if user.is_anonymous or user.parent is not None or not user.id.startswith(ID_PREFIX):
            return None
        if user.scope.level(user.own_workspace) < Level.ADMIN:
            return None
        return await self._records.get(user.id)

    def user_of(self, account: Account) -> User:
        """The user of an account.

        The e-mail address goes into tokens only when it is proven, since workspaces may be owned
        by address.
        """
        own = f"ws-user-{account.id}"
        roles = ("admin",) if account.is_admin else ()
        scope = Scope({own: Level.ADMIN}, None)
        return User(account.id, roles, email=account.email if account.is_proven else None, scope=scope)

    async def _new_account(
        self,
        name: str,
        email: str,
        folded: str,
        password: str,
        *,
        is_proven: bool = False,
        is_admin: bool = False,
    ) -> Account:
        return Account(
            await self._free_id(), email, folded, name, password, is_proven, is_admin, self._clock()
        )

    async def _free_id(self) -> str:
        """An id with a prefix of its own, which no account, workspace or token from elsewhere has."""
        while True:
            account_id = f"{ID_PREFIX}{readable_id()}"
            taken = await self._records.get(account_id)
            if taken is None and await self._workspaces.load(f"ws-user-{account_id}") is None:
                return account_id

    async def _check_current(
        self, account: Account | None, folded: str, current: object, origin: Origin
    ) -> None:
        """Check the present password, in the same way whether there is an account or not.

        Raises:
            NotAuthenticated: it is missing or wrong, or there is no account; which is not told.
            RateLimited: too many attempts.
        """
        secret = check_password(current or "")
        guess = await self._attempts.guess("password", folded, origin)
        if not secret:
            raise NotAuthenticated("Current password is required")
        kept = account.password if account is not None else None
        if not await self._passwords.matches(kept, secret, guess.place, first=guess.is_known):
            raise NotAuthenticated("Current password is incorrect")
        self._attempts.was_right(guess)

    def _outlived(self) -> float:
        """When the last token that comes from a sign-in of now will have expired."""
        return self._clock() + self._tokens.reconnection_life_s

    async def _send(self, folded: str, kind: str, letter: Letter, *, is_silent: bool = False) -> None:
        """Send a letter that was counted for its recipient.

        What was counted is given back if it fails, unless `is_silent`: where nobody is told whether
        there was a letter, the next attempt must not tell either.

        Raises:
            RateLimited: too many go out.
            BackendUnavailable: it was not taken.
        """
        if self.mail is None:
            return
        self._attempts.letter_of_all(kind)
        try:
            await self.mail.send(letter)
        except BackendUnavailable:
            if not is_silent:
                self._attempts.letter_failed(kind, folded)
            raise


def required(*values: object) -> None:
    """Raise InvalidArguments unless all are given."""
    if not all(values):
        raise InvalidArguments("Name, email and password are required")
