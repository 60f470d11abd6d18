"""Who may make an account: everybody, people of some domains, those who were invited, or nobody."""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypha.addresses import fold_email
from hypha.errors import InvalidArguments, NotFound, PermissionDenied, QuotaExceeded
from hypha.features.accounts.codes import INVITATION_MARK, code_in
from hypha.features.accounts.invitation_records import Invitation
from hypha.features.accounts.names import check_email
from hypha.ids import random_id
from hypha.values import check_offset, is_number, is_whole

if TYPE_CHECKING:
    from hypha.features.accounts.codes import Codes
    from hypha.features.accounts.invitation_records import Invitations
    from hypha.features.accounts.options import AccountOptions

KIND = "invitation"
LIFE_S = 7 * 86400.0
MAX_LIFE_S = 366 * 86400.0
MAX_USES = 10_000
MAX_KEPT = 10_000
MAX_NOTE_CHARS = 500
MAX_LISTED = 1000
CLOSED_TEXT = "People cannot sign up here by themselves. Please ask the administrator."
BAD_INVITATION = "This invitation is not valid, was used or has expired. Please ask the administrator."


class Admittance:
    """Decides who may sign up, and keeps invitations.

    Args:
        codes: hashes invitations, so that a copy of the database gives none away.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        invitations: Invitations | None,
        options: AccountOptions,
        codes: Codes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._invitations = invitations
        self._codes = codes
        self._clock = clock
        self.mode = options.sign_up if options.allow_sign_up else "closed"
        self.domains = tuple(filter(None, map(_domain, options.sign_up_domains.split(","))))

    @property
    def is_open(self) -> bool:
        """Whether people may sign up without an invitation, some of them at least."""
        return self.mode == "open"

    async def check(self, email: str, code: object) -> str:
        """The hash of the invitation with which somebody signs up; empty where none is needed.

        Raises:
            PermissionDenied: nobody may, or not with this address or invitation.
        """
        if self.mode == "closed":
            raise PermissionDenied(CLOSED_TEXT)
        if code:
            return (await self._good(email, code)).code_hash
        if self.mode == "invitation":
            raise PermissionDenied("An account can be made here with an invitation only. Please ask for one.")
        self.check_domain(email)
        return ""

    def check_domain(self, email: str) -> None:
        """Raise PermissionDenied unless people with this address may sign up without an invitation."""
        domain = _domain(email.rpartition("@")[2])
        if self.domains and not any(_fits(domain, allowed) for allowed in self.domains):
            raise PermissionDenied(
                "An account can be made here with an address of one of these domains only: "
                f"{', '.join(self.domains)[:300]}."
            )

    async def recheck(self, email: str, invitation: str) -> None:
        """Once more when the code of a sign-up came back: settings may be others since.

        Raises:
            PermissionDenied: as `check`.
        """
        if self.mode == "closed":
            raise PermissionDenied(CLOSED_TEXT)
        if not invitation:
            await self.check(email, None)

    async def _good(self, email: str, code: object) -> Invitation:
        found = None
        text = code_in(code, INVITATION_MARK)
        if self._invitations is not None and text:
            found = await self._invitations.find(self._hash(text))
        if found is None or not found.is_good(fold_email(email), self._clock()):
            raise PermissionDenied(BAD_INVITATION)
        return found

    def _hash(self, code: str) -> str:
        return self._codes.hash(KIND, "", code)

    # -- for administrators ----------------------------------------------------------------------

    async def invite(
        self, maker: str, expires_in: object, uses: object, email: object, note: object
    ) -> tuple[str, dict[str, Any]]:
        """Make an invitation; its code, which is kept nowhere, and what is kept.

        Raises:
            InvalidArguments: a value is not acceptable. QuotaExceeded: there are too many.
            PermissionDenied: sign-up is closed.
        """
        if self._invitations is None or self.mode == "closed":
            raise PermissionDenied("Nobody can sign up here: set HYPHA_SIGN_UP to invitation or open.")
        life_s = LIFE_S if expires_in is None else expires_in
        if not is_number(life_s) or not math.isfinite(life_s) or not 0 < life_s <= MAX_LIFE_S:
            raise InvalidArguments(f"expires_in must be above 0 and at most {MAX_LIFE_S:.0f} seconds")
        if not is_whole(uses) or not 0 < uses <= MAX_USES:
            raise InvalidArguments(f"uses must be from 1 to {MAX_USES}")
        if not isinstance(note, str) or len(note) > MAX_NOTE_CHARS:
            raise InvalidArguments(f"The note must be text of at most {MAX_NOTE_CHARS} characters")
        folded = fold_email(check_email(email)) if email else ""
        code, now = random_id(32), self._clock()
        made = Invitation(random_id(12), self._hash(code), folded, note, uses, 0, maker, now, now + life_s)
        if not await self._invitations.add(made, MAX_KEPT):
            raise QuotaExceeded(f"There are {MAX_KEPT} invitations already: revoke some first")
        return code, self._shown(made)

    async def list(self, offset: object, limit: object) -> list[dict[str, Any]]:
        """What is known of invitations, the newest first; never their codes."""
        if not is_whole(limit) or not 0 < limit <= MAX_LISTED:
            raise InvalidArguments(f"Limit must be from 1 to {MAX_LISTED}")
        if self._invitations is None:
            return []
        return [self._shown(each) for each in await self._invitations.list(check_offset(offset), limit)]

    async def revoke(self, invitation_id: object) -> None:
        """Take an invitation back; accounts that were made with it stay.

        Raises:
            NotFound: there is none of that id.
        """
        name = invitation_id if isinstance(invitation_id, str) else ""
        if self._invitations is None or not name or not await self._invitations.remove(name[:64]):
            raise NotFound(f"Invitation not found: {name[:64]}")

    def _shown(self, invitation: Invitation) -> dict[str, Any]:
        return {
            "id": invitation.id,
            "email": invitation.email,
            "note": invitation.note,
            "uses": invitation.uses,
            "used": invitation.used,
            "created_by": invitation.created_by,
            "created_at": invitation.created_at,
            "expires_at": invitation.expires_at,
            "is_good": invitation.used < invitation.uses and invitation.expires_at > self._clock(),
        }


def _domain(text: str) -> str:
    """A domain as it is compared: small letters, in the form of the domain name system."""
    plain = unicodedata.normalize("NFC", text.strip().lower().lstrip("@"))
    return ".".join(map(_label, plain.split(".")))


def _label(label: str) -> str:
    """One part of a domain as the domain name system has it: `ß` and `ss` are two (RFC 5891)."""
    return label if label.isascii() else "xn--" + label.encode("punycode").decode()


def _fits(domain: str, allowed: str) -> bool:
    if allowed.startswith("*."):
        return domain.endswith(allowed[1:])
    return domain == allowed
