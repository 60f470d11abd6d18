"""Lists of artifacts: what a caller asks for of what it may see, chosen and sorted by the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, literal_column, or_, select
from sqlalchemy.orm import aliased

from hypha.addresses import fold_email
from hypha.auth.scopes import Level
from hypha.errors import FrameTooLarge, InvalidRequest
from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.filters import FilterBuilder, checked_key, is_indexed, order_of
from hypha.features.artifacts.inboxes import is_private_inbox, recipient_in
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.permissions import Caller
from hypha.features.artifacts.tables import Artifact as Table
from hypha.features.artifacts.tables import ArtifactGrant

MAX_LIMIT = 1000
MAX_ANSWER_BYTES = 16 * 1024 * 1024
PIECE_BYTES = 1024 * 1024
"""Records that are read in one turn."""
_NEAR = 10_000
"""Artifacts that a plain list may skip."""
VERSION_BYTES = 200
"""What a version adds to an answer, about."""


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to see: of a collection, of what is in none, or (`everywhere`) of a workspace.

    `recipient` is an e-mail address and the field of manifests that has to hold it: of an inbox. `address` is
    that of whoever asks, for what is in inboxes anywhere. `filters` without those that name another artifact;
    `parent_id` is what they want of the parent, resolved.
    """

    workspace: str
    parent: Artifact | None = None
    everywhere: bool = False
    keywords: Sequence[Any] = ()
    filters: Mapping[str, Any] = field(default_factory=dict)
    parent_id: str | None = None
    is_any: bool = False
    stage: bool | str = False
    order_by: str | None = None
    offset: int = 0
    limit: int = 100
    recipient: tuple[str, str | None] | None = None
    address: str | None = None

    def is_plain(self, caller: Caller) -> bool:
        """Whether an index has what is asked for in its order: hardly more is looked at than is shown."""
        is_of_folder = not self.everywhere and (self.parent is not None or caller.level >= Level.READ)
        is_chosen = self.keywords or self.filters or self.recipient or self.stage is not False
        return is_of_folder and not is_chosen and self.offset <= _NEAR and is_indexed(self.order_by)


class Listing:
    """Answers questions for lists."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def find(self, question: Question, caller: Caller, *, counted: bool) -> tuple[list[Artifact], int]:
        """The page that is asked for, and how many there are in all if that shall be `counted`.

        Raises:
            InvalidRequest: a filter is none. FrameTooLarge: the page is too large; a smaller limit helps.
            LimitReached: it takes too long.
        """
        total, data = 0, self._parts.data
        async with data.listing() if question.is_plain(caller) else data.searching() as connection:
            is_postgres = connection.dialect.name == "postgresql"
            where = _conditions(question, caller, is_postgres)
            if counted:
                count = select(func.count()).select_from(Table).where(*where)
                total = int((await connection.execute(count)).scalar_one())
            query = (
                select(Table.id, Table.size + VERSION_BYTES * Table.version_count)
                .where(*where)
                .order_by(*order_of(question.order_by, is_postgres))
                .limit(question.limit)
                .offset(question.offset)
            )
            page = [(each, int(size)) for each, size in await connection.execute(query)]
        if sum(size for _, size in page) > MAX_ANSWER_BYTES:
            raise too_large()
        found: list[Artifact] = []
        for ids in _pieces(page):
            found += await self._parts.artifacts.many(ids)
        return found, total


def _pieces(page: Sequence[tuple[str, int]]) -> list[list[str]]:
    pieces: list[list[str]] = []
    size = PIECE_BYTES
    for each, added in page:
        if size + added > PIECE_BYTES:
            pieces.append([])
            size = 0
        pieces[-1].append(each)
        size += added
    return pieces


def _conditions(question: Question, caller: Caller, is_postgres: bool) -> list[ColumnElement[bool]]:
    builder = FilterBuilder(is_postgres)
    where = [Table.workspace == question.workspace]
    if question.parent is not None:
        where.append(Table.parent_id == question.parent.id)
    elif not question.everywhere:
        where.append(Table.parent_id.is_(None))
    wanted = builder.keywords(question.keywords)
    wanted += builder.conditions(question.filters, question.parent_id)
    if wanted:
        where.append(or_(*wanted) if question.is_any else and_(*wanted))
    where += _of_state(question.stage, caller)
    if question.recipient is not None:
        where.append(_sent_to(builder, *question.recipient))
    if question.parent is None and caller.level < Level.READ:
        where.append(_visible(caller))
    if question.parent is None and question.everywhere and caller.level < Level.ADMIN:
        where.append(_in_no_inbox_of_others(question.address, is_postgres))
    return where


def _of_state(stage: bool | str, caller: Caller) -> list[ColumnElement[bool]]:
    """Committed, staged, or both; what is staged is shown to those who may change it."""
    is_committed: ColumnElement[bool] = Table.version_count > literal_column("0")  # as indexes say it
    is_staged: ColumnElement[bool] = Table.intent.is_not(None)
    if stage is False:
        return [is_committed]
    if caller.level < Level.READ_WRITE:
        is_staged = and_(is_staged, _granted(caller, Table.id, ArtifactGrant.may_edit))
    return [is_staged] if stage is True else [or_(is_committed, is_staged)]


def _visible(caller: Caller) -> ColumnElement[bool]:
    """Those that grants of their own, or of their parents, show to the caller."""
    own = _granted(caller, Table.id, ArtifactGrant.may_list)
    inherited = _granted(caller, Table.parent_id, ArtifactGrant.may_list)
    return or_(own, and_(Table.parent_id.is_not(None), inherited))


def _granted(caller: Caller, artifact: Any, right: Any) -> ColumnElement[bool]:
    """Whether a grant to one of the caller's names gives a right; inherited ones as far as the token does."""
    names = [name for name in caller.names if name not in caller.inherited]
    names += [name for name in caller.inherited if caller.level >= Level.READ]
    grant = aliased(ArtifactGrant)
    column = grant.may_list if right is ArtifactGrant.may_list else grant.may_edit
    return exists().where(grant.artifact == artifact, grant.who.in_(names), column)


def _in_no_inbox_of_others(address: str | None, is_postgres: bool) -> ColumnElement[bool]:
    """What is in no private inbox, or was sent to the address."""
    inbox = aliased(Table)
    of_parent = exists().where(inbox.id == Table.parent_id, is_private_inbox(inbox.config, is_postgres))
    sent_here = recipient_in(inbox.config, Table.manifest, is_postgres).in_(_spellings(address))
    of_caller = exists().where(inbox.id == Table.parent_id, sent_here)
    return or_(Table.parent_id.is_(None), ~of_parent, of_caller)


def _spellings(address: str | None) -> list[str]:
    return sorted({address, address.lower(), fold_email(address)}) if address else []


def _sent_to(builder: FilterBuilder, name: str, address: str | None) -> ColumnElement[bool]:
    """Those whose manifest names the address; nobody without one gets any."""
    if not address:
        return Table.id.is_(None)
    return or_(*(builder.manifest({checked_key(name): each}) for each in _spellings(address)))


def too_large() -> FrameTooLarge:
    """What is raised where a page has too many bytes."""
    return FrameTooLarge(
        f"These artifacts have more than {MAX_ANSWER_BYTES:,} bytes together: ask for fewer with limit."
    )


def check_limit(limit: object) -> int:
    """How many artifacts a page has.

    Raises:
        InvalidRequest: less than one, or more than 1000.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"limit must be a whole number from 1 to {MAX_LIMIT}.")
    return limit
