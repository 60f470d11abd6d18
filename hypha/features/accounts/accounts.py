"""Local accounts: signing in and changing what is one's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypha.addresses import fold_email
from hypha.auth.issued import record_of
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import fingerprint
from hypha.auth.users import User
from hypha.errors import InvalidArguments, NotAuthenticated, NotFound, PermissionDenied
from hypha.features.accounts.attempts import Origin
from hypha.features.accounts.names import check_email, check_name
from hypha.features.accounts.passwords import check_new_password, check_password
from hypha.features.accounts.records import Account
from hypha.features.accounts.recovery import Recovery
from hypha.features.accounts.rules import Changed
from hypha.features.accounts.signing_up import SigningUp
from hypha.web.client_address import throttled

TOKEN_LIFE_S = 24 * 3600.0
BAD_LOGIN = "Invalid email or password"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who gave the right password, and a fresh token of theirs."""

    account: Account
    token: str
    workspace: str


class LocalAccounts(SigningUp, Recovery):
    """All rules of local accounts."""

    async def sign_in(
        self, email: object, password: object, origin: Origin | str, workspace: str | None = None
    ) -> SignedIn:
        """A token of 24 h for the right password.

        `workspace` narrows the token to one in which the person has a right already.

        Raises:
            NotAuthenticated: no such account or another password; which of the two is not told.
            PermissionDenied: the person has no right in the workspace.
            RateLimited: too many attempts.
        """
        origin = Origin.of(origin)
        account = await self._check_login(email, password, origin)
        user = self.user_of(account)
        self._admit(user)
        if workspace and workspace != user.own_workspace:
            user = await self._narrowed(user, workspace)
        else:
            workspace = user.own_workspace
        token = await self._tokens.issue(user, TOKEN_LIFE_S)
        mark, now = fingerprint(token), self._clock()
        session = record_of(mark, user, user, "sign-in", now, TOKEN_LIFE_S, "session")
        place = self.devices.mark(account.folded, origin.address)
        if not await self._records.add_session(account, session, place):
            raise NotAuthenticated(BAD_LOGIN)
        return SignedIn(account, token, workspace)

    async def _check_login(self, email: object, password: object, origin: Origin) -> Account:
        secret = check_password(password)
        try:
            folded = fold_email(check_email(email))
        except InvalidArguments:
            raise NotAuthenticated(BAD_LOGIN) from None
        guess = await self._attempts.guess("password", folded, origin)
        account = await self._records.find(folded)
        kept = account.password if account is not None else None
        matches = await self._passwords.matches(kept, secret, guess.place, first=guess.is_known)
        if account is None or not matches:
            if account is None and await self._records.is_empty():
                raise NotFound("No users registered yet. Please sign up first.")
            raise NotAuthenticated(BAD_LOGIN)
        self._attempts.was_right(guess)
        return account

    async def _narrowed(self, user: User, workspace: str) -> User:
        """The user with a scope of one workspace, at the level that is there already, without roles."""
        record = await self._workspaces.load(workspace)
        level = self._workspaces.level_for(user, record) if record is not None else Level.NONE
        if level is Level.NONE:
            raise PermissionDenied(f"You do not have any permission in the workspace {workspace[:128]}")
        return User(user.id, (), email=user.email, scope=Scope({workspace: level}, workspace))

    async def id_of(self, email: object) -> str:
        """The id of an account, for the audit log; empty if there is none."""
        try:
            account = await self._records.find(fold_email(check_email(email)))
        except InvalidArguments:
            return ""
        return account.id if account is not None else ""

    async def update_profile(
        self,
        caller: User,
        email: object,
        name: object,
        current: object,
        new: object,
        origin: Origin | str,
        *,
        revoke_tokens: bool = False,
    ) -> Changed:
        """Change name or password.

        The name may be changed by the signed-in person; a new password needs the current one too,
        and ends all sign-ins but the caller's own. With `revoke_tokens` the tokens that descend from
        the person end as well.

        Raises:
            NotAuthenticated: the caller did not show to be the account's owner, or there is none; which
                of the two is not told.
        """
        account, origin = await self.account_of(caller), Origin.of(origin)
        folded = fold_email(check_email(email)) if email or account is None else account.folded
        is_owner = account is not None and folded == account.folded
        if is_owner:
            origin = replace(origin, session=caller.credential or "")
        else:
            account = await self._records.find(folded)
        changes = self._checked(name, new)
        if new or not is_owner:
            await self._check_current(account, folded, current, origin)
        if account is None:
            raise NotAuthenticated("Current password is incorrect")
        if new:
            place = throttled(origin.address)
            changes["password"] = await self._passwords.hash(check_new_password(new), place)
        ended = await self._records.set_profile(
            account.id, changes, self._outlived(), keep=caller.credential, generated_too=revoke_tokens
        )
        self._tokens.revocations.apply(ended)
        return Changed(account.id, bool(new), len(ended))

    def _checked(self, name: object, new: object) -> dict[str, Any]:
        """What is to be set at once; refuses what could not be set before anything else is looked at."""
        if new:
            check_new_password(new)
        if not name and not new:
            raise InvalidArguments("Nothing to change: give a name or a new password")
        return {"name": check_name(name)} if name else {}
