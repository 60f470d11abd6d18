"""Local accounts: sign up, prove the address, sign in, change, reset (core-api 4.8, 11.1 #2 and #11)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from hypha.addresses import fold_email
from hypha.auth.issued import record_of
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority, fingerprint
from hypha.auth.users import User
from hypha.errors import (
    AlreadyExists,
    InvalidArguments,
    LimitReached,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    RateLimited,
)
from hypha.features.accounts.codes import FIRST_ADMIN, PROOF, RESET, SIGN_UP, Codes
from hypha.features.accounts.fresh_start import FreshStart
from hypha.features.accounts.letters import proof_letter, reset_letter, sign_up_letter, taken_letter
from hypha.features.accounts.mail import Mail
from hypha.features.accounts.names import check_email, check_name
from hypha.features.accounts.passwords import Passwords, check_new_password, check_password
from hypha.features.accounts.throttle import Allowance, Throttle
from hypha.ids import readable_id
from hypha.settings import Settings
from hypha.store.accounts import Account, AccountCode, Accounts
from hypha.web.client_address import throttled
from hypha.workspaces.held import Held
from hypha.workspaces.lifecycle import Workspaces

logger = logging.getLogger(__name__)

TOKEN_LIFE_S = 24 * 3600.0
ID_PREFIX = "local-"
WITHIN_S = 600.0
ADMIN_LINK_LIFE_S = 3600.0
_ANYWHERE = 10
"""An account may be tried so many times more from all addresses together than from one."""

BAD_LOGIN = "Invalid email or password"
NO_PENDING = "No pending verification for this email, or the code has expired. Please sign up again."
BAD_RESET = "The code is wrong or has expired. Please ask for a new one."
BAD_ADMIN_LINK = "This link was used or has expired. Restart the server to get a new one."


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who gave the right password, and a fresh token of theirs."""

    account: Account
    token: str
    workspace: str


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change of an account did; `ended` counts the tokens that ended with it."""

    account_id: str
    has_new_password: bool
    ended: int


class LocalAccounts:
    """The rules of local accounts; everything that it acknowledges is in the store.

    Args:
        start: runs work that nobody waits for.
        admit: raises for a user who is blocked.
        address: (in each method) where the caller is, as far as known; it is throttled with its
            account, so that neither guessing one password nor trying many accounts gets far.
    """

    def __init__(
        self,
        records: Accounts,
        tokens: TokenAuthority,
        workspaces: Workspaces,
        settings: Settings,
        codes: Codes,
        *,
        mail: Mail | None,
        base_url: str,
        held: Held | None = None,
        start: Callable[[Coroutine[Any, Any, Any], str], bool],
        admit: Callable[[User], object] = lambda _: None,
        passwords: Passwords | None = None,
        throttle: Throttle | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._tokens = tokens
        self._workspaces = workspaces
        self._settings = settings
        self._codes = codes
        self.mail = mail
        self._base_url = base_url
        self._start = start
        self._admit = admit
        self._passwords = passwords or Passwords()
        self._throttle = throttle or Throttle()
        self._clock = clock
        self._fresh_start = FreshStart(records, tokens, held, clock)

    # -- sign-up ---------------------------------------------------------------------------------

    async def sign_up(self, name: object, email: object, password: object, address: str) -> tuple[str, str]:
        """Begin an account; it exists once the code comes back. Returns (e-mail, code).

        Where e-mail is sent, the answer does not tell whether the address has an account: its owner
        gets a letter that says so. An account that was made while none was sent is no hindrance, it
        becomes theirs with the code.

        Raises:
            InvalidArguments: something is missing or not acceptable.
            AlreadyExists: the address has an account, on a server that sends no e-mail.
            PermissionDenied: people may not sign up here by themselves.
            LimitReached: too many sign-ups.
        """
        if not self._settings.allow_sign_up:
            raise PermissionDenied("People cannot sign up here by themselves. Please ask the administrator.")
        if not (name and email and password):
            raise InvalidArguments("Name, email and password are required")
        person, address_given, secret = check_name(name), check_email(email), check_new_password(password)
        folded = fold_email(address_given)
        self._throttle.take([*self._guessing("sign-up", folded, address)])
        account = await self._records.find(folded)
        if account is not None and self.mail is None:
            raise AlreadyExists("Email already registered")
        now = self._clock()
        if await self._records.count_codes(SIGN_UP, now) >= self._settings.verification_max_pending:
            await self._records.drop_expired(now)
            raise LimitReached("Too many sign-ups are waiting for their codes. Please try again later.")
        is_taken = account is not None and account.is_proven
        hashed = await self._passwords.hash(secret)
        data = {"name": person, "email": address_given, "password": hashed, "taken": is_taken}
        return address_given, await self._send_sign_up_code(folded, data)

    async def _send_sign_up_code(self, folded: str, data: dict[str, Any]) -> str:
        life_s = self._settings.verification_code_ttl_s
        text, code = self._codes.make(SIGN_UP, folded, life_s, {**data, "mailed": self.mail is not None})
        await self._records.put_code(code)
        if self.mail is not None:
            letter = (
                taken_letter(data["email"], self._base_url)
                if data.get("taken")
                else sign_up_letter(data["email"], text, life_s, self._base_url)
            )
            await self.mail.send(letter)
        return text

    async def verify_email(
        self, email: object, code: object, address: str, password: object = None
    ) -> Account:
        """Make the account that a code stands for.

        With the password of the sign-up nobody else's sign-up for the same address is confirmed,
        which could have been begun to slip another password under it.

        Raises:
            InvalidArguments: no code is waiting, or it is another one; says how many tries are left.
        """
        folded = fold_email(check_email(email))
        most = self._settings.verification_max_attempts
        self._throttle.take(self._by_address(address))
        waiting = await self._records.code(SIGN_UP, folded)
        if waiting is None or waiting.expires_at <= self._clock():
            raise InvalidArguments(NO_PENDING)
        tried = await self._records.try_code(SIGN_UP, folded, self._clock(), most)
        if tried is None:
            raise InvalidArguments("Too many incorrect attempts. Please sign up again.")
        if not self._codes.fits(tried, code) or tried.data.get("taken"):
            left = most - tried.attempts
            if left <= 0:
                raise InvalidArguments("Too many incorrect attempts. Please sign up again.")
            raise InvalidArguments(f"Incorrect code. {left} attempt(s) remaining.")
        if password and not await self._passwords.matches(tried.data["password"], check_password(password)):
            raise InvalidArguments(
                "This code belongs to a sign-up with another password. Please sign up again."
            )
        account = await self._redeem_sign_up(tried)
        if account is None:
            raise InvalidArguments(NO_PENDING)
        return account

    async def _redeem_sign_up(self, code: AccountCode) -> Account | None:
        """The account that a right code stands for; None if the address has got one meanwhile."""
        is_proven = bool(code.data.get("mailed"))
        before = await self._records.find(code.subject)
        if before is not None and is_proven and not before.is_proven:
            values = {name: code.data[name] for name in ("name", "email", "password")}
            ended = await self._fresh_start.by_mailbox(code, before, values)
            return None if ended is None else await self._records.get(before.id)
        account = await self._new_account(dict(code.data), is_proven=is_proven)
        is_made = await self._records.redeem_for_account(code, account, first_admin=False)
        return account if is_made else None

    async def _new_account(
        self, data: dict[str, Any], *, is_proven: bool = False, is_admin: bool = False
    ) -> Account:
        account_id = await self._free_id()
        email = data["email"]
        return Account(
            account_id, email, fold_email(email), data["name"], data["password"],
            is_proven, is_admin, self._clock(),
        )  # fmt: skip

    async def _free_id(self) -> str:
        """An id with a prefix of its own, which no account, workspace or token from elsewhere has."""
        while True:
            account_id = f"{ID_PREFIX}{readable_id()}"
            taken = await self._records.get(account_id)
            if taken is None and await self._workspaces.load(f"ws-user-{account_id}") is None:
                return account_id

    async def resend_code(self, email: object, address: str) -> tuple[str, str | None]:
        """Send a new code for a sign-up that waits; (e-mail, code), no code when none waits.

        The answer does not tell whether one waits.
        """
        given = check_email(email)
        folded = fold_email(given)
        self._throttle.take(self._by_address(address))
        self._pace("resend", folded)
        waiting = await self._records.code(SIGN_UP, folded)
        if waiting is None or waiting.expires_at <= self._clock():
            return given, None
        self._check_pause(waiting)
        return given, await self._send_sign_up_code(folded, dict(waiting.data))

    def _pace(self, what: str, folded: str) -> None:
        """One letter per person and pause, whether there is an account or not."""
        pause_s = self._settings.verification_resend_throttle_s
        if pause_s <= 0:
            return
        try:
            self._throttle.take([(f"{what}:{folded}", Allowance(1, pause_s))])
        except RateLimited as error:
            raise _wait(error.retry_after_s or 1.0) from None

    def _check_pause(self, waiting: AccountCode) -> None:
        left = waiting.sent_at + self._settings.verification_resend_throttle_s - self._clock()
        if left > 0:
            raise _wait(left)

    # -- signing in ------------------------------------------------------------------------------

    async def sign_in(
        self, email: object, password: object, address: str, workspace: str | None = None
    ) -> SignedIn:
        """A token of 24 h for the right password.

        `workspace` narrows the token to one in which the person has a right already.

        Raises:
            NotAuthenticated: no such account or another password; which of the two is not told.
            PermissionDenied: the person has no right in the workspace.
            RateLimited: too many attempts.
        """
        account = await self._check_login(email, password, address)
        user = self.user_of(account)
        self._admit(user)
        if workspace and workspace != user.own_workspace:
            user = await self._narrowed(user, workspace)
        else:
            workspace = user.own_workspace
        token = await self._tokens.issue(user, TOKEN_LIFE_S)
        mark, now = fingerprint(token), self._clock()
        session = record_of(mark, user, user, "sign-in", now, TOKEN_LIFE_S, "session")
        if not await self._records.add_session(account, session):
            raise NotAuthenticated(BAD_LOGIN)
        return SignedIn(account, token, workspace)

    async def _check_login(self, email: object, password: object, address: str) -> Account:
        secret = check_password(password)
        try:
            folded = fold_email(check_email(email))
        except InvalidArguments:
            raise NotAuthenticated(BAD_LOGIN) from None
        taken = [*self._guessing("password", folded, address)]
        self._throttle.take(taken)
        account = await self._records.find(folded)
        matches = await self._passwords.matches(account.password if account else None, secret)
        if account is None or not matches:
            if account is None and await self._records.is_empty():
                raise NotFound("No users registered yet. Please sign up first.")
            raise NotAuthenticated(BAD_LOGIN)
        self._throttle.give_back(key for key, _ in taken)
        return account

    async def id_of(self, email: object) -> str:
        """The id of an account, for the audit log; empty if there is none."""
        try:
            account = await self._records.find(fold_email(check_email(email)))
        except InvalidArguments:
            return ""
        return account.id if account is not None else ""

    def user_of(self, account: Account) -> User:
        """The user of an account.

        The e-mail address goes into tokens only when it is proven, since workspaces may be owned
        by address.
        """
        own = f"ws-user-{account.id}"
        roles = ("admin",) if account.is_admin else ()
        scope = Scope({own: Level.ADMIN}, None)
        return User(account.id, roles, email=account.email if account.is_proven else None, scope=scope)

    async def _narrowed(self, user: User, workspace: str) -> User:
        """The user with a scope of one workspace, at the level that is there already, without roles."""
        record = await self._workspaces.load(workspace)
        level = self._workspaces.level_for(user, record) if record is not None else Level.NONE
        if level is Level.NONE:
            raise PermissionDenied(f"You do not have any permission in the workspace {workspace[:128]}")
        return User(user.id, (), email=user.email, scope=Scope({workspace: level}, workspace))

    # -- profile ---------------------------------------------------------------------------------

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

    async def update_profile(
        self,
        caller: User,
        email: object,
        name: object,
        current: object,
        new: object,
        address: str,
        *,
        revoke_tokens: bool = False,
    ) -> Changed:
        """Change name or password.

        The name may be changed by the signed-in person; a new password needs the current one too,
        and ends all sign-ins but the caller's own. With `revoke_tokens` the tokens that descend from
        the person end as well.

        Raises:
            NotFound, NotAuthenticated: no such account, or the caller did not show to be its owner.
        """
        account = await self.account_of(caller)
        if email and (account is None or fold_email(check_email(email)) != account.folded):
            account = await self._records.find(fold_email(check_email(email)))
            is_owner = False
        else:
            is_owner = account is not None
        if account is None:
            self._throttle.take(self._by_address(address))
            raise NotFound("User not found")
        if new or not is_owner:
            await self._check_current(account, current, address)
        changes: dict[str, Any] = {}
        if name:
            changes["name"] = check_name(name)
        if new:
            changes["password"] = await self._passwords.hash(check_new_password(new))
        if not changes:
            raise InvalidArguments("Nothing to change: give a name or a new password")
        ended = await self._records.set_profile(
            account.id, changes, self._outlived(), keep=caller.credential, generated_too=revoke_tokens
        )
        self._tokens.revocations.apply(ended)
        return Changed(account.id, bool(new), len(ended))

    def _outlived(self) -> float:
        """When the last token that comes from a sign-in of now will have expired."""
        return self._clock() + self._tokens.reconnection_life_s

    async def _check_current(self, account: Account, current: object, address: str) -> None:
        secret = check_password(current or "")
        taken = [*self._guessing("password", account.folded, address)]
        self._throttle.take(taken)
        if not secret:
            raise NotAuthenticated("Current password is required")
        if not await self._passwords.matches(account.password, secret):
            raise NotAuthenticated("Current password is incorrect")
        self._throttle.give_back(key for key, _ in taken)

    # -- password reset --------------------------------------------------------------------------

    async def request_reset(self, email: object, address: str) -> None:
        """Send a code for a new password, if there is such an account; nobody is told whether.

        Raises:
            PermissionDenied: this server sends no e-mail.
        """
        if self.mail is None:
            raise PermissionDenied(
                "This server sends no e-mail, so it cannot reset passwords. Please ask the administrator."
            )
        folded = fold_email(check_email(email))
        self._throttle.take(self._by_address(address))
        self._pace("reset", folded)
        self._start(self._send_reset(folded), "sending a password reset")

    async def _send_reset(self, folded: str) -> None:
        """Send the letter if there is an account; a code is kept anyway, or guessing it would tell."""
        account = await self._records.find(folded)
        life_s = self._settings.verification_code_ttl_s
        if await self._records.count_codes(RESET, self._clock()) >= self._settings.verification_max_pending:
            logger.warning("Too many password resets are waiting for their codes: one was not sent")
            return
        text, code = self._codes.make(RESET, folded, life_s, {})
        await self._records.put_code(code)
        if account is not None and self.mail is not None:
            await self.mail.send(reset_letter(account.email, text, life_s, self._base_url))

    async def confirm_reset(
        self,
        email: object,
        code: object,
        password: object,
        address: str,
        *,
        revoke_tokens: bool = False,
    ) -> Changed:
        """Set a new password with the code that was sent; ends all sign-ins.

        With `revoke_tokens` the tokens that descend from the person end as well. If the address was not
        proven so far, the account starts clean: see `FreshStart.by_mailbox`.

        Raises:
            NotAuthenticated: the code is wrong, used, expired, or there is none; which is not told.
        """
        folded = fold_email(check_email(email))
        secret = check_new_password(password)
        self._throttle.take([*self._guessing("reset", folded, address)])
        most = self._settings.verification_max_attempts * _ANYWHERE  # it cannot be guessed anyway
        tried = await self._records.try_code(RESET, folded, self._clock(), most)
        account = await self._records.find(folded)
        if tried is None or account is None or not self._codes.fits(tried, code):
            raise NotAuthenticated(BAD_RESET)
        hashed = await self._passwords.hash(secret)
        if not account.is_proven:
            count = await self._fresh_start.by_mailbox(tried, account, {"password": hashed})
            if count is None:
                raise NotAuthenticated(BAD_RESET)
            return Changed(account.id, True, count)
        ended = await self._records.redeem_for_password(
            tried, account.id, hashed, self._outlived(), generated_too=revoke_tokens
        )
        if ended is None:
            raise NotAuthenticated(BAD_RESET)
        self._tokens.revocations.apply(ended)
        return Changed(account.id, True, len(ended))

    # -- proving the address of an account that is there -----------------------------------------

    async def send_proof(self, caller: User, password: object, address: str) -> None:
        """Send a code to the address of the signed-in person's account, which was not proven so far.

        Raises:
            NotAuthenticated: nobody is signed in, or the password is wrong.
            InvalidArguments: the address is proven already.
            PermissionDenied: this server sends no e-mail.
        """
        account = await self._unproven(caller, password, address)
        if self.mail is None:
            raise PermissionDenied("This server sends no e-mail, so no address can be proven.")
        self._pace("proof", account.folded)
        life_s = self._settings.verification_code_ttl_s
        text, code = self._codes.make(PROOF, account.id, life_s, {})
        await self._records.put_code(code)
        await self.mail.send(proof_letter(account.email, text, life_s, self._base_url))

    async def confirm_proof(self, caller: User, password: object, code: object, address: str) -> Changed:
        """Prove the address with the code that was sent there.

        Raises:
            NotAuthenticated: nobody is signed in, or password or code are wrong.
            InvalidArguments: the address is proven already.
        """
        account = await self._unproven(caller, password, address)
        self._throttle.take([*self._guessing("proof", account.folded, address)])
        most = self._settings.verification_max_attempts * _ANYWHERE  # it cannot be guessed anyway
        tried = await self._records.try_code(PROOF, account.id, self._clock(), most)
        if tried is None or not self._codes.fits(tried, code):
            raise NotAuthenticated(BAD_RESET)
        count = await self._fresh_start.by_holder(tried, account, caller.credential)
        if count is None:
            raise NotAuthenticated(BAD_RESET)
        return Changed(account.id, False, count)

    async def _unproven(self, caller: User, password: object, address: str) -> Account:
        account = await self.account_of(caller)
        if account is None:
            raise NotAuthenticated("Please sign in with an account of this server first.")
        await self._check_current(account, password, address)
        if account.is_proven:
            raise InvalidArguments("The address of this account is proven already.")
        return account

    # -- the first administrator -----------------------------------------------------------------

    async def new_admin_link(self, page_url: str) -> str | None:
        """A one-time link by which somebody becomes administrator; None if there is one.

        The secret stands behind `#`, which browsers send to nobody.
        """
        await self._records.drop_expired(self._clock())
        if await self._records.has_admin():
            return None
        text, code = self._codes.make(FIRST_ADMIN, "", ADMIN_LINK_LIFE_S, {})
        await self._records.put_code(code)
        return f"{page_url}#administrator={text}"

    async def make_admin(
        self, link: object, name: object, email: object, password: object, address: str
    ) -> Account:
        """Use the one-time link up for an account with the role admin.

        Raises:
            NotAuthenticated: the link is wrong, used or over.
        """
        self._throttle.take(self._by_address(address))
        if not (name and email and password):
            raise InvalidArguments("Name, email and password are required")
        person, given, secret = check_name(name), check_email(email), check_new_password(password)
        code = await self._records.code(FIRST_ADMIN, "")
        if code is None or code.expires_at <= self._clock() or not self._codes.fits(code, link):
            raise NotAuthenticated(BAD_ADMIN_LINK)
        if await self._records.find(fold_email(given)) is not None:
            raise AlreadyExists("Email already registered")
        hashed = await self._passwords.hash(secret)
        data = {"name": person, "email": given, "password": hashed}
        account = await self._new_account(data, is_admin=True)
        if not await self._records.redeem_for_account(code, account, first_admin=True):
            raise NotAuthenticated(BAD_ADMIN_LINK)
        return account

    # -- throttling ------------------------------------------------------------------------------

    def _by_address(self, address: str) -> list[tuple[str, Allowance]]:
        most = self._settings.sign_in_attempts_per_address
        name = f"address:{throttled(address)}"
        return [(name, Allowance(most, WITHIN_S))] if address and most > 0 else []

    def _guessing(self, what: str, folded: str, address: str) -> list[tuple[str, Allowance]]:
        most = self._settings.sign_in_attempts_per_account
        if most <= 0:
            return self._by_address(address)
        return [
            *self._by_address(address),
            (f"{what}:{folded}:{throttled(address)}", Allowance(most, WITHIN_S)),
            (f"{what}:{folded}", Allowance(most * _ANYWHERE, WITHIN_S)),
        ]


def _wait(seconds: float) -> RateLimited:
    left = max(1, round(seconds + 0.49))
    return RateLimited(f"Please wait {left}s before requesting another code.", retry_after_s=left)
