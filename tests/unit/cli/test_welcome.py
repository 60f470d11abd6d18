"""What is printed at start."""

from __future__ import annotations

import pytest

from hypha.cli.welcome import welcome
from hypha.settings import Settings


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (Settings(port=9000), "http://127.0.0.1:9000"),
        (Settings(port=9000, host="0.0.0.0", base_path="/my/engine/"), "http://127.0.0.1:9000/my/engine"),
        (Settings(port=9000, host="::1"), "http://[::1]:9000"),
        (Settings(public_base_url="https://hub.example/x/"), "https://hub.example/x"),
    ],
)
def test_addresses_at_start_can_be_opened_as_they_stand(settings: Settings, url: str) -> None:
    text = welcome(settings, "/data", ["note   of a feature"])
    assert f"ready at {url}\n" in text
    assert f"curl {url}/health/readiness" in text
    assert f'"server_url": "{url}"' in text
    assert "Data: /data" in text and "note   of a feature" in text


def test_paths_that_differ_are_told_at_start() -> None:
    assert "Warning" not in welcome(
        Settings(public_base_url="https://hub.example/lab", base_path="/lab"), "/data"
    )
    assert "Warning" not in welcome(Settings(base_path="/lab"), "/data")
    text = welcome(Settings(public_base_url="https://hub.example/lab"), "/data")
    assert "Warning: --public-base-url has the path /lab and --base-path is /:" in text
