"""Local accounts, and the codes by which people prove something: sign-up, reset, first administrator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.features.accounts.held_records import Taken, hold_workspaces
from hypha.features.accounts.invitation_records import drop_invitations_of, use_invitation
from hypha.features.accounts.tables import AccountCodeRow, AccountRow, KnownPlace
from hypha.store.issued_tokens import IssuedTokenRecord, end_sign_ins
from hypha.store.repository import Repository, insert_if_absent, upsert
from hypha.store.tables import IssuedToken

MAX_PLACES = 50
"""So many places from which an account was used are known, the latest."""


@dataclass(frozen=True, slots=True)
class Account:
    """One local account.

    `folded` is the e-mail address as it is compared; `password` is a hash with its own parameters.
    `is_proven` says that the person showed, by a code sent there, that the address is theirs.
    """

    id: str
    email: str
    folded: str
    name: str
    password: str
    is_proven: bool = False
    is_admin: bool = False
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class AccountCode:
    """A code that was given out: only a keyed hash of it is kept. `data` waits for the right code."""

    kind: str
    subject: str
    code_hash: str
    expires_at: float
    sent_at: float
    attempts: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)


class Accounts(Repository):
    """Every method is one transaction: what it acknowledges is on disk, whole."""

    async def find(self, folded: str) -> Account | None:
        """The account of an e-mail address."""
        async with self._connections.reading() as connection:
            rows = await connection.execute(select(AccountRow.__table__).where(AccountRow.folded == folded))
            row = rows.first()
            return None if row is None else Account(**row._mapping)

    async def get(self, account_id: str) -> Account | None:
        """The account of a user id."""
        async with self._connections.reading() as connection:
            rows = await connection.execute(select(AccountRow.__table__).where(AccountRow.id == account_id))
            row = rows.first()
            return None if row is None else Account(**row._mapping)

    async def is_empty(self) -> bool:
        """True when nobody has an account."""
        async with self._connections.reading() as connection:
            return (await connection.execute(select(AccountRow.id).limit(1))).first() is None

    async def has_admin(self) -> bool:
        """True when somebody's account has the role admin."""
        async with self._connections.reading() as connection:
            return await connection.run_sync(has_admin)

    async def put_code(self, code: AccountCode) -> None:
        """Write a code; it replaces the one of the same kind and subject, with its attempts.

        Those that are over go, so that their number is bounded.
        """
        over = delete(AccountCodeRow).where(AccountCodeRow.expires_at <= code.sent_at)
        async with self._connections.writing() as connection:
            await connection.execute(over)
            await upsert(connection, AccountCodeRow, _row(code), ("kind", "subject"))

    async def drop_code(self, code: AccountCode) -> None:
        """Forget a code that did not reach anybody."""
        async with self._connections.writing() as connection:
            await _use_up(connection, code)

    async def code(self, kind: str, subject: str) -> AccountCode | None:
        """The code of this kind that was given out last, expired or not."""
        async with self._connections.reading() as connection:
            return await _code(connection, kind, subject)

    async def try_code(self, kind: str, subject: str, now: float, max_attempts: int) -> AccountCode | None:
        """Count one attempt and give the code to compare with; None if there is none to try any more.

        `attempts` of the answer includes this one. Attempts are counted before they are compared, so
        that guesses side by side don't gain anything.
        """
        async with self._connections.writing() as connection:
            result = await connection.execute(
                update(AccountCodeRow)
                .where(AccountCodeRow.kind == kind, AccountCodeRow.subject == subject)
                .where(AccountCodeRow.expires_at > now, AccountCodeRow.attempts < max_attempts)
                .values(attempts=AccountCodeRow.attempts + 1)
            )
            return await _code(connection, kind, subject) if result.rowcount == 1 else None

    async def redeem_for_account(
        self, code: AccountCode, account: Account, *, first_admin: bool, invitation: str = ""
    ) -> bool:
        """Use a code up and make the account it stood for; False if one of the two is not possible.

        With `first_admin` nothing happens when there is an administrator already. With the hash of an
        invitation that one is used too, and must be good still.
        """
        async with self._connections.writing() as connection:
            if first_admin and await connection.run_sync(has_admin):
                return False
            if not await _use_up(connection, code):
                return False
            row = {name: getattr(account, name) for name in Account.__slots__}
            if not await insert_if_absent(connection, AccountRow, row):
                return False
            if not invitation or await use_invitation(connection, invitation, account.created_at):
                return True
            await connection.execute(delete(AccountRow).where(AccountRow.id == account.id))
            return False

    async def redeem_for_password(
        self, code: AccountCode, account_id: str, password: str, until: float, *, generated_too: bool
    ) -> dict[str, float] | None:
        """Use a code up, set the password and end all sign-ins; None if the code was used meanwhile.

        The account's address is proven already. Returns the fingerprints of the tokens that ended, as
        `end_sign_ins`.
        """
        async with self._connections.writing() as connection:
            if not await _use_up(connection, code):
                return None
            await connection.execute(
                update(AccountRow).where(AccountRow.id == account_id).values(password=password)
            )
            await _forget_places(connection, account_id)
            return await end_sign_ins(connection, account_id, until, generated_too=generated_too)

    async def prove(
        self,
        code: AccountCode,
        account_id: str,
        values: Mapping[str, Any],
        now: float,
        until: float,
        *,
        keep: str | None = None,
        keeps_own: bool = False,
    ) -> Taken | None:
        """Use a code up by which the owner of an account's address came forward, and start clean.

        Sets `values` (such as `password`) of the account, whose address is proven from now on, ends
        all tokens that descend from it but the one of fingerprint `keep`, takes its invitations back, and
        its workspaces as `hold_workspaces`. None if the code was used, or the address proven, meanwhile.
        """
        statement = update(AccountRow).where(AccountRow.id == account_id, AccountRow.is_proven.is_(False))
        async with self._connections.writing() as connection:
            if not await _use_up(connection, code):
                return None
            proven = await connection.execute(statement.values(**values, is_proven=True))
            if proven.rowcount != 1:
                return None
            await _forget_places(connection, account_id)
            await drop_invitations_of(connection, account_id)
            ended = await end_sign_ins(connection, account_id, until, keep=keep, generated_too=True)
            taken = await hold_workspaces(connection, account_id, now, until, keeps_own=keeps_own, keep=keep)
            taken.ended |= ended
            return taken

    async def set_profile(
        self,
        account_id: str,
        values: Mapping[str, Any],
        until: float,
        *,
        keep: str | None = None,
        generated_too: bool,
    ) -> dict[str, float]:
        """Set `name` or `password` of an account; a new password ends the sign-ins but `keep`.

        Returns the fingerprints of the tokens that ended, as `end_sign_ins`.
        """
        async with self._connections.writing() as connection:
            await connection.execute(update(AccountRow).where(AccountRow.id == account_id).values(**values))
            if "password" not in values:
                return {}
            return await end_sign_ins(connection, account_id, until, keep=keep, generated_too=generated_too)

    async def add_session(self, account: Account, session: IssuedTokenRecord, place: str = "") -> bool:
        """Write down a sign-in and its place; False if the account has got another password meanwhile."""
        same = select(AccountRow.id).where(
            AccountRow.id == account.id, AccountRow.password == account.password
        )
        async with self._connections.writing() as connection:
            if (await connection.execute(same.with_for_update())).first() is None:
                return False
            await insert_if_absent(connection, IssuedToken, asdict(session))
            if place:
                await _know(connection, account.id, place, session.created_at)
            return True

    async def knows(self, place: str, since: float) -> bool:
        """Whether somebody signed in from a place after a time; it names the account too."""
        statement = select(KnownPlace.mark).where(KnownPlace.mark == place, KnownPlace.seen_at > since)
        async with self._connections.reading() as connection:
            return (await connection.execute(statement)).first() is not None

    async def drop_expired(self, now: float) -> None:
        """Delete codes that are over."""
        async with self._connections.writing() as connection:
            await connection.execute(delete(AccountCodeRow).where(AccountCodeRow.expires_at <= now))

    async def count_codes(self, kind: str, now: float) -> int:
        """How many codes of a kind are still good."""
        async with self._connections.reading() as connection:
            result = await connection.execute(
                select(func.count())
                .select_from(AccountCodeRow)
                .where(AccountCodeRow.kind == kind, AccountCodeRow.expires_at > now)
            )
            return int(result.scalar_one())


def has_admin(connection: Connection) -> bool:
    """Whether somebody's account has the role admin."""
    found = connection.execute(select(AccountRow.id).where(AccountRow.is_admin).limit(1))
    return found.first() is not None


async def _forget_places(connection: AsyncConnection, account_id: str) -> None:
    await connection.execute(delete(KnownPlace).where(KnownPlace.account == account_id))


async def _know(connection: AsyncConnection, account_id: str, place: str, now: float) -> None:
    row = {"mark": place, "account": account_id, "seen_at": now}
    await upsert(connection, KnownPlace, row, ("mark",))
    newest = select(KnownPlace.mark).where(KnownPlace.account == account_id)
    newest = newest.order_by(KnownPlace.seen_at.desc(), KnownPlace.mark).limit(MAX_PLACES)
    await connection.execute(
        delete(KnownPlace).where(KnownPlace.account == account_id, KnownPlace.mark.not_in(newest))
    )


async def _code(connection: AsyncConnection, kind: str, subject: str) -> AccountCode | None:
    rows = await connection.execute(
        select(AccountCodeRow.__table__).where(AccountCodeRow.kind == kind, AccountCodeRow.subject == subject)
    )
    row = rows.first()
    return None if row is None else AccountCode(**row._mapping)


async def _use_up(connection: AsyncConnection, code: AccountCode) -> bool:
    result = await connection.execute(
        delete(AccountCodeRow).where(
            AccountCodeRow.kind == code.kind,
            AccountCodeRow.subject == code.subject,
            AccountCodeRow.code_hash == code.code_hash,
        )
    )
    return bool(result.rowcount == 1)


def _row(code: AccountCode) -> dict[str, Any]:
    row = {name: getattr(code, name) for name in AccountCode.__slots__}
    row["data"] = dict(code.data)
    return row
