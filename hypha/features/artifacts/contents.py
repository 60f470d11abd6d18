"""Contents of files as values: bytes read as text, base64 or JSON, and values written as bytes."""

from __future__ import annotations

import base64
import binascii
import codecs
import json
from typing import Any

from hypha.errors import FrameTooLarge, InvalidRequest
from hypha.wire.decodable import check_read

MAX_BYTES = 10 * 1024 * 1024
FORMATS = ("text", "binary", "base64", "json")
LINEAR_CODECS = frozenset(
    (
        "utf-8 utf-8-sig ascii iso8859-1 utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be cp1250 cp1251 "
        "cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 iso8859-2 iso8859-15 koi8-r shift_jis euc_jp "
        "euc_kr big5 gb18030"
    ).split()
)
"""Encodings of text as Python names them; what else it calls one takes time that grows with the square of the
length. They are loaded when one is asked for."""


def checked_format(value: object) -> str:
    """One of the four formats.

    Raises:
        InvalidRequest: it is none.
    """
    if value not in FORMATS:
        raise InvalidRequest(f"Invalid format {str(value)[:100]!r}: use text, binary, base64 or json.")
    return str(value)


def checked_encoding(value: object) -> str:
    """The name of an encoding of text.

    Raises:
        InvalidRequest: it is none that is known.
    """
    try:
        name = codecs.lookup(value).name if isinstance(value, str) and len(value) < 40 else ""
    except (LookupError, ValueError):
        name = ""
    if name not in LINEAR_CODECS:
        raise InvalidRequest(
            f"Invalid encoding {str(value)[:40]!r}: use utf-8, latin-1, utf-16 or another one."
        )
    return name


def read_as(data: bytes, form: str, encoding: str, *, is_whole: bool) -> Any:
    """Bytes in a format; text may be cut off in the middle of a character, which is left out then.

    Raises:
        InvalidRequest: they are not of that format.
    """
    if form == "binary":
        return data
    if form == "base64":
        return base64.b64encode(data).decode()
    try:
        text = codecs.getincrementaldecoder(encoding)("strict").decode(data, final=is_whole)
    except UnicodeError:
        raise InvalidRequest(f"The file is no text in {encoding}: read it as binary or base64.") from None
    if form == "text":
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("The file is no JSON, or was not read whole: give a larger limit.") from None
    check_read(value, "the file; it can be read as text")
    return value


def written_as(content: Any, form: str, encoding: str) -> bytes:
    """A value as the bytes of a file.

    Raises:
        InvalidRequest: it does not fit the format. FrameTooLarge: there are more than 10 MiB.
    """
    data = _bytes_of(content, form, encoding)
    if len(data) > MAX_BYTES:
        raise FrameTooLarge(
            f"write_file takes at most {MAX_BYTES:,} bytes: upload larger files with put_file."
        )
    return data


def _bytes_of(content: Any, form: str, encoding: str) -> bytes:
    try:
        if form == "json" and not isinstance(content, str):
            return json.dumps(content, indent=2, ensure_ascii=False).encode(encoding)
        if form in ("text", "json") and isinstance(content, str):
            return content.encode(encoding)
        if form == "base64" and isinstance(content, str):
            return base64.b64decode(content, validate=True)
    except (UnicodeError, TypeError, ValueError, RecursionError, binascii.Error):
        raise InvalidRequest(f"The content cannot be written as {form} in {encoding}.") from None
    if form == "binary" and isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    wanted = "bytes" if form == "binary" else "a text"
    raise InvalidRequest(f"The content for the format {form} must be {wanted}.")
