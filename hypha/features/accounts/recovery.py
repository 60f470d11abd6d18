"""Getting an account back by e-mail, and proving the address of one that is there."""

from __future__ import annotations

import logging
from dataclasses import replace

from hypha.addresses import fold_email
from hypha.auth.users import User
from hypha.errors import InvalidArguments, LimitReached, NotAuthenticated, PermissionDenied
from hypha.features.accounts.attempts import Origin
from hypha.features.accounts.codes import PROOF, RESET
from hypha.features.accounts.letters import proof_letter, reset_letter
from hypha.features.accounts.names import check_email
from hypha.features.accounts.passwords import check_new_password
from hypha.features.accounts.records import Account
from hypha.features.accounts.rules import AccountRules, Changed

logger = logging.getLogger(__name__)

BAD_RESET = "The code is wrong or has expired. Please ask for a new one."
_UNLIMITED_TRIES = 10**9
"""These codes are too long to be guessed; a limit would let others use up somebody's tries."""


class Recovery(AccountRules):
    """What can be done with the mailbox of an account."""

    async def request_reset(self, email: object, origin: Origin | str) -> None:
        """Send a code for a new password, if there is such an account; nobody is told whether.

        Raises:
            PermissionDenied: this server sends no e-mail.
            RateLimited: too many were asked for, whether there is an account or not.
        """
        if self.mail is None:
            raise PermissionDenied(
                "This server sends no e-mail, so it cannot reset passwords. Please ask the administrator."
            )
        folded, origin = fold_email(check_email(email)), Origin.of(origin)
        self._attempts.use(origin)
        self._attempts.check_pause(RESET, folded)
        self._attempts.letter(folded, origin)
        self._start(self._send_reset(folded), "sending a password reset")

    async def _send_reset(self, folded: str) -> None:
        """Send the letter if there is an account; a code is kept anyway, or guessing it would tell."""
        account = await self._records.find(folded)
        life_s = self._options.verification_code_ttl_s
        if await self._records.count_codes(RESET, self._clock()) >= self._options.verification_max_pending:
            logger.warning("Too many password resets are waiting for their codes: one was not sent")
            return
        text, code = self._codes.make(RESET, folded, life_s, {})
        await self._records.put_code(code)
        if account is None:
            return
        try:
            letter = reset_letter(account.email, text, life_s, self._base_url)
            await self._send(folded, RESET, letter, is_silent=True)
        except LimitReached:
            logger.warning("Too many e-mails go out (HYPHA_LETTERS_PER_HOUR): a password reset was not sent")

    async def confirm_reset(
        self,
        email: object,
        code: object,
        password: object,
        origin: Origin | str,
        *,
        revoke_tokens: bool = False,
    ) -> Changed:
        """Set a new password with the code that was sent; ends all sign-ins.

        With `revoke_tokens` the tokens that descend from the person end as well. If the address was not
        proven so far, the account starts clean: see `FreshStart.by_mailbox`.

        Raises:
            NotAuthenticated: the code is wrong, used, expired, or there is none; which is not told.
        """
        folded, origin = fold_email(check_email(email)), Origin.of(origin)
        secret = check_new_password(password)
        guess = await self._attempts.guess("reset", folded, origin)
        tried = await self._records.try_code(RESET, folded, self._clock(), _UNLIMITED_TRIES)
        account = await self._records.find(folded)
        if tried is None or account is None or not self._codes.fits(tried, code):
            raise NotAuthenticated(BAD_RESET)
        self._attempts.was_right(guess)
        hashed = await self._passwords.hash(secret, guess.place)
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

    async def send_proof(self, caller: User, password: object, origin: Origin | str) -> None:
        """Send a code to the address of the signed-in person's account, which was not proven so far.

        Raises:
            NotAuthenticated: nobody is signed in, or the password is wrong.
            InvalidArguments: the address is proven already.
            PermissionDenied: this server sends no e-mail.
            RateLimited: too many were asked for.
        """
        origin = Origin.of(origin)
        account = await self._unproven(caller, password, origin)
        if self.mail is None:
            raise PermissionDenied("This server sends no e-mail, so no address can be proven.")
        self._attempts.check_pause(PROOF, account.folded)
        self._attempts.letter(account.folded, origin)
        life_s = self._options.verification_code_ttl_s
        text, code = self._codes.make(PROOF, account.id, life_s, {})
        await self._records.put_code(code)
        letter = proof_letter(account.email, text, life_s, self._base_url)
        await self._send(account.folded, PROOF, letter)

    async def confirm_proof(
        self, caller: User, password: object, code: object, origin: Origin | str
    ) -> Changed:
        """Prove the address with the code that was sent there.

        Raises:
            NotAuthenticated: nobody is signed in, or password or code are wrong.
            InvalidArguments: the address is proven already.
        """
        origin = Origin.of(origin)
        account = await self._unproven(caller, password, origin)
        tried = await self._records.try_code(PROOF, account.id, self._clock(), _UNLIMITED_TRIES)
        if tried is None or not self._codes.fits(tried, code):
            raise NotAuthenticated(BAD_RESET)
        count = await self._fresh_start.by_holder(tried, account, caller.credential)
        if count is None:
            raise NotAuthenticated(BAD_RESET)
        return Changed(account.id, False, count)

    async def _unproven(self, caller: User, password: object, origin: Origin) -> Account:
        account = await self.account_of(caller)
        if account is None:
            raise NotAuthenticated("Please sign in with an account of this server first.")
        mine = replace(origin, session=caller.credential or "")
        await self._check_current(account, account.folded, password, mine)
        if account.is_proven:
            raise InvalidArguments("The address of this account is proven already.")
        return account
