"""A map that never grows beyond its limit, whoever fills it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

_LOOKS = 4


def _one(_: object) -> int:
    return 1


def _any(_: object) -> bool:
    return True


class BoundedMap(Generic[Key, Value]):
    """For what is put beyond the limit the oldest goes: what was put longest ago and not used since.

    Values are never None.

    Args:
        limit: entries, or what all of them may weigh together.
        weigh: what one entry weighs; one that weighs more than the limit is not kept at all.
        may_go: which entries may be forgotten. Of the others there may be more than the limit: whoever
            puts them bounds them, see `has_room`.
    """

    __slots__ = ("_entries", "_may_go", "_weigh", "limit", "weight")

    def __init__(
        self,
        limit: int,
        weigh: Callable[[Value], int] = _one,
        may_go: Callable[[Value], bool] = _any,
    ) -> None:
        self.limit = limit
        self.weight = 0
        self._weigh = weigh
        self._may_go = may_go
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def get(self, key: Key) -> Value | None:
        """The value; to look at it does not make it newer."""
        return self._entries.get(key)

    def use(self, key: Key) -> Value | None:
        """The value, which is the newest from now on."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Keep a value as the newest, in place of the one before."""
        self.pop(key)
        weight = self._weigh(value)
        if self.has_room(weight) or weight <= self.limit:
            self._entries[key] = value
            self.weight += weight

    def pop(self, key: Key) -> Value | None:
        """Forget a value."""
        value = self._entries.pop(key, None)
        if value is not None:
            self.weight -= self._weigh(value)
        return value

    def has_room(self, weight: int = 1) -> bool:
        """Whether there is room for something more, for which the oldest are forgotten that may go."""
        while self.weight + weight > self.limit:
            if not self._forget_one():
                return False
        return True

    def _forget_one(self) -> bool:
        """Forget one of the four oldest; those that may not go are the newest from then on."""
        for _ in range(min(_LOOKS, len(self._entries))):
            key, value = next(iter(self._entries.items()))
            if self._may_go(value):
                self.pop(key)
                return True
            self._entries.move_to_end(key)
        return False
