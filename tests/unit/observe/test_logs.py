"""Log lines: one per event, machine-readable outside a terminal."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from hypha.observe.logs import setup_logging


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):  # a uvicorn of another test has its own way
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    root = logging.getLogger()
    handlers, level = root.handlers[:], logging.getLogger("hypha").level
    yield io.StringIO()
    root.handlers[:] = handlers
    for name in ("hypha", "uvicorn"):
        logging.getLogger(name).setLevel(level)


def test_uvicorns_second_text_is_left_out(stream: io.StringIO) -> None:
    setup_logging("INFO", stream=stream)
    logging.getLogger("hypha.web").info("up", extra={"color_message": "\x1b[36mup"})
    assert "color_message" not in json.loads(stream.getvalue())


def test_lines_about_requests_hold_no_query(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # as a uvicorn in the same process does
    for _ in range(2):
        setup_logging("INFO", access_log=True, stream=stream)
    secret = "/public/services/hypha-login/report?key=K3Y&token=T0KEN"
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", secret, "1.1", 200
    )
    logging.getLogger("uvicorn.error").info('%s - "WebSocket %s" [accepted]', "1.2.3.4:5", "/ws?token=T0KEN")
    text = stream.getvalue()
    assert "T0KEN" not in text and "K3Y" not in text
    assert "/public/services/hypha-login/report HTTP/1.1" in text and text.count("\n") == 2


def test_one_line_for_each_event_with_its_fields(stream: io.StringIO) -> None:
    setup_logging("INFO", stream=stream)
    logging.getLogger("hypha.web").info("called %s", "echo", extra={"request_id": "r1"})
    try:
        raise RuntimeError("two\nlines")
    except RuntimeError:
        logging.getLogger("hypha.web").exception("failed")
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (first["event"], first["level"], first["logger"], first["request_id"]) == (
        "called echo",
        "info",
        "hypha.web",
        "r1",
    )
    assert "RuntimeError" in second["exception"]


def test_the_default_level_is_warning(stream: io.StringIO) -> None:
    setup_logging(stream=stream)
    logging.getLogger("hypha.hub").info("coming and going")
    assert stream.getvalue() == ""


def test_an_unknown_level_is_warned_about(stream: io.StringIO) -> None:
    setup_logging("LOUD", stream=stream)
    logging.getLogger("hypha.hub").info("hidden")
    assert "LOUD" in stream.getvalue() and "hidden" not in stream.getvalue()


def test_setting_up_again_does_not_double_the_lines(stream: io.StringIO) -> None:
    setup_logging("INFO", stream=io.StringIO())
    setup_logging("INFO", stream=stream)
    logging.getLogger("hypha.hub").info("once")
    assert len(stream.getvalue().splitlines()) == 1
