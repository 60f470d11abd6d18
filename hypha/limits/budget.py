"""So much of something for several together, which may be a part of what more have."""

from __future__ import annotations


class Budget:
    """An amount of which parts are taken and given back; they also count in the whole it belongs to."""

    __slots__ = ("limit", "used", "whole")

    def __init__(self, limit: int, whole: Budget | None = None) -> None:
        self.limit = limit
        self.used = 0
        self.whole = whole

    def has(self, amount: int) -> bool:
        """Whether there is so much more, here and in the whole."""
        if self.used + amount > self.limit:
            return False
        return self.whole is None or self.whole.has(amount)

    def take(self, amount: int) -> bool:
        """Use so much more; False, and nothing is taken, if it is not there."""
        if not self.has(amount):
            return False
        self.add(amount)
        return True

    def add(self, amount: int) -> None:
        """Use so much more, or less, whether it is there or not."""
        self.used += amount
        if self.whole is not None:
            self.whole.add(amount)

    def give_back(self, amount: int) -> None:
        """Use so much less."""
        self.add(-amount)
