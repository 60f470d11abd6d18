"""What S3 tells of an object, and what is told to it: types, metadata, times."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote

from hypha.errors import InvalidRequest
from hypha.objects.checks import checked_metadata, plain_etag
from hypha.objects.store import DEFAULT_TYPE, ObjectInfo

SHA256 = "hypha-sha256"
"""In the metadata of an object that was small enough to be hashed before it was sent."""
WANTED_SHA256 = "hypha-sha256-wanted"
"""Of an object that is made of parts: what it must have, which is found out afterwards."""
MAX_METADATA_BYTES = 1800
"""S3 takes 2,048, with ours."""
_TYPE = "Content-Type"
_PLAIN = "".join(chr(code) for code in range(33, 127) if chr(code) != "%")
_OF_HTTP = frozenset({"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language"})
_SAYS_NOTHING = frozenset({"", "binary/octet-stream", "application/x-www-form-urlencoded"})


def told_attributes(content_type: str, metadata: Mapping[str, str], sha256: str = "") -> dict[str, str]:
    """Type and metadata as `obstore` takes them.

    Raises:
        InvalidRequest: the metadata is no map of texts, or too long.
    """
    return {_TYPE: content_type, **told_metadata(metadata), **({SHA256: sha256} if sha256 else {})}


def told_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata in the letters that HTTP headers take.

    Raises:
        InvalidRequest: it is no map of texts, or too long.
    """
    given = checked_metadata(metadata)
    found = {quote(name.lower(), safe="-"): quote(text, safe=_PLAIN) for name, text in given.items()}
    if sum(len(name) + len(text) for name, text in found.items()) > MAX_METADATA_BYTES:
        raise InvalidRequest(f"The metadata of a file is longer than {MAX_METADATA_BYTES:,} bytes.")
    return found


def info_of(key: str, meta: Mapping[str, object], attributes: Mapping[str, object]) -> ObjectInfo:
    """The facts of an object as `obstore` tells them."""
    texts = {str(name): str(value) for name, value in attributes.items()}
    said = texts.pop(_TYPE, "")
    sha256 = texts.pop(SHA256, "")
    texts.pop(WANTED_SHA256, None)
    own = {unquote(name): unquote(text) for name, text in texts.items() if name not in _OF_HTTP}
    return ObjectInfo(
        key,
        int(str(meta["size"])),
        plain_etag(meta["e_tag"]),
        meta["last_modified"].timestamp(),  # type: ignore[attr-defined]  # a datetime
        (mimetypes.guess_type(key)[0] or DEFAULT_TYPE) if said in _SAYS_NOTHING else said,
        own,
        sha256,
    )


def joined_etag(etags: Sequence[str]) -> str:
    """The ETag that most storages give to what is made of parts; "-" where those of parts say nothing."""
    try:
        digest = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in etags), usedforsecurity=False)
    except ValueError:
        return "-"
    return f"{digest.hexdigest()}-{len(etags)}"
