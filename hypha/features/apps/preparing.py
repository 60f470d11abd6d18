"""What is installed: a manifest and files, made of what the caller gives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypha.errors import InvalidRequest
from hypha.features.apps.file_formats import AppFile, checked_files
from hypha.features.apps.manifests import check_installable
from hypha.features.apps.sources import ReadSource, address_of, external, read_source

Fetch = Callable[[str], Awaitable[str]]
IN_THREAD_CHARS = 64 * 1024
"""Longer sources are read in a thread."""


async def prepare(source: object, manifest: dict[str, Any], files: object, fetch: Fetch) -> ReadSource:
    """What a caller gives, as a manifest and files; `fetch` gets the text at an address.

    Raises:
        InvalidRequest: it cannot be an app. LimitReached: as `fetch`.
    """
    given = checked_files(files)
    if source is None:
        check_installable(manifest, has_source=False)
        return ReadSource(manifest, given)
    if not isinstance(source, str):
        raise InvalidRequest("The source of an app is a text.")
    check_installable(manifest, has_source=True)
    address = address_of(source)
    if address is not None:
        if not address.is_plugin:
            return ReadSource(external(manifest, address), given)
        source = await fetch(address.url)
    if len(source) > IN_THREAD_CHARS:
        made = await asyncio.to_thread(read_source, manifest, given, source)
    else:
        made = read_source(manifest, given, source)
    check_installable(made.manifest, has_source=True)
    return made


def merged(files: list[AppFile], more: list[AppFile]) -> list[AppFile]:
    """Files with others among them, which take the place of those of the same path."""
    return list({file["path"]: file for file in (*files, *more)}.values())
