"""Values at rest are encrypted and bound to their place."""

from __future__ import annotations

import pytest

from hypha.errors import BackendUnavailable
from hypha.store import Seal

SECRET = "a-secret-of-the-tests-which-is-long-enough"


def test_a_sealed_value_opens_in_its_place_only() -> None:
    seal = Seal(SECRET)
    sealed = seal.close(b"value", "lab/K")
    assert b"value" not in sealed
    assert seal.open(sealed, "lab/K") == b"value"
    assert seal.close(b"value", "lab/K") != sealed
    for damaged, place in (
        (sealed, "other/K"),
        (sealed[:-1], "lab/K"),
        (b"", "lab/K"),
        (b"\x02" + sealed[1:], "lab/K"),
    ):
        with pytest.raises(BackendUnavailable, match="cannot be decrypted"):
            seal.open(damaged, place)


def test_another_secret_does_not_open_it() -> None:
    sealed = Seal(SECRET).close(b"value", "p")
    with pytest.raises(BackendUnavailable):
        Seal(b"another-secret-of-somebody").open(sealed, "p")
