"""A server that stops stops all of its parts, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hypha.assembly.features import listed_features
from hypha.assembly.server import Server
from hypha.auth.issued import IssuedTokens
from hypha.background import Background
from hypha.datafolder import DataFolder
from hypha.errors import ConfigurationError
from hypha.features.base import Feature, FeatureContext
from hypha.hub.inbox import Inbox
from hypha.hub.pulse import Pulse
from hypha.registry.offering import Offering
from hypha.server import create_application, get_argparser
from hypha.store import Store
from hypha.web.workbench import Workbench
from hypha.workspaces.lifecycle import Workspaces

ENDS: tuple[tuple[str, type, str], ...] = (
    ("workspaces", Workspaces, "stop"),
    *(("feature", feature, "stop") for feature in listed_features()),
    ("background", Background, "close"),
    ("workbench", Workbench, "close"),
    ("offering", Offering, "close"),
    ("peers", Inbox, "close"),
    ("timers", Pulse, "stop"),
    ("tokens", IssuedTokens, "close"),
    ("store", Store, "close"),
    ("folder", DataFolder, "close"),
)
"""How the parts are ended: a name, the class, the method."""
IN_ORDER = list(dict.fromkeys(name for name, _, _ in ENDS))
MAY_FAIL = {"workspaces", "feature", "offering", "peers", "timers"}


class Stops:
    """Notes which parts are stopped, and lets some fail or hang; made before the server starts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.failing: set[str] = set()
        self.hanging = ""
        self.hangs = asyncio.Event()
        for name, kind, method in ENDS:
            monkeypatch.setattr(kind, method, self._noted(name, getattr(kind, method)))

    def _noted(self, name: str, end: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def stop(part: Any) -> Any:
            self.calls.append(name)
            if name in self.failing:
                raise RuntimeError("does not stop")
            return self._wait_for_ever() if name == self.hanging else end(part)

        return stop

    async def _wait_for_ever(self) -> None:
        self.hanging = ""  # the others end
        self.hangs.set()
        await asyncio.Event().wait()

    @property
    def names(self) -> list[str]:
        """The parts that were stopped, in order; each kind once."""
        return list(dict.fromkeys(self.calls))


@pytest.fixture
async def stops(monkeypatch: pytest.MonkeyPatch) -> Stops:
    return Stops(monkeypatch)


@pytest.fixture
async def server(tmp_path: Path, stops: Stops) -> AsyncIterator[Server]:
    arguments = get_argparser().parse_args(["--data-dir", str(tmp_path / "data"), "--port", "0"])
    made: Server = create_application(arguments).server
    await made.start()
    stops.calls.clear()
    yield made
    await made.stop()


def lets_another_server_use_its_data(server: Server) -> bool:
    DataFolder.open(str(server.settings.data_dir), "http://localhost:9").close()
    return True


async def test_the_last_part_that_was_built_is_stopped_first(server: Server, stops: Stops) -> None:
    await server.stop()
    assert stops.names == IN_ORDER
    assert stops.calls.count("feature") == len(listed_features())
    assert lets_another_server_use_its_data(server)


async def test_a_part_that_fails_to_stop_keeps_no_other_from_being_stopped(
    server: Server, stops: Stops, caplog: pytest.LogCaptureFixture
) -> None:
    stops.failing = MAY_FAIL
    await server.stop()
    assert stops.names == IN_ORDER
    assert lets_another_server_use_its_data(server)
    failed = sum(name in MAY_FAIL for name in stops.calls)
    assert caplog.text.count("RuntimeError: does not stop") == failed > len(MAY_FAIL)
    stops.failing = set()
    server.parts.core.hub.stop()


@pytest.mark.parametrize("part", ["feature", "background"])
async def test_a_stop_that_is_cancelled_goes_on_to_the_end(server: Server, stops: Stops, part: str) -> None:
    stops.hanging = part
    stopping = asyncio.create_task(server.stop())
    await stops.hangs.wait()
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert stops.names == IN_ORDER
    assert lets_another_server_use_its_data(server)


async def test_a_start_that_fails_stops_what_was_built(
    tmp_path: Path, stops: Stops, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: Feature, context: FeatureContext) -> None:
        raise ConfigurationError("does not start")

    monkeypatch.setattr(listed_features()[-1], "start", fail)
    arguments = get_argparser().parse_args(["--data-dir", str(tmp_path / "data"), "--port", "0"])
    server: Server = create_application(arguments).server
    with pytest.raises(ConfigurationError, match="does not start"):
        await server.start()
    assert stops.names == IN_ORDER
    assert stops.calls.count("feature") == len(listed_features()) - 1
    assert lets_another_server_use_its_data(server)
