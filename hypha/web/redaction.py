"""Takes a visitor's token out of a request, wherever it stands and however it is written."""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

from hypha.web.headers import Headers

IsToken = Callable[[str], bool]

DEPTH = 3
"""How often one encoding may lie within another: percent, base64, percent."""
MIN_CLAIMS_CHARS = 24
"""Claims that name an issuer are longer than that in base64."""
MIN_BASE64_CHARS = 16
"""Less of it is not looked into."""
SHORT_CHARS = 16
"""A shorter token is looked for as a word: it may be part of texts that have nothing to do with it."""

_SECRET_FIELDS = frozenset(
    {
        b"authorization", b"proxy-authorization", b"x-local-auth",
        # what sign-in proxies in front of a server add for it
        b"cf-access-jwt-assertion", b"cf-access-token", b"x-amzn-oidc-accesstoken", b"x-amzn-oidc-data",
        b"x-auth-request-access-token", b"x-forwarded-access-token", b"x-goog-iap-jwt-assertion",
        b"x-ms-token-aad-access-token", b"x-ms-token-aad-id-token",
    }
)  # fmt: skip
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")


def _apart(kept: bytes) -> bytes:
    """A table that leaves these bytes and makes spaces of the others, for `split`."""
    return bytes(byte if byte in kept else 0x20 for byte in range(256))


_VALUES = _apart(bytes(set(range(256)) - set(b" \t\n\r\f\v,;:&=\"'<>()?")))
_DOTTED = _apart(_LETTERS + b"_.-")
_BASE64 = _apart(_LETTERS + b"+/")
# a head is up to 64 KiB of anybody's words: tables and `split` cost a tenth of what expressions would


class Redaction:
    """What shows who the visitor is.

    Args:
        token: the visitor's credential, None for a stranger.
        is_token: tells any other credential for this server by its text.
    """

    def __init__(self, token: str | None, is_token: IsToken) -> None:
        secret = (token or "").encode("latin-1", "replace")
        self._short = secret if len(secret) < SHORT_CHARS else b""
        self._needles = () if self._short or not secret else tuple(_spellings(secret))
        self._is_token = is_token

    def holds(self, text: bytes) -> bool:
        """True if a token stands in the text: plain, percent-encoded, in base64 or in hexadecimal digits."""
        return any(self._is_in(form) for form in _forms(text, DEPTH))

    def _is_in(self, text: bytes) -> bool:
        if any(needle in text for needle in self._needles):
            return True
        words = text.translate(_VALUES).split()
        if self._short and self._short in words:
            return True
        if any(self._is_one(word) for word in words if len(word) >= SHORT_CHARS):
            return True
        return any(map(self._is_one, _signed(text)))

    def _is_one(self, word: bytes) -> bool:
        return self._is_token(word.decode("latin-1"))

    def headers(self, headers: Headers) -> Headers:
        """The fields without those that are a credential or hold one; `cookie` is left to others."""
        return [
            (name, value)
            for name, value in headers
            if name == b"cookie" or not (name in _SECRET_FIELDS or self.holds(value))
        ]

    def query(self, query: bytes) -> bytes:
        """The query string without the parameters that hold a token."""
        if not self.holds(query):
            return query
        kept = b"&".join(part for part in query.split(b"&") if not self.holds(part))
        return b"" if self.holds(kept) else kept


def _spellings(secret: bytes) -> Iterator[bytes]:
    """What is found in every text that holds the secret plain, in base64 or in hexadecimal digits."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for start in range(3):  # base64 looks different for each place within three bytes
        whole = secret[start : start + (len(secret) - start) // 3 * 3]
        standard = b64encode(whole)
        yield from {standard, standard.translate(_TO_URL)}


def _forms(text: bytes, depth: int) -> Iterator[bytes]:
    """The text, and what it says once its encodings are undone; at most `depth` of them."""
    yield text
    if not depth:
        return
    if b"%" in text:
        plain = unquote_to_bytes(text)
        if plain != text:
            yield from _forms(plain, depth - 1)
    runs = text.translate(_FROM_URL).translate(_BASE64).split()
    plain = b" ".join(_from_base64(run) for run in runs if len(run) >= MIN_BASE64_CHARS)
    if plain:
        yield from _forms(plain, depth - 1)


def _from_base64(run: bytes) -> bytes:
    whole = run[: len(run) - (len(run) % 4 == 1)]
    return a2b_base64(whole + b"=" * (-len(whole) % 4))


def _signed(text: bytes) -> Iterator[bytes]:
    """Texts in the form of a signed token: three words in base64 with dots between them."""
    for word in text.translate(_DOTTED).split():
        if word.count(b".") < 2:
            continue
        parts = word.split(b".")
        for first, claims in enumerate(parts[1:-1]):
            if len(claims) >= MIN_CLAIMS_CHARS and parts[first].startswith(b"eyJ"):
                yield b".".join(parts[first : first + 3])
