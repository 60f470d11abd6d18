"""Credentials are taken out of log lines."""

from __future__ import annotations

import logging

import pytest

from hypha.observe.secrets import SHOWN, WithoutSecrets, keeps_no_secret, without_tokens
from tests.kit.linear_time import check_growth

TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2FtdW4uYWkvIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "Bearer {}",
        "/x/{}/y",
        "token%20{}",
        "access_token={};",
        "'{}x'",
        "({})",
        "a {} b {}",
        "x.{}.y",
        "~{}~",
    ],
)
def test_signed_tokens_are_taken_out_wherever_they_stand(text: str) -> None:
    shown = without_tokens(text.replace("{}", TOKEN))
    assert SHOWN in shown and "eyJ" not in shown and "c2lnb" not in shown


@pytest.mark.parametrize(
    "text",
    ["", "GET /ws-user-anna/services/echo 200", "a" * 100, "eyJ is short", "sha256:" + "0f" * 32, "%20" * 50],
)
def test_other_lines_stay_as_they_are(text: str) -> None:
    assert without_tokens(text) == text


def test_secrets_of_other_forms_are_taken_out_by_name() -> None:
    formatter = WithoutSecrets(
        WithoutSecrets(logging.Formatter("%(message)s")), ["0123456789abcdef", "ab", ""]
    )
    record = logging.LogRecord("x", 20, __file__, 1, "about %s", ("0123456789abcdef",), None)
    assert formatter.format(record) == f"about {SHOWN}"


def test_a_traceback_that_quotes_a_token_holds_none() -> None:
    try:
        raise ValueError(f"cannot read {TOKEN}")
    except ValueError as error:
        record = logging.LogRecord(
            "x", 40, __file__, 1, "failed", (), (ValueError, error, error.__traceback__)
        )
    text = WithoutSecrets(None).format(record)
    assert "ValueError: cannot read <token>" in text


@pytest.mark.parametrize("unit", ["eyJ", "eyJ.", "a", "eyJ.eyJ.eyJ. ", "%65yJ"])
def test_cleaning_costs_linear_time(unit: str) -> None:
    check_growth(without_tokens, lambda count: unit * count, 100_000, unit)


@pytest.mark.parametrize("target", ["/ws?token=T", "http%3A//127.0.0.1/x?token=T", "%2A?token=T", "?T"])
def test_queries_are_cut_off_whatever_stands_before_them(target: str) -> None:
    record = logging.LogRecord(
        "uvicorn.access", 20, __file__, 1, "%s - %s %d", ("1.2.3.4:5", target, 200), None
    )
    assert keeps_no_secret(record) and "T" not in record.getMessage()


def test_what_shows_whole_messages_is_not_logged() -> None:
    place = "/site-packages/websockets/server.py"
    assert not keeps_no_secret(logging.LogRecord("uvicorn.error", 10, place, 1, "< %s", ("Cookie: x",), None))
    assert keeps_no_secret(logging.LogRecord("uvicorn.error", 40, place, 1, "failed", (), None))
