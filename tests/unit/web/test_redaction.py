"""A visitor's token is found in a request however it is written."""

from __future__ import annotations

import base64
from functools import partial
from operator import mul
from urllib.parse import quote

import pytest

from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import User
from hypha.web.redaction import Redaction
from tests.kit.linear_time import check_growth

AUTHORITY = TokenAuthority("secret" * 8, root_token="root-token-of-forty-characters-0123456789")
TOKEN = AUTHORITY.mint(User("anna"), 60)
OTHER = AUTHORITY.mint(User("anna", email="anna@lab.example"), 60)


def redaction(token: str | None = TOKEN) -> Redaction:
    return Redaction(token, AUTHORITY.is_recognised)


def everywhere_escaped(text: str) -> str:
    return "".join(f"%{ord(letter):02x}" for letter in text)


WRITTEN = {
    "plain": TOKEN,
    "in a word": f"x{TOKEN}y",
    "in an address": f"https://a.example/?a=1&token={TOKEN}#b",
    "percent": everywhere_escaped(TOKEN),
    "percent twice": quote(everywhere_escaped(TOKEN)),
    "basic": "Basic " + base64.b64encode(f"anna:{TOKEN}".encode()).decode(),
    "basic with a name of two letters": base64.b64encode(f"an:{TOKEN}".encode()).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(b"\xff" + TOKEN.encode()).decode().rstrip("="),
    "base64 behind a word": "key-" + base64.b64encode(TOKEN.encode()).decode(),
    "percent in base64": base64.b64encode(everywhere_escaped(TOKEN).encode()).decode(),
    "base64 in percent": everywhere_escaped(base64.b64encode(TOKEN.encode()).decode()),
    "hex": TOKEN.encode().hex(),
    "another token of this server": OTHER,
    "another in an address": f"/x?access_token={quote(OTHER)}",
    "another in base64": base64.b64encode(f"anna:{OTHER}".encode()).decode(),
    "the root token": "a=root-token-of-forty-characters-0123456789",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_token_is_found(name: str) -> None:
    assert redaction().holds(WRITTEN[name].encode())


@pytest.mark.parametrize("name", [name for name in WRITTEN if "another" in name or "root" in name])
def test_a_token_is_found_in_the_request_of_a_stranger(name: str) -> None:
    assert redaction(None).holds(WRITTEN[name].encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUvIn0.c2lnbmF0dXJl",
        "eyJ.eyJ.eyJ.....",
        "%zz%",
        "token=jupyter-key-of-the-application-itself",
        TOKEN[:-8],
    ],
)
def test_other_texts_stay(text: str) -> None:
    found = Redaction("short", AUTHORITY.is_recognised).holds(text.encode())
    assert found is (text == TOKEN[:-8])  # a token with a damaged end calls itself ours all the same


def test_a_short_token_is_looked_for_as_a_word() -> None:
    short = Redaction("abc", AUTHORITY.is_recognised)
    assert short.holds(b"a=abc") and short.holds(b"Bearer abc")
    assert not short.holds(b"abcdef")


def test_only_what_holds_a_token_is_taken_out() -> None:
    kept = [(b"x-mine", b"1"), (b"cookie", b"a=b"), (b"accept", b"*/*")]
    taken = [
        (b"authorization", b"Bearer x"),
        (b"proxy-authorization", b"x"),
        (b"x-local-auth", b"x"),
        (b"x-forwarded-access-token", b"x"),
        (b"referer", b"https://here/?token=" + TOKEN.encode()),
    ]
    assert redaction().headers([*kept, *taken]) == kept
    query = f"a=1&token={TOKEN}&b=%20&{quote(TOKEN)}&c=" + base64.b64encode(TOKEN.encode()).decode()
    assert redaction().query(query.encode()) == b"a=1&b=%20"
    assert redaction().query(b"a=1&&b") == b"a=1&&b"


def test_the_search_takes_linear_time() -> None:
    for shape in (b"eyJ", b"eyJ.", b"%25", b"QUFB", b"a.", b"-", b"%65%79%4a.", b"eyJ" * 8 + b"."):
        check_growth(redaction().holds, partial(mul, shape), 4_000, repr(shape))
