"""How often somebody may guess, and how many letters may go out.

Guesses are counted by account and place together, so that whoever guesses shuts out nobody but
themselves. When many places guess at one account, those that are new to it have fewer attempts and
wait a little; a device or place from which somebody signed in before has its own, as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypha.errors import RateLimited
from hypha.features.accounts.devices import Devices, cookie_in
from hypha.features.accounts.throttle import Allowance, Throttle
from hypha.web.client_address import throttled

if TYPE_CHECKING:
    from hypha.features.accounts.options import AccountOptions

WITHIN_S = 600.0
HOUR_S = 3600.0
CALM_GUESSES = 10
"""An account may be guessed at so many times more often than from one place before that counts as many."""
PRESSED_ATTEMPTS = 3
PRESSED_WAIT_S = 2.0

Taken = list[tuple[str, Allowance]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a call comes from: network address, `Cookie` header, and the sign-in it was made with.

    `session` is the credential of a person who is signed in to the very account.
    """

    address: str = ""
    cookies: str = ""
    session: str = ""

    @classmethod
    def of(cls, given: Origin | str) -> Origin:
        """From an address alone."""
        return given if isinstance(given, Origin) else cls(given)


@dataclass(frozen=True, slots=True)
class Guess:
    """A guess that was allowed; `keys` are to be given back if it was right."""

    keys: tuple[str, ...]
    place: str
    is_known: bool


class Attempts:
    """Counts guesses and letters, kept for the process in bounded memory."""

    def __init__(
        self,
        options: AccountOptions,
        devices: Devices,
        throttle: Throttle | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._options = options
        self._devices = devices
        self._throttle = Throttle() if throttle is None else throttle
        self._pause = pause

    def use(self, origin: Origin) -> None:
        """Count one use of what strangers may do, by address.

        Raises:
            RateLimited: there were too many from there.
        """
        self._throttle.take(self._by_address(origin.address))

    async def guess(self, what: str, folded: str, origin: Origin) -> Guess:
        """Count one guess at an account before it is tried; the account need not exist.

        Raises:
            RateLimited: there were too many from this place.
        """
        place, is_own = self._place(folded, origin)
        most = self._options.sign_in_attempts_per_account
        wanted = [] if is_own else self._by_address(origin.address)
        if most <= 0:
            self._throttle.take(wanted)
            return Guess(tuple(key for key, _ in wanted), place, is_own)
        is_known = is_own or await self._devices.is_known(folded, origin.address)
        everywhere = (f"{what}:{folded}", Allowance(most * CALM_GUESSES, WITHIN_S))
        is_pressed = self._throttle.is_used_up(*everywhere) and not is_known
        attempts = min(most, PRESSED_ATTEMPTS) if is_pressed else most
        wanted.append((f"{what}:{folded}:{place}", Allowance(attempts, WITHIN_S)))
        self._throttle.take(wanted)
        self._throttle.count(*everywhere)
        if is_pressed:
            await self._pause(PRESSED_WAIT_S)
        return Guess((*(key for key, _ in wanted), everywhere[0]), place, is_known)

    def was_right(self, guess: Guess) -> None:
        """It was none: it does not count."""
        self._throttle.give_back(guess.keys)

    def _place(self, folded: str, origin: Origin) -> tuple[str, bool]:
        """What guesses are counted by, and whether it is a device of the account's person."""
        if origin.session:
            return f"session {origin.session}", True
        cookie = cookie_in(origin.cookies, folded) if origin.cookies else ""
        device = self._devices.device(folded, cookie) if cookie else None
        return (f"device {device}", True) if device else (throttled(origin.address), False)

    def _by_address(self, address: str) -> Taken:
        most = self._options.sign_in_attempts_per_address
        name = f"address:{throttled(address)}"
        return [(name, Allowance(most, WITHIN_S))] if address and most > 0 else []

    # -- letters ---------------------------------------------------------------------------------

    def pause_letters(self, kind: str, folded: str) -> None:
        """From now on the next letter of a kind to this recipient has to wait if it is asked for again."""
        pause_s = self._options.verification_resend_throttle_s
        if pause_s > 0:
            self._throttle.count(f"pause {kind}:{folded}", Allowance(1, pause_s))

    def check_pause(self, kind: str, folded: str) -> None:
        """One letter of a kind per recipient and pause, whether there is an account or not.

        Raises:
            RateLimited: it is too soon.
        """
        pause_s = self._options.verification_resend_throttle_s
        if pause_s <= 0:
            return
        try:
            self._throttle.take([(f"pause {kind}:{folded}", Allowance(1, pause_s))])
        except RateLimited as error:
            left = max(1, round(error.retry_after_s or 1.0))
            raise RateLimited(
                f"Please wait {left}s before requesting another code.", retry_after_s=left
            ) from None

    def letter(self, folded: str, origin: Origin) -> None:
        """Count one letter before it is written, by recipient and by who asks for it.

        Raises:
            RateLimited: there were too many; it says for how long.
        """
        options = self._options
        wanted: Taken = []
        if options.letters_per_recipient > 0:
            wanted.append((f"letters to {folded}", Allowance(options.letters_per_recipient, HOUR_S)))
        if options.letters_per_address > 0 and origin.address:
            asker = f"letters from {throttled(origin.address)}"
            wanted.append((asker, Allowance(options.letters_per_address, HOUR_S)))
        self._take_letters(wanted)

    def letter_of_all(self, kind: str) -> None:
        """Count one letter that goes out, by its kind, so that sign-ups leave room for resets.

        Raises:
            RateLimited: there were too many.
        """
        most = self._options.letters_per_hour
        if most > 0:
            self._take_letters([(f"letters of kind {kind}", Allowance(most, HOUR_S))])

    def letter_failed(self, kind: str, folded: str) -> None:
        """It did not go out: its recipient may have another one."""
        self._throttle.give_back([f"letters to {folded}", f"pause {kind}:{folded}"])

    def _take_letters(self, wanted: Taken) -> None:
        try:
            self._throttle.take(wanted)
        except RateLimited as error:
            left = error.retry_after_s or 1
            text = f"Too many e-mails were asked for. Please wait {left:.0f}s before the next one."
            raise RateLimited(text, retry_after_s=left) from None
