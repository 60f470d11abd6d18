"""What is kept of clients that have ended, for when they come back."""

from __future__ import annotations

from hypha.workspaces.membership import LeftNames

ME = ("user", "incarnation")


def test_the_oldest_gives_way_to_what_is_left_by_newer_ones() -> None:
    left = LeftNames(4)
    for number in range(3):
        left.put(f"ws/{number}", ME, ("a", "b"))
    assert left.take("ws/0", ME) == ()
    assert left.take("ws/2", ME) == ("a", "b")
    assert left.take("ws/2", ME) == ()


def test_names_are_for_who_left_them_alone() -> None:
    left = LeftNames(4)
    left.put("ws/1", ME, ("a",))
    assert left.take("ws/1", ("user", "another")) == ()
    assert left.take("ws/1", ME) == (), "whoever came in between has taken the address"
