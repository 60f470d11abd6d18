"""Keys of objects: the one sanitiser of every path that comes from outside, and their names on disk.

A key is a path of words, such as `ws-1/artifacts/data.bin`. On disk each word is a file name. A word may be
the name of an object and of a folder at once; the object then lies beside the folder under a marked name.
"""

from __future__ import annotations

import re

from hypha.errors import InvalidKey

MAX_KEY_BYTES = 1024
"""Of a whole key, as S3 has it."""
MAX_WORDS = 64
"""Of a key: each but the last is a folder, which takes room on disk that nobody counts."""
MAX_WORD_BYTES = 240
"""Of a word as it is written on disk: file systems take 255, and a mark may follow."""
BESIDE = "%+"
"""Ends the name of an object whose plain name a folder has. No word is written so: `%` is `%25`."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def check_key(key: object) -> str:
    """The key of an object.

    Raises:
        InvalidKey: it climbs, begins or ends with `/`, has empty words, `\\` or control characters, or is
            too long.
    """
    if not isinstance(key, str) or not key:
        raise InvalidKey("The path of a file is a text that is not empty.")
    _check_bytes(key)
    words = key.split("/")
    if len(words) > MAX_WORDS:
        raise InvalidKey(f"The path {_shown(key)} leads through more than {MAX_WORDS} folders.")
    for word in words:
        if word in ("", ".", ".."):
            raise InvalidKey(
                f"The path {_shown(key)} has an empty word, '.' or '..' in it: write it without, "
                "and without '/' at its begin and end."
            )
        if len(_on_disk(word).encode()) > MAX_WORD_BYTES:
            raise InvalidKey(f"A name in the path {_shown(key)} is longer than {MAX_WORD_BYTES} bytes.")
    return key


def check_prefix(prefix: object) -> str:
    """What keys may begin with: empty, a key, or a key with `/` at its end.

    Raises:
        InvalidKey: as from `check_key`.
    """
    if isinstance(prefix, str) and not prefix.strip("/") and len(prefix) < 2:
        return ""
    key = check_key(prefix.removesuffix("/") if isinstance(prefix, str) else prefix)
    return key if prefix == key else key + "/"


def check_bucket(name: object) -> str:
    """The name of a bucket, by the rules of S3.

    Raises:
        InvalidKey: it is none.
    """
    if not isinstance(name, str) or not _BUCKET.fullmatch(name) or ".." in name:
        raise InvalidKey("The name of a bucket has 3 to 63 small letters, digits, '-' and '.'.")
    return name


def names_of(key: str) -> list[str]:
    """The file names of a checked key, folders first."""
    return [_on_disk(word) for word in key.split("/")]


def word_of(name: str) -> tuple[str, bool]:
    """The word that a file name stands for, and whether it is that of an object beside a folder."""
    is_beside = name.endswith(BESIDE)
    return (name[: -len(BESIDE)] if is_beside else name).replace("%25", "%"), is_beside


def _on_disk(word: str) -> str:
    return word.replace("%", "%25")


def _check_bytes(key: str) -> None:
    if "\\" in key or _CONTROL.search(key):
        raise InvalidKey(f"The path {_shown(key)} has a backslash or a control character in it.")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidKey(f"The path {_shown(key)} has half a character in it.") from None
    if size > MAX_KEY_BYTES:
        raise InvalidKey(f"The path {_shown(key)} is longer than {MAX_KEY_BYTES} bytes.")


def _shown(key: str) -> str:
    return ascii(key[:100])
