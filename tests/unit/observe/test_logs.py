"""Log lines: one per event, machine-readable outside a terminal."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from hypha.observe.logs import setup_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
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
