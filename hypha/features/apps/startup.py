"""How an app is to be started: what its manifest says, and what a caller says instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypha.errors import InvalidRequest
from hypha.values import is_number
from hypha.wire.values import is_function, maps_in
from hypha.workspaces.values import plain

DEFAULT_TIMEOUT_S = 60.0
MAX_TIMEOUT_S = 3600.0
DEFAULT_INACTIVE_S = 600.0
MAX_KWARGS_BYTES = 64 * 1024
MAX_SERVICE_CHARS = 256
DEFAULT_SERVICE = "default"
KEYS = ("timeout", "wait_for_service", "additional_kwargs", "stop_after_inactive")


@dataclass(frozen=True, slots=True)
class Startup:
    """One way to start an app.

    `service` is the one that is waited for, None for a script that offers none. `inactive_s` is after how
    long without traffic it is stopped, None for never.
    """

    timeout_s: float = DEFAULT_TIMEOUT_S
    service: str | None = DEFAULT_SERVICE
    inactive_s: float | None = DEFAULT_INACTIVE_S
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Mapping[str, Any], given: Mapping[str, Any]) -> Startup:
        """What holds for one start; the caller's words go before those of the manifest.

        Raises:
            InvalidRequest: a value cannot be, or a daemon shall be stopped for want of traffic.
        """
        kept = manifest.get("startup_config")
        said = {**(kept if isinstance(kept, Mapping) else {}), **given}
        inactive = said.get("stop_after_inactive")
        is_daemon = manifest.get("daemon") is True
        if inactive is not None and not is_number(inactive):
            raise InvalidRequest("stop_after_inactive is a number of seconds; 0 for never.")
        if is_daemon and inactive is not None and inactive > 0:
            raise InvalidRequest("Daemon apps should not have stop_after_inactive set.")
        if inactive is None:
            inactive = 0 if is_daemon else DEFAULT_INACTIVE_S
        return cls(
            _timeout(said.get("timeout")),
            _service(said.get("wait_for_service")),
            float(inactive) if inactive > 0 else None,
            checked_kwargs(said.get("additional_kwargs")),
        )


def given_startup(
    timeout: object, wait_for_service: object, additional_kwargs: object, stop_after_inactive: object
) -> dict[str, Any]:
    """What a caller says, as a manifest keeps it; what is left out is not in it."""
    values = (timeout, wait_for_service, additional_kwargs, stop_after_inactive)
    return {key: value for key, value in zip(KEYS, values, strict=True) if value is not None}


def checked_kwargs(value: object, what: str = "additional_kwargs") -> Mapping[str, Any]:
    """Further keys of what a worker is given.

    Raises:
        InvalidRequest: they are no plain object, or hold functions, which the worker would call.
        FrameTooLarge: they are too large.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidRequest(f"{what} is an object such as {{'key': 'value'}}.")
    if any(is_function(each) for each in maps_in(dict(value))):
        raise InvalidRequest(f"{what} must not hold functions.")
    found: dict[str, Any] = plain(dict(value), what, MAX_KWARGS_BYTES)
    return found


def _timeout(value: object) -> float:
    if value is None:
        return DEFAULT_TIMEOUT_S
    if not is_number(value) or not 0 < value <= MAX_TIMEOUT_S:
        raise InvalidRequest(f"timeout is a number of seconds, up to {MAX_TIMEOUT_S:g}.")
    return float(value)


def _service(value: object) -> str | None:
    if value is None or value is True:
        return DEFAULT_SERVICE
    if value is False:
        return None
    name = value.rpartition(":")[2].partition("@")[0] if isinstance(value, str) else ""
    if not 0 < len(name) <= MAX_SERVICE_CHARS:
        raise InvalidRequest("wait_for_service is the name of a service, or false for a script without one.")
    return name
