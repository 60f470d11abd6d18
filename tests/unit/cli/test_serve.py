"""Taking the port, and the first words to a person."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest

from hypha.cli.listener import bind
from hypha.cli.welcome import welcome
from hypha.errors import ConfigurationError
from hypha.settings import Settings


def test_a_port_in_use_is_told_in_one_sentence() -> None:
    with contextlib.closing(bind("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} on 127.0.0.1 is in use"):
            bind("127.0.0.1", port)


def test_a_foreign_address_is_told_in_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="Cannot listen on"):
        bind("192.0.2.1", 0)


@pytest.mark.parametrize("host", ["a\0b", "no such host", "x" * 300, "café..", "127.0.0.1:80"])
def test_what_is_no_host_is_told_in_one_sentence(host: str) -> None:
    with pytest.raises(ConfigurationError, match="Cannot listen on"):
        bind(host, 0)


def test_the_welcome_says_where_to_go_and_where_data_lies() -> None:
    settings = dataclasses.replace(Settings(), host="0.0.0.0", port=9000, base_path="/my/engine")
    text = welcome(settings, "/data/here")
    assert "ready at http://127.0.0.1:9000/my/engine" in text
    assert "/data/here" in text and "connect_to_server" in text
