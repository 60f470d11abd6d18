"""Revocations last, close connections and are forgotten when they no longer matter."""

from __future__ import annotations

from hypha.auth import revocation
from hypha.auth.revocation import Revocations


class MemoryStore:
    """A store of revoked tokens that counts."""

    def __init__(self) -> None:
        self.rows: dict[str, float] = {}

    async def add(self, fingerprint: str, expires_at: float) -> None:
        self.rows[fingerprint] = expires_at

    async def load(self, now: float) -> dict[str, float]:
        return {name: until for name, until in self.rows.items() if until > now}


async def test_a_revocation_is_known_after_a_restart() -> None:
    store = MemoryStore()
    ended: list[str] = []
    revocations = Revocations(store, ended.extend, lambda: 100.0)
    await revocations.revoke("f", 200.0)
    assert revocations.is_revoked("f")
    assert ended == ["f"]
    again = Revocations(store, clock=lambda: 100.0)
    assert not again.is_revoked("f")
    await again.load()
    assert again.is_revoked("f")


async def test_a_revocation_outlives_what_was_made_from_the_token() -> None:
    store = MemoryStore()
    await Revocations(store, clock=lambda: 100.0, outlive_s=50.0).revoke("f", 101.0)
    assert store.rows == {"f": 150.0}
    later = Revocations(store, clock=lambda: 149.0)
    await later.load()
    assert later.is_revoked("f")


async def test_expired_revocations_do_not_pile_up(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(revocation, "PURGE_AT", 10)
    now = [0.0]
    revocations = Revocations(clock=lambda: now[0])
    for number in range(30):
        now[0] = float(number)
        await revocations.revoke(f"f{number}", number + 3.0)
    assert not revocations.is_revoked("f0")
    assert revocations.is_revoked("f29")
