"""Pages of logs, whatever shape a worker gives them."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.features.apps.logs import page_of

PAGE = {"items": [{"type": "stdout", "content": "b"}], "total": 7}


@pytest.mark.parametrize(
    ("answer", "kind", "items", "total"),
    [
        (PAGE, "stdout", [("stdout", "b")], 7),
        ({"log": ["a", "b"], "error": ["c"]}, None, [("log", "a"), ("log", "b"), ("error", "c")], 3),
        ({"log": ["a", "b"], "error": ["c"]}, "error", [("error", "c")], 1),
        ({"screen": "what it shows"}, "screen", [("screen", "what it shows")], 1),
        (["a", {"type": "error", "content": "b"}], None, [("log", "a"), ("error", "b")], 2),
        (["a"], "screen", [], 0),
        ("what it shows", "screen", [("screen", "what it shows")], 1),
        ("a log", None, [("log", "a log")], 1),
        (None, None, [], 0),
        (7, None, [("log", "7")], 1),
    ],
)
def test_every_answer_is_a_page(answer: Any, kind: str | None, items: list[Any], total: int) -> None:
    page = page_of(answer, kind, 0, None)
    assert [(item["type"], item["content"]) for item in page["items"]] == items
    assert page["total"] == total


def test_a_whole_log_is_cut_to_the_page_that_is_asked_for() -> None:
    page = page_of({"log": ["a", "b", "c", "d"]}, "log", 1, 2)
    assert [item["content"] for item in page["items"]] == ["b", "c"]
    assert (page["total"], page["offset"], page["limit"]) == (4, 1, 2)
