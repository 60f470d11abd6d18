"""Which origins' pages may read answers, and which may use cookies."""

from __future__ import annotations

import pytest
from starlette.types import Message

from hypha.web.cors import CorsPolicy
from hypha.web.scope import NAMED

PAGE = b"https://page.example"
CREDENTIALS = (b"access-control-allow-credentials", b"true")


def test_no_origin_uses_cookies_because_of_a_star() -> None:
    for policy in (CorsPolicy(), CorsPolicy(["*", "https://other.example"])):
        for in_app in (False, True):
            headers = policy.headers(PAGE, in_app=in_app)
            assert (b"access-control-allow-origin", PAGE) in headers
            assert CREDENTIALS not in headers
            ask = {b"origin": PAGE, b"access-control-request-method": b"PUT"}
            status, answer, _ = policy.preflight(ask, in_app=in_app)
            assert (status, CREDENTIALS in answer) == (200, False)


@pytest.mark.parametrize("written", ["https://page.example", " https://PAGE.example/ "])
def test_an_origin_that_the_operator_names_uses_cookies(written: str) -> None:
    for policy in (CorsPolicy([written]), CorsPolicy(["*", written])):
        assert CREDENTIALS in policy.headers(PAGE)
        assert CREDENTIALS in policy.headers(PAGE, in_app=True)
        ask = {b"origin": PAGE, b"access-control-request-method": b"PUT"}
        assert CREDENTIALS in policy.preflight(ask)[1]
        for other in (b"https://page.example.org", b"http://page.example", b"https://page.example:8443"):
            assert CREDENTIALS not in policy.headers(other)


def test_a_page_without_an_origin_is_never_named() -> None:
    policy = CorsPolicy(["null", "*"])
    for in_app in (False, True):
        assert CREDENTIALS not in policy.headers(b"null", in_app=in_app)
    assert not policy.asks_application(b"null")


async def test_what_an_application_says_counts_where_it_names_the_origin() -> None:
    policy, sent = CorsPolicy(["https://other.example"]), list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    start = {"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"1")]}
    await policy.sending(send, PAGE, in_app=True)({**start, NAMED: True})
    assert CREDENTIALS in sent[-1]["headers"] and (b"x-a", b"1") in sent[-1]["headers"]
    await policy.sending(send, PAGE, in_app=True)(start)
    assert CREDENTIALS not in sent[-1]["headers"]

    ask = {b"origin": PAGE, b"access-control-request-method": b"PUT"}
    allowed = [(b"access-control-allow-methods", b"PURGE"), (b"x-a", b"1")]
    for is_named, status in ((True, 200), (False, 400)):
        sent.clear()
        answer = policy.preflighting(send, ask)
        await answer({**start, "headers": allowed, NAMED: is_named})
        await answer({"type": "http.response.body", "body": b"of the application"})
        assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
        assert (sent[0]["status"], b"application" in sent[1]["body"]) == (status, False)
        assert (CREDENTIALS in sent[0]["headers"]) is is_named
        assert ((b"access-control-allow-methods", b"PURGE") in sent[0]["headers"]) is is_named
        assert (b"x-a", b"1") not in sent[0]["headers"]
