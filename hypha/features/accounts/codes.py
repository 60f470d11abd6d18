"""Codes that prove something: made, kept as keyed hashes, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from hypha.features.accounts.records import AccountCode
from hypha.ids import random_id

SIGN_UP = "sign-up"
RESET = "reset"
PROOF = "proof"
FIRST_ADMIN = "first-admin"
ADMIN_MARK, INVITATION_MARK = "#administrator=", "#invitation="
"""What stands before the code in a link; a browser sends nothing from `#` on to anybody."""
MAX_TYPED_CHARS = 2000
_RESET_CHARS = 12
_ADMIN_CHARS = 32


def code_in(typed: object, mark: str = "") -> str:
    """The code in what a person typed or pasted, without spaces; empty where there is none.

    Of a whole link the part behind the `mark` is meant.
    """
    if not isinstance(typed, str) or len(typed) > MAX_TYPED_CHARS:
        return ""
    code = typed.rpartition(mark)[2] if mark else typed
    return "".join(code.split()) if len(code) <= 200 else ""


class Codes:
    """Makes codes of each kind; `secret` keys the hashes, so that a copy of the database gives none away."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self.secret = secret
        self._secret = secret.encode()
        self._clock = clock

    def make(
        self, kind: str, subject: str, life_s: float, data: Mapping[str, Any]
    ) -> tuple[str, AccountCode]:
        """A new code and the record to keep of it.

        Six digits for a sign-up, which are typed from another screen and guessed at most a few
        times; unguessable letters for what opens an account.
        """
        if kind == SIGN_UP:
            text = f"{secrets.randbelow(10**6):06d}"
        else:
            text = random_id(_ADMIN_CHARS if kind == FIRST_ADMIN else _RESET_CHARS)
        now = self._clock()
        return text, AccountCode(kind, subject, self.hash(kind, subject, text), now + life_s, now, 0, data)

    def hash(self, kind: str, subject: str, text: str) -> str:
        """What is kept of a code; it is worth nothing for another kind or person."""
        message = "\0".join((kind, subject, text)).encode("utf-8", "replace")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    def fits(self, code: AccountCode, text: object) -> bool:
        """Whether this is the text of a code, or the link with it."""
        typed = code_in(text, ADMIN_MARK if code.kind == FIRST_ADMIN else "")
        return hmac.compare_digest(code.code_hash, self.hash(code.kind, code.subject, typed))
