"""Answers that pages of an app got before, for the addresses that its manifest names."""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Request, Route

ENTRY_S = 24 * 3600.0
_TOTAL_BYTES = 256 * 1024 * 1024
_ENTRY_BYTES = 32 * 1024 * 1024
_ENTRY_COST_BYTES = 1000
"""What an entry takes beside its texts: empty answers are bounded, too."""
_ROUTES = 50
_PACKAGE_ROUTES = (
    "https://cdn.jsdelivr.net/**", "https://pypi.org/**", "https://files.pythonhosted.org/**", "**/*.whl",
    "**/*.tar.gz",
)  # fmt: skip
"""Where Python in a page has its packages from."""

AppKey = tuple[str, str]
"""Workspace and id of an app."""


def routes_of(manifest: Mapping[str, Any]) -> list[str]:
    """The patterns of addresses whose answers are kept: those of packages where web-python says nothing.

    Raises:
        ValueError: `cache_routes` is no list of texts.
    """
    asked = manifest.get("cache_routes")
    if asked is None:
        return list(_PACKAGE_ROUTES) if manifest.get("type") == "web-python" else []
    if not isinstance(asked, Sequence) or isinstance(asked, str) or len(asked) > _ROUTES:
        raise ValueError(f"cache_routes is a list of at most {_ROUTES} patterns, such as 'https://host/**'.")
    if not all(isinstance(pattern, str) and pattern for pattern in asked):
        raise ValueError("cache_routes is a list of patterns, such as 'https://host/**'.")
    return list(asked)


@dataclass(frozen=True, slots=True)
class _Entry:
    status: int
    headers: dict[str, str]
    body: bytes
    made: float
    cost: int
    """Bytes that it counts."""

    @classmethod
    def of(cls, address: str, status: int, headers: dict[str, str], body: bytes) -> _Entry:
        texts = sum(len(name) + len(value) for name, value in headers.items())
        cost = len(body) + len(address) + texts + _ENTRY_COST_BYTES
        return cls(status, headers, body, time.time(), cost)


@dataclass(slots=True)
class _App:
    """What is kept for one app, and the contexts that use it."""

    entries: dict[str, _Entry] = field(default_factory=dict)
    contexts: set[int] = field(default_factory=set)


class RouteCache:
    """Kept answers of all apps, each for its own; the apps used longest ago give way first."""

    def __init__(self, most_bytes: int = _TOTAL_BYTES) -> None:
        self._apps: OrderedDict[AppKey, _App] = OrderedDict()
        self._users: dict[int, AppKey] = {}
        """The app of each context."""
        self._most_bytes = most_bytes
        self._bytes = 0

    async def serve(self, context: BrowserContext, key: AppKey, patterns: Sequence[str]) -> None:
        """Answer requests of a context for these addresses from what is kept, and keep what is new.

        The browser itself asks for what is new: within the reach of the page, and without waiting for all
        of a large answer.
        """
        if not patterns:
            return
        self._app(key).contexts.add(id(context))
        self._users[id(context)] = key
        asked: set[Request] = set()

        async def handle(route: Route) -> None:
            if route.request.method != "GET":
                await route.fallback()
                return
            address = route.request.url.partition("#")[0]
            entry = self.find(key, address)
            if entry is None:
                asked.add(route.request)
                await route.fallback()
                return
            await route.fulfill(status=entry.status, headers=_sent(entry.headers), body=entry.body)

        async def finished(request: Request) -> None:
            if request in asked:
                asked.remove(request)
                await self._record(key, request)

        context.on("requestfinished", finished)
        context.on("requestfailed", lambda request: asked.discard(request))
        for pattern in patterns:
            await context.route(pattern, handle)

    def leave(self, context: BrowserContext) -> None:
        """A context is over."""
        key = self._users.pop(id(context), None)
        app = self._apps.get(key) if key is not None else None
        if key is None or app is None:
            return
        app.contexts.discard(id(context))
        if not app.contexts and not app.entries:
            del self._apps[key]

    def find(self, key: AppKey, address: str) -> _Entry | None:
        """What is kept of an address for an app, if it is not too old."""
        app = self._apps.get(key)
        entry = app.entries.get(address) if app is not None else None
        if app is None or entry is None:
            return None
        if time.time() - entry.made > ENTRY_S:
            self._drop(app, address)
            return None
        self._apps.move_to_end(key)
        return entry

    async def _record(self, key: AppKey, request: Request) -> None:
        """Keep the answer to a request, if it is a plain one and not too large."""
        answer = await request.response()
        if answer is None or answer.status != 200 or "set-cookie" in await answer.all_headers():
            return
        if (await request.sizes())["responseBodySize"] > _ENTRY_BYTES:
            return
        with contextlib.suppress(Exception):  # the page is gone, or the browser has let go of the answer
            body = await answer.body()
            if len(body) <= _ENTRY_BYTES:
                address = request.url.partition("#")[0]
                self._keep(key, address, _Entry.of(address, answer.status, dict(answer.headers), body))

    def _keep(self, key: AppKey, address: str, entry: _Entry) -> None:
        app = self._app(key)
        if address in app.entries:
            self._drop(app, address)
        app.entries[address] = entry
        self._bytes += entry.cost
        self._apps.move_to_end(key)
        while self._bytes > self._most_bytes:
            oldest = next(app for app in self._apps.values() if app.entries)
            self._drop(oldest, next(iter(oldest.entries)))

    def _app(self, key: AppKey) -> _App:
        return self._apps.setdefault(key, _App())

    def _drop(self, app: _App, address: str) -> None:
        self._bytes -= app.entries.pop(address).cost

    def clear(self, key: AppKey) -> int:
        """Forget all answers for an app; returns how many there were."""
        app = self._apps.get(key)
        if app is None:
            return 0
        count = len(app.entries)
        for address in list(app.entries):
            self._drop(app, address)
        if not app.contexts:
            del self._apps[key]
        return count

    def stats(self, key: AppKey) -> dict[str, Any]:
        """How much is kept for an app. Times are seconds since 1970, None where nothing is kept."""
        app = self._apps.get(key) or _App()
        times = [entry.made for entry in app.entries.values()]
        return {
            "entry_count": len(times),
            "total_size_bytes": sum(len(entry.body) for entry in app.entries.values()),
            "oldest_entry": min(times, default=None),
            "newest_entry": max(times, default=None),
            "recording": bool(app.contexts),
        }


def _sent(headers: Mapping[str, str]) -> dict[str, str]:
    """The body is kept as it was opened, so its coding and length do not hold any more."""
    return {k: v for k, v in headers.items() if k.lower() not in ("content-encoding", "content-length")}
