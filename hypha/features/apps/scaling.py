"""How many instances an app has: what its manifest says, and what follows from how much they are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypha.errors import InvalidRequest, LimitReached
from hypha.values import is_number, is_whole, unknown_keys

WINDOW_S = 60
"""Calls of so long count."""
MAX_INSTANCES = 100
_MOST_SECONDS, _MOST_TARGET, _MOST_CHARS = 86400.0, 1e9, 256
_NUMBERS = {
    "target_requests_per_instance": (100.0, _MOST_TARGET),
    "target_load_per_instance": (0.8, _MOST_TARGET),
    "scale_up_threshold": (0.9, 1000.0),
    "scale_down_threshold": (0.3, 1000.0),
    "scale_up_cooldown": (300.0, _MOST_SECONDS),
    "scale_down_cooldown": (600.0, _MOST_SECONDS),
}
"""What may be said as a number: the usual one, and the most."""
_KEYS = (*_NUMBERS, "enabled", "min_instances", "max_instances", "metric_type", "custom_metric_function")
FIELD = "autoscaling"
"""Of a manifest."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How an app is scaled.

    Load is in calls of an instance in the last minute, or in what its function `metric` says; `target` is
    what an instance should have. Above `up` (of the target) one is added, below `down` one is taken away.
    """

    fewest: int
    most: int
    target: float
    up: float
    down: float
    up_pause_s: float
    down_pause_s: float
    metric: str | None

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Scaling | None:
        """What a manifest says; None if the app is not to be scaled.

        Raises:
            InvalidRequest: a value cannot be.
        """
        said = manifest.get(FIELD)
        if said is None:
            return None
        if not isinstance(said, Mapping):
            raise InvalidRequest("autoscaling is an object such as {'enabled': true, 'max_instances': 3}.")
        if unknown := unknown_keys(said, _KEYS):
            raise InvalidRequest(f"autoscaling has no {', '.join(sorted(unknown))}, but {', '.join(_KEYS)}.")
        if not isinstance(said.get("enabled", False), bool):
            raise InvalidRequest("enabled of autoscaling is true or false.")
        found = cls._read(said)
        if said.get("enabled") is not True:
            return None
        if manifest.get("singleton") is True:
            raise InvalidRequest("A singleton has one instance: leave singleton or autoscaling out.")
        return found

    @classmethod
    def _read(cls, said: Mapping[str, Any]) -> Scaling:
        numbers = {key: _number(said, key) for key in _NUMBERS}
        fewest, most = (
            _count(said, key, usual) for key, usual in (("min_instances", 1), ("max_instances", 10))
        )
        if fewest > most:
            raise InvalidRequest("min_instances of autoscaling must not be larger than max_instances.")
        up, down = numbers["scale_up_threshold"], numbers["scale_down_threshold"]
        if down >= up:
            raise InvalidRequest("scale_down_threshold of autoscaling must be below scale_up_threshold.")
        metric = _metric(said)
        target = numbers["target_load_per_instance" if metric else "target_requests_per_instance"]
        pauses = numbers["scale_up_cooldown"], numbers["scale_down_cooldown"]
        return cls(fewest, most, target, up, down, *pauses, metric)

    def within(self, count: int) -> int:
        """A number of instances, or the next one that there may be."""
        return min(max(count, self.fewest), self.most)

    def step(self, loads: Sequence[float], now: float, up_at: float, down_at: float) -> int:
        """Whether one instance is to be added (1), taken away (-1), or neither (0).

        Args:
            loads: of all instances.
            now, up_at, down_at: when one was last added and taken away (Unix time, s).
        """
        if not loads:
            return 0
        average = sum(loads) / len(loads)
        if average > self.up * self.target and len(loads) < self.most:
            return 1 if now - up_at >= self.up_pause_s else 0
        if average < self.down * self.target and len(loads) > self.fewest:
            return -1 if now - max(up_at, down_at) >= self.down_pause_s else 0
        return 0


class Window:
    """Calls of the last minute, from a count that only grows and is looked at every second or so."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def calls(self, count: int, now: float) -> int:
        """Note the count of now (s), and tell how many calls came in the minute before."""
        seen = self._seen
        seen.append((now, count))
        while len(seen) > 1 and seen[1][0] <= now - WINDOW_S:
            seen.popleft()
        return count - seen[0][1] if seen[0][0] > now - 2 * WINDOW_S else 0


def check_room(scaling: Scaling | None, app_id: str, count: int) -> None:
    """Refuse an instance beyond those that there may be.

    Raises:
        LimitReached.
    """
    if scaling is not None and count >= scaling.most:
        raise LimitReached(
            f"The app {app_id} has {count} instances (max_instances {scaling.most}): stop one first, or "
            "raise max_instances."
        )


def _number(said: Mapping[str, Any], key: str) -> float:
    usual, most = _NUMBERS[key]
    value = said.get(key)
    if value is None:
        return usual
    is_pause = key.endswith("cooldown")
    if not is_number(value) or not 0 <= value <= most or (value == 0 and not is_pause):
        least = "from 0" if is_pause else "above 0"
        raise InvalidRequest(f"{key} of autoscaling is a number {least}, up to {most:g}.")
    return float(value)


def _count(said: Mapping[str, Any], key: str, usual: int) -> int:
    value = said.get(key)
    if value is None:
        return usual
    if not is_whole(value) or not 1 <= value <= MAX_INSTANCES:
        raise InvalidRequest(f"{key} of autoscaling is a whole number from 1 to {MAX_INSTANCES}.")
    return value


def _metric(said: Mapping[str, Any]) -> str | None:
    kind, function = said.get("metric_type") or "load", said.get("custom_metric_function")
    if kind not in ("load", "custom"):
        raise InvalidRequest("metric_type of autoscaling is 'load' or 'custom'.")
    if function is not None and (not isinstance(function, str) or not 0 < len(function) <= _MOST_CHARS):
        raise InvalidRequest(
            "custom_metric_function of autoscaling is the name of a function of the service."
        )
    if kind == "load":
        return None
    if function is None:
        raise InvalidRequest("metric_type 'custom' of autoscaling needs custom_metric_function.")
    return function
