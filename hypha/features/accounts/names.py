"""Names and e-mail addresses as people give them: every script, nothing invisible."""

from __future__ import annotations

import re
import unicodedata

from hypha.errors import InvalidArguments

MAX_NAME_CHARS = 100
MAX_EMAIL_CHARS = 254
_JOINERS = "\u200c\u200d"  # part of the spelling in Persian, Hindi and of many pictographs
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Fillers: letters, marks and signs by their category, and yet nothing is seen of them."""
_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@[^\s@<>()\[\],;:\\\"/?#%。]{1,189}")


def check_name(name: object) -> str:
    """A person's name in normal form (NFC), else InvalidArguments.

    Refused are control characters, also those that turn the direction of writing, because they
    make a name look like another.
    """
    if not isinstance(name, str) or len(name) > 4 * MAX_NAME_CHARS:
        raise InvalidArguments(f"The name must be text of at most {MAX_NAME_CHARS} characters")
    normal = " ".join(unicodedata.normalize("NFC", name).split(" ")).strip()
    if not normal or len(normal) > MAX_NAME_CHARS:
        raise InvalidArguments(f"The name must have 1 to {MAX_NAME_CHARS} characters")
    if any(_is_hidden(char) and char not in _JOINERS for char in normal):
        raise InvalidArguments("The name contains control or invisible characters")
    if all(unicodedata.category(char)[0] in "MZC" for char in normal):
        raise InvalidArguments("The name must have at least one visible character")
    return normal


def check_email(email: object) -> str:
    """An e-mail address as it was written (NFC), else InvalidArguments.

    Letters that only look different (full width, ligatures) are refused: two spellings of one
    mailbox must not become two accounts.
    """
    if not isinstance(email, str) or len(email) > 2 * MAX_EMAIL_CHARS:
        raise InvalidArguments("Please give a valid e-mail address")
    normal = unicodedata.normalize("NFC", email.strip())
    is_plain = unicodedata.normalize("NFKC", normal) == normal
    is_visible = not any(map(_is_hidden, normal))
    domain = normal.rpartition("@")[2]
    is_whole = not domain.startswith((".", "-")) and not domain.endswith((".", "-")) and ".." not in domain
    fits = len(normal) <= MAX_EMAIL_CHARS and bool(_EMAIL.fullmatch(normal))
    if not (fits and is_plain and is_visible and is_whole):
        raise InvalidArguments("Please give a valid e-mail address")
    return normal


def _is_hidden(char: str) -> bool:
    return char in _INVISIBLE or unicodedata.category(char) in _REFUSED
