"""Attacks on apps: too many sessions, too large apps, endless logs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hypha.errors import FrameTooLarge, InvalidRequest, LimitReached, QuotaExceeded
from hypha.features.apps import fetching, lazy, logs, sources
from hypha.features.apps.base import MAX_TEXT_CHARS, checked_text
from hypha.features.apps.file_formats import MAX_FILES, checked_files
from hypha.features.apps.functions_sessions import MAX_SCRIPT_CHARS, SessionFunctions
from hypha.features.apps.manifests import MAX_APP_ID_CHARS, check_app_id
from hypha.features.apps.scaling import MAX_INSTANCES, Scaling
from hypha.features.apps.sessions import SessionLimits, Sessions
from hypha.features.apps.startup import MAX_KWARGS_BYTES, MAX_SERVICE_CHARS, MAX_TIMEOUT_S, Startup
from hypha.registry.records import ServiceRecord
from tests.faults.bounds.kit import Kit
from tests.unit.features.apps.lab import caller, session_of

OF_FEATURE = "hypha.features.apps"
OTHERS_CUT = "of what a worker says; what is more is not taken"

INTERNAL = {
    f"{OF_FEATURE}.artifacts.MAX_LISTED": "apps that are listed, the most that artifacts list in one call",
    f"{OF_FEATURE}.artifacts.MAX_READ_BYTES": "of a file, the most that artifacts give in one call",
    f"{OF_FEATURE}.lazy.MAX_FAILED": "apps that did not start and are left alone for seconds",
    f"{OF_FEATURE}.daemons.MAX_PAUSE_S": "how often the server does something by itself",
    f"{OF_FEATURE}.daemons.MAX_STARTS": "daemons that are started at once; others wait",
    f"{OF_FEATURE}.daemons.MAX_REASON_CHARS": "length of a text that the server itself writes",
    f"{OF_FEATURE}.ledger.MAX_LEFT": "sessions of workers that are gone; what is more is not stopped there",
    f"{OF_FEATURE}.records.MAX_GRANTS_LISTED": "apps of a workspace whose services are listed",
    f"{OF_FEATURE}.running.STOPPED_KEPT_S": "how long the log of a script that has ended can be read",
    f"{OF_FEATURE}.scaler.MAX_PAUSE_S": "how often the server does something by itself",
    f"{OF_FEATURE}.scaler.MAX_REASON_CHARS": "length of a text that the server itself writes",
    f"{OF_FEATURE}.steps.MAX_MESSAGES": OTHERS_CUT,
    f"{OF_FEATURE}.steps.MAX_EVENTS": OTHERS_CUT,
    f"{OF_FEATURE}.steps.MAX_EVENT_BYTES": OTHERS_CUT,
    f"{OF_FEATURE}.steps.MAX_MESSAGE_CHARS": OTHERS_CUT,
    f"{OF_FEATURE}.workers.MAX_ASKED": "workers of a workspace that are asked what they run; others are not",
    f"{OF_FEATURE}.workers.MAX_TYPES": OTHERS_CUT,
    f"{OF_FEATURE}.workers.MAX_TYPE_CHARS": OTHERS_CUT,
    f"{OF_FEATURE}.workers.MAX_KNOWN": "workers that are remembered; the oldest are asked anew",
}


async def app_sessions(kit: Kit) -> None:
    for limits, one_more in (
        (SessionLimits(0, 3, 0), session_of("ann", "lab")),
        (SessionLimits(0, 0, 3), session_of("ann", "elsewhere")),
        (SessionLimits(3, 0, 0), session_of("eve", "elsewhere")),
    ):
        sessions = Sessions(limits)
        three = [session_of("ann", "lab") for _ in range(3)]
        for session in three:
            sessions.add(session)
        with pytest.raises(QuotaExceeded, match=r"\(max 3\)"):
            sessions.add(one_more)
        assert len(sessions) == 3
        assert sessions.remove(three[0]) and not sessions.remove(three[0])
        sessions.add(one_more)


async def one_app(kit: Kit) -> None:
    kit.patch.setattr(sources, "MAX_SOURCE_CHARS", 1000)
    many = [{"path": str(number), "content": ""} for number in range(MAX_FILES + 1)]
    attempts: list[Callable[[], Any]] = [
        lambda: sources.read_source({"type": "own"}, [], "x" * 1001),
        lambda: sources.address_of("https://a.example/" + "x" * sources.MAX_ADDRESS_CHARS),
        lambda: checked_files(many),
        lambda: check_app_id("x" * (MAX_APP_ID_CHARS + 1)),
        lambda: Startup.of({}, {"additional_kwargs": {"key": "x" * MAX_KWARGS_BYTES}}),
        lambda: Startup.of({}, {"timeout": MAX_TIMEOUT_S + 1}),
        lambda: Startup.of({}, {"wait_for_service": "x" * (MAX_SERVICE_CHARS + 1)}),
        lambda: Scaling.of({"autoscaling": {"max_instances": MAX_INSTANCES + 1}}),
        lambda: checked_text("x" * (MAX_TEXT_CHARS + 1), "version"),
    ]
    functions = SessionFunctions(None)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest):
        await functions.execute("lab/c", "x" * (MAX_SCRIPT_CHARS + 1), context=caller())
    for attempt in attempts:
        with pytest.raises((InvalidRequest, FrameTooLarge)):
            attempt()


async def app_sources(kit: Kit) -> None:
    fetcher = fetching.SourceFetcher(lambda host: ["127.0.0.1"], lambda address: True)
    kit.stack.callback(fetcher.close)
    reached, let = asyncio.Event(), asyncio.Event()

    async def answer(url: str) -> str:
        reached.set()
        await let.wait()
        return url

    kit.patch.setattr(fetcher, "_follow", answer)
    kit.patch.setattr(fetching, "MAX_FETCHES", 3)
    parties = ["ann"] * fetching.MAX_FETCHES_PER_PARTY + ["eve"]
    running = [asyncio.create_task(fetcher.fetch("https://a.example/", party)) for party in parties]
    await reached.wait()
    for one_more in ("ann", "somebody else"):
        with pytest.raises(LimitReached):
            await fetcher.fetch("https://a.example/", one_more)
    let.set()
    await asyncio.gather(*running)
    assert await fetcher.fetch("https://a.example/", "ann")


async def app_callers(kit: Kit) -> None:
    for name in ("MAX_WAITING_PER_APP", "MAX_WAITING"):
        kit.patch.setattr(lazy, name, 3)
        apps = lazy.LazyApps(*[None] * 6)  # type: ignore[arg-type]
        kit.patch.setattr(apps, "_start", lambda *given: asyncio.Event().wait())
        record = ServiceRecord("lab", "*", "default", "app")
        waiting = [asyncio.ensure_future(apps.running(record, caller())) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(LimitReached):
            await apps.running(record, caller())
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        kit.patch.setattr(lazy, name, 1_000)


async def app_logs(kit: Kit) -> None:
    kit.patch.setattr(logs, "MAX_ITEMS", 100)
    kit.patch.setattr(logs, "MAX_PAGE_CHARS", 1000)
    for answer in (
        {"items": [{"type": "t" * 500, "content": "x" * 30}] * 5000, "total": 5000},
        {"log": ["x" * 30] * 5000},
        ["x" * 900_000] * 3,
    ):
        page = logs.page_of(answer, None, 0, None)
        assert 0 < len(page["items"]) <= 100
        assert sum(len(item["content"]) for item in page["items"]) <= 1000
        assert all(len(item["type"]) <= logs.MAX_TYPE_CHARS for item in page["items"])
