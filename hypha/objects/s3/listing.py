"""Lists of objects in a bucket: pages of S3 as pages of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from hypha.errors import BackendUnavailable, InvalidKey
from hypha.objects.checks import plain_etag
from hypha.objects.keys import check_key
from hypha.objects.s3.control import Control
from hypha.objects.s3.failures import UNAVAILABLE
from hypha.objects.store import ObjectInfo, Page

PER_REQUEST = 1000
_LAST = "\U0010ffff"
"""Behind all that begins with the same folder."""


@dataclass(frozen=True, slots=True)
class RawPage:
    """A page as S3 told it; `token` leads to the next one, empty for none."""

    objects: list[ObjectInfo]
    folders: list[str]
    token: str


async def list_page(
    control: Control, prefix: str, after: str, skip: int, limit: int, *, recursive: bool
) -> Page:
    """See `ObjectStore.list`; keys that we could not name are left out."""
    query = {} if recursive else {"delimiter": "/"}
    if after:
        query["start-after"] = after + _LAST if after.endswith("/") and not recursive else after
    entries: list[tuple[str, ObjectInfo | None]] = []
    token, left = "", skip
    while True:
        wanted = min(PER_REQUEST, left + limit - len(entries))
        page = await _fetch(control, prefix, {**query, "max-keys": str(wanted)}, token)
        found: list[tuple[str, ObjectInfo | None]] = [(info.key, info) for info in page.objects]
        found += [(folder, None) for folder in page.folders]
        found = sorted((each for each in found if _is_ours(each[0]) and each[0] > after), key=_first)
        left, found = max(0, left - len(found)), found[left:]
        entries += found
        token = page.token
        if not token or len(entries) >= limit:
            break
    rest = bool(token) or len(entries) > limit
    entries = entries[:limit]
    objects = [info for _, info in entries if info is not None]
    return Page(objects, [name for name, info in entries if info is None], rest)


async def all_below(control: Control, prefix: str) -> AsyncIterator[list[ObjectInfo]]:
    """All objects whose keys begin with a prefix, page by page, whatever their names."""
    token = ""
    while True:
        page = await _fetch(control, prefix, {"max-keys": str(PER_REQUEST)}, token)
        yield page.objects
        token = page.token
        if not token:
            return


async def _fetch(control: Control, prefix: str, query: dict[str, str], token: str) -> RawPage:
    asked = {**query, "prefix": prefix, **({"continuation-token": token} if token else {})}
    return parsed(await control.page(asked))


def parsed(xml: bytes) -> RawPage:
    """An answer to ListObjectsV2.

    Raises:
        BackendUnavailable: it is none.
    """
    try:
        root = ElementTree.fromstring(xml)
        space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
        told_how = unquote_plus if root.findtext(f"{space}EncodingType") == "url" else str
        objects = [
            ObjectInfo(
                told_how(each.findtext(f"{space}Key") or ""),
                int(each.findtext(f"{space}Size") or 0),
                plain_etag(each.findtext(f"{space}ETag")),
                _seconds(each.findtext(f"{space}LastModified") or ""),
            )
            for each in root.iterfind(f"{space}Contents")
        ]
        folders = [
            told_how(each.findtext(f"{space}Prefix") or "")
            for each in root.iterfind(f"{space}CommonPrefixes")
        ]
        is_cut = root.findtext(f"{space}IsTruncated") == "true"
        token = root.findtext(f"{space}NextContinuationToken") or ""
    except (ElementTree.ParseError, ValueError):
        raise BackendUnavailable(UNAVAILABLE) from None
    return RawPage(objects, folders, token if is_cut else "")


def _seconds(text: str) -> float:
    """A time in Unix seconds, whole as in the headers of an object."""
    return float(int(datetime.fromisoformat(text).timestamp()))


def _first(entry: tuple[str, ObjectInfo | None]) -> str:
    return entry[0]


def _is_ours(name: str) -> bool:
    try:
        check_key(name.removesuffix("/"))
    except InvalidKey:
        return False
    return True
