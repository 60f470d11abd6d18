"""What caches may keep of answers that were made for one person."""

from __future__ import annotations

import pytest

from hypha.web.caching import for_nobody_else, for_one_person


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        (None, b"private, no-store"),
        (b"no-cache", b"private, no-cache"),
        (b"max-age=60", b"private, max-age=60"),
        (b"No-Store", b"No-Store"),
        (b"private, max-age=60", b"private, max-age=60"),
        (b"public, max-age=60", b"public, max-age=60"),
        (b"s-maxage=60", b"s-maxage=60"),
    ],
)
def test_no_cache_gives_one_persons_answer_to_another(said: bytes | None, sent: bytes) -> None:
    headers = [(b"x", b"1")] + ([(b"cache-control", said)] if said is not None else [])
    assert dict(for_one_person(headers)) == {b"x": b"1", b"cache-control": sent}


def test_a_browser_may_keep_files_of_an_application_and_asks_whether_they_are_good() -> None:
    assert for_one_person([], may_store=True) == [(b"cache-control", b"private, no-cache")]


def test_no_cache_keeps_what_would_do_harm_in_the_browser_of_somebody_else() -> None:
    names = (b"cache-control", b"cdn-cache-control", b"surrogate-control", b"x-accel-expires", b"expires")
    said = [(name, b"public, max-age=600") for name in names]
    kept = [(b"x-accel-buffering", b"no")]
    assert for_nobody_else([*said, *kept]) == [*kept, (b"cache-control", b"private, no-cache")]
