"""Functions of the artifact manager that list: a collection, a workspace, with filters and order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest
from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.base import ON_ARTIFACT, Functions
from hypha.features.artifacts.file_records import Staged
from hypha.features.artifacts.inboxes import address_of, recipient_field
from hypha.features.artifacts.listing import (
    MAX_ANSWER_BYTES,
    MAX_LIMIT,
    Listing,
    Question,
    check_limit,
    too_large,
)
from hypha.features.artifacts.permissions import Caller, expanded_bytes
from hypha.features.artifacts.selection import list_fields, selected
from hypha.features.artifacts.staging import shown_staged
from hypha.values import check_offset

MAX_STAGED_SHOWN = 10_000
"""Staged files in a list of artifacts; those of further artifacts are told by `read`."""

Plain = dict[str, Any]
Limit = Annotated[int, {"minimum": 1, "maximum": MAX_LIMIT}]
Offset = Annotated[int, {"minimum": 0}]
Stage = bool | Literal["all"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller says of a list, unchecked."""

    keywords: Any
    filters: Any
    mode: Any
    offset: Any
    limit: Any
    order_by: Any
    stage: Any
    workspace: str | None = None


class ListFunctions(Functions):
    """Lists of artifacts."""

    @permission(
        Level.NONE,
        on=ON_ARTIFACT,
        note="list on the parent; what is shown depends on the caller",
        gives_bytes=MAX_ANSWER_BYTES,
    )
    async def list(
        self,
        parent_id: str | None = None,
        keywords: Sequence[str] | None = None,
        filters: Plain | None = None,
        mode: Literal["AND", "OR"] = "AND",
        offset: Offset = 0,
        limit: Limit = 100,
        order_by: str | None = None,
        silent: bool = False,
        pagination: bool = False,
        stage: Stage = False,
        *,
        context: Context,
    ) -> Any:
        """List the artifacts in a collection, or those of your workspace that are in none.

        Args:
            parent_id: The collection.
            keywords: Words that all have to be somewhere in the manifest.
            filters: What artifacts have to be, such as `{"type": "dataset", "manifest": {"name": "D*"}}`,
                `{"created_at": [1700000000, null]}`, `{"manifest": {"tags": {"$in": ["x"]}}}`.
            mode: Whether all keywords and filters have to hold, or one of them.
            offset: How many artifacts to skip.
            limit: How many at most, 1 to 1000.
            order_by: `id`, `created_at`, `last_modified`, `view_count`, `download_count`, `manifest.<field>`
                or `config.<field>`; with `>` at the end, or `-` before it, the largest comes first.
            silent: Don't count this as a view of the collection.
            pagination: Give `{"items", "total", "offset", "limit"}` in place of the list alone.
            stage: false for committed artifacts, true for staged ones, `all` for both.
        """
        wanted = Wanted(keywords, filters, mode, offset, limit, order_by, stage)
        parent = None if parent_id is None else await self.parts.access.find(parent_id, context)
        answer = await self.listed(parent, wanted, context, everywhere=False, pagination=pagination is True)
        if parent is not None and silent is not True:
            await self.parts.artifacts.count(parent.id, views=1)
        return answer

    @permission(
        Level.NONE,
        on=ON_ARTIFACT,
        note="list on the parent; what is shown depends on the caller",
        gives_bytes=MAX_ANSWER_BYTES,
    )
    async def search(
        self,
        parent_id: str | None = None,
        keywords: Sequence[str] | None = None,
        filters: Plain | None = None,
        mode: Literal["AND", "OR"] = "AND",
        offset: Offset = 0,
        limit: Limit = 100,
        order_by: str | None = None,
        pagination: bool = False,
        stage: Stage = False,
        *,
        context: Context,
    ) -> Any:
        """Search the artifacts of your workspace, wherever they are in it, or those in one collection.

        Args:
            parent_id: The collection; the whole workspace if left out.
            keywords: As for `list`.
            filters: As for `list`.
            mode: As for `list`.
            offset: How many artifacts to skip.
            limit: How many at most, 1 to 1000.
            order_by: As for `list`.
            pagination: Give `{"items", "total", "offset", "limit"}` in place of the list alone.
            stage: As for `list`.
        """
        wanted = Wanted(keywords, filters, mode, offset, limit, order_by, stage)
        parent = None if parent_id is None else await self.parts.access.find(parent_id, context)
        return await self.listed(parent, wanted, context, everywhere=True, pagination=pagination is True)

    async def listed(
        self, parent: Artifact | None, wanted: Wanted, context: Context, *, everywhere: bool, pagination: bool
    ) -> Any:
        """The list that a caller wants.

        Raises:
            PermissionDenied: the collection does not let the caller list it. InvalidRequest.
        """
        access = self.parts.access
        if parent is not None:
            await access.require(parent, context, "list")
        workspace = parent.workspace if parent is not None else wanted.workspace or context.workspace
        caller = await access.caller(context, workspace)
        question = await self._question(parent, workspace, wanted, caller, context, everywhere)
        found, total = await Listing(self.parts).find(question, caller, counted=pagination)
        items: Any = await self._shown(found, question)
        fields = list_fields(parent.config) if parent is not None else None
        if fields is not None:
            items = [selected(item, fields) for item in items]
        if not pagination:
            return items
        return {"items": items, "total": total, "offset": question.offset, "limit": question.limit}

    async def _question(
        self,
        parent: Artifact | None,
        workspace: str,
        wanted: Wanted,
        caller: Caller,
        context: Context,
        everywhere: bool,
    ) -> Question:
        if wanted.mode not in ("AND", "OR"):
            raise InvalidRequest("mode is 'AND' or 'OR'.")
        if wanted.stage not in (True, False, "all"):
            raise InvalidRequest("stage is true, false or 'all'.")
        if wanted.order_by is not None and not isinstance(wanted.order_by, str):
            raise InvalidRequest("order_by is a text such as 'created_at>'.")
        filters, parent_id = await self._filters(wanted.filters, context)
        recipient = None
        field = recipient_field(parent.config) if parent is not None else None
        if field is not None and caller.level < Level.ADMIN:
            recipient = (field, address_of(context))
            filters = _without(filters, field)
        return Question(
            workspace, parent, everywhere, _words(wanted.keywords), filters, parent_id, wanted.mode == "OR",
            wanted.stage, wanted.order_by, check_offset(wanted.offset), check_limit(wanted.limit), recipient,
            address_of(context),
        )  # fmt: skip

    async def _filters(self, filters: object, context: Context) -> tuple[Mapping[str, Any], str | None]:
        """The filters, and the internal id of the parent that they name; one that isn't there has none."""
        if filters is None:
            return {}, None
        if not isinstance(filters, Mapping):
            raise InvalidRequest("filters is an object such as {'type': 'dataset'}.")
        named = filters.get("parent_id")
        if named is None:
            return filters, None
        return filters, (await self.parts.access.find(named, context)).id

    async def _shown(self, found: Sequence[Artifact], question: Question) -> Sequence[Plain]:
        """The artifacts as lists show them, made in several turns.

        Raises:
            FrameTooLarge: their grants, spelled out, are too long together.
        """
        staged = await self._staged_of(found) if question.stage is not False else {}
        items: list[Plain] = []
        size = 0
        for artifact in found:
            size += expanded_bytes(artifact.permissions)
            if size > MAX_ANSWER_BYTES:
                raise too_large()
            items.append(await self._one(artifact, question, staged.get(artifact.id, ())))
            await asyncio.sleep(0)
        return items

    async def _staged_of(self, found: Sequence[Artifact]) -> Plain:
        """What is staged of files, as far as a list shows it."""
        ids, count = list[str](), 0
        for artifact in found:
            if artifact.is_staged and count + artifact.staged_files <= MAX_STAGED_SHOWN:
                ids.append(artifact.id)
                count += artifact.staged_files
        return await self.parts.files.staged_of(ids) if ids else {}

    @staticmethod
    async def _one(artifact: Artifact, question: Question, staged: Sequence[Staged]) -> Plain:
        if question.stage is False:
            return artifact.shown()
        files = await shown_staged(staged) if artifact.is_staged else None
        one = artifact.as_staged() if question.stage is True else artifact
        return one.shown(staged_files=files)


def _words(keywords: object) -> Sequence[Any]:
    if keywords is None:
        return ()
    if isinstance(keywords, str):
        return (keywords,)
    if not isinstance(keywords, list | tuple):
        raise InvalidRequest("keywords is a list of words.")
    return keywords


def _without(filters: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """The filters without what they say of the field that names recipients."""
    manifest = filters.get("manifest")
    if not isinstance(manifest, Mapping) or field not in manifest:
        return filters
    return {**filters, "manifest": {key: value for key, value in manifest.items() if key != field}}
