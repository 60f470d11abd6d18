"""Making accounts: sign-up, its code, and the first administrator's link."""

from __future__ import annotations

from typing import Any

from hypha.addresses import fold_email
from hypha.errors import (
    AlreadyExists,
    BackendUnavailable,
    InvalidArguments,
    LimitReached,
    NotAuthenticated,
    PermissionDenied,
)
from hypha.features.accounts.attempts import Origin
from hypha.features.accounts.codes import ADMIN_MARK, FIRST_ADMIN, SIGN_UP
from hypha.features.accounts.invitations import BAD_INVITATION, CLOSED_TEXT
from hypha.features.accounts.letters import sign_up_letter, taken_letter
from hypha.features.accounts.names import check_email, check_name
from hypha.features.accounts.passwords import check_new_password, check_password
from hypha.features.accounts.records import Account, AccountCode
from hypha.features.accounts.rules import AccountRules, required
from hypha.web.client_address import throttled

ADMIN_LINK_LIFE_S = 3600.0
NO_PENDING = "No pending verification for this email, or the code has expired. Please sign up again."
BAD_ADMIN_LINK = "This link was used or has expired. Restart the server to get a new one."
TOO_MANY_TRIES = "Too many incorrect attempts. Please sign up again."


class SigningUp(AccountRules):
    """How accounts come into being."""

    async def sign_up(
        self,
        name: object,
        email: object,
        password: object,
        origin: Origin | str,
        invitation: object = None,
    ) -> tuple[str, str]:
        """Begin an account; it exists once the code comes back. Returns (e-mail, code).

        Where e-mail is sent, the answer does not tell whether the address has an account: its owner
        gets a letter that says so. An account that was made while none was sent is no hindrance, it
        becomes theirs with the code.

        Raises:
            InvalidArguments: something is missing or not acceptable.
            AlreadyExists: the address has an account, on a server that sends no e-mail.
            PermissionDenied: people may not sign up here by themselves, or not with this address or
                invitation.
            LimitReached: too many sign-ups, or letters.
        """
        if self.admittance.mode == "closed":
            raise PermissionDenied(CLOSED_TEXT)
        required(name, email, password)
        person, given, secret = check_name(name), check_email(email), check_new_password(password)
        folded, origin = fold_email(given), Origin.of(origin)
        guess = await self._attempts.guess("sign-up", folded, origin)
        invited = await self.admittance.check(given, invitation)
        account = await self._records.find(folded)
        if account is not None and self.mail is None:
            raise AlreadyExists("Email already registered")
        now = self._clock()
        if await self._records.count_codes(SIGN_UP, now) >= self._options.verification_max_pending:
            raise LimitReached("Too many sign-ups are waiting for their codes. Please try again later.")
        if self.mail is not None:
            self._attempts.letter(folded, origin)
        hashed = await self._passwords.hash(secret, guess.place)
        data = {
            "name": person,
            "email": given,
            "password": hashed,
            "invitation": invited,
            "taken": account is not None and account.is_proven,
            "contested": await self._is_contested(folded, secret, guess.place),
        }
        return given, await self._send_sign_up_code(folded, data)

    async def _is_contested(self, folded: str, secret: str, place: str) -> bool:
        """Whether another sign-up waits for the address: then a code alone does not say whose it is."""
        waiting = await self._records.code(SIGN_UP, folded)
        if waiting is None or waiting.expires_at <= self._clock():
            return False
        is_same = await self._passwords.matches(waiting.data["password"], secret, place)
        return bool(waiting.data.get("contested")) or not is_same

    async def _send_sign_up_code(self, folded: str, data: dict[str, Any]) -> str:
        life_s = self._options.verification_code_ttl_s
        text, code = self._codes.make(SIGN_UP, folded, life_s, {**data, "mailed": self.mail is not None})
        await self._records.put_code(code)
        self._attempts.pause_letters(SIGN_UP, folded)
        letter = sign_up_letter(data["email"], text, life_s, self._base_url)
        if data.get("taken"):
            letter = taken_letter(data["email"], self._base_url)
        try:
            await self._send(folded, SIGN_UP, letter)
        except (BackendUnavailable, LimitReached):
            await self._records.drop_code(code)
            raise
        return text

    async def resend_code(self, email: object, origin: Origin | str) -> tuple[str, str | None]:
        """Send a new code for a sign-up that waits; (e-mail, code), no code when none waits.

        The answer does not tell whether one waits.
        """
        given, origin = check_email(email), Origin.of(origin)
        folded = fold_email(given)
        self._attempts.use(origin)
        self._attempts.check_pause(SIGN_UP, folded)
        if self.mail is not None:
            self._attempts.letter(folded, origin)
        waiting = await self._records.code(SIGN_UP, folded)
        if waiting is None or waiting.expires_at <= self._clock():
            return given, None
        return given, await self._send_sign_up_code(folded, dict(waiting.data))

    async def verify_email(
        self, email: object, code: object, origin: Origin | str, password: object = None
    ) -> Account:
        """Make the account that a code stands for.

        With the password of the sign-up nobody else's sign-up for the same address is confirmed,
        which could have been begun to slip another password under it. It is needed when several waited.

        Raises:
            InvalidArguments: no code is waiting, or it is another one; says how many tries are left.
        """
        folded, origin = fold_email(check_email(email)), Origin.of(origin)
        most = self._options.verification_max_attempts
        self._attempts.use(origin)
        waiting = await self._records.code(SIGN_UP, folded)
        if waiting is None or waiting.expires_at <= self._clock():
            raise InvalidArguments(NO_PENDING)
        tried = await self._records.try_code(SIGN_UP, folded, self._clock(), most)
        if tried is None:
            raise InvalidArguments(TOO_MANY_TRIES)
        if not self._codes.fits(tried, code) or tried.data.get("taken"):
            left = most - tried.attempts
            text = f"Incorrect code. {left} attempt(s) remaining." if left > 0 else TOO_MANY_TRIES
            raise InvalidArguments(text)
        await self._check_whose(tried, password, throttled(origin.address))
        await self.admittance.recheck(str(tried.data["email"]), str(tried.data.get("invitation", "")))
        account = await self._redeem_sign_up(tried)
        if account is None:
            raise InvalidArguments(NO_PENDING)
        return account

    async def _check_whose(self, code: AccountCode, password: object, place: str) -> None:
        if not password:
            if code.data.get("contested"):
                raise InvalidArguments(
                    "Several sign-ups were begun for this address: give the password of yours as well."
                )
            return
        if not await self._passwords.matches(code.data["password"], check_password(password), place):
            raise InvalidArguments(
                "This code belongs to a sign-up with another password. Please sign up again."
            )

    async def _redeem_sign_up(self, code: AccountCode) -> Account | None:
        """The account that a right code stands for; None if the address has got one meanwhile."""
        data, is_proven = code.data, bool(code.data.get("mailed"))
        before = await self._records.find(code.subject)
        if before is not None and is_proven and not before.is_proven:
            values = {name: data[name] for name in ("name", "email", "password")}
            ended = await self._fresh_start.by_mailbox(code, before, values)
            return None if ended is None else await self._records.get(before.id)
        account = await self._new_account(
            data["name"], data["email"], code.subject, data["password"], is_proven=is_proven
        )
        invitation = str(data.get("invitation", ""))
        is_made = await self._records.redeem_for_account(
            code, account, first_admin=False, invitation=invitation
        )
        if not is_made and invitation and await self._records.find(code.subject) is None:
            raise PermissionDenied(BAD_INVITATION)
        return account if is_made else None

    # -- the first administrator -----------------------------------------------------------------

    async def new_admin_link(self, page_url: str) -> str | None:
        """A one-time link by which somebody becomes administrator; None if there is one."""
        await self._records.drop_expired(self._clock())
        if await self._records.has_admin():
            return None
        text, code = self._codes.make(FIRST_ADMIN, "", ADMIN_LINK_LIFE_S, {})
        await self._records.put_code(code)
        return f"{page_url}{ADMIN_MARK}{text}"

    async def make_admin(
        self, link: object, name: object, email: object, password: object, origin: Origin | str
    ) -> Account:
        """Use the one-time link up for an account with the role admin.

        Raises:
            NotAuthenticated: the link is wrong, used or over.
        """
        origin = Origin.of(origin)
        self._attempts.use(origin)
        required(name, email, password)
        person, given, secret = check_name(name), check_email(email), check_new_password(password)
        code = await self._records.code(FIRST_ADMIN, "")
        if code is None or code.expires_at <= self._clock() or not self._codes.fits(code, link):
            raise NotAuthenticated(BAD_ADMIN_LINK)
        if await self._records.find(fold_email(given)) is not None:
            raise AlreadyExists("Email already registered")
        hashed = await self._passwords.hash(secret, throttled(origin.address))
        account = await self._new_account(person, given, fold_email(given), hashed, is_admin=True)
        if not await self._records.redeem_for_account(code, account, first_admin=True):
            raise NotAuthenticated(BAD_ADMIN_LINK)
        return account
