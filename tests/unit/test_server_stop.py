"""A server that stops stops all of its parts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hypha.assembly.server import Server
from hypha.datafolder import DataFolder
from hypha.server import create_application, get_argparser


@pytest.fixture
async def server(tmp_path: Path) -> Any:
    arguments = get_argparser().parse_args(["--data-dir", str(tmp_path / "data"), "--port", "0"])
    made: Server = create_application(arguments).server
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Parts that were closed, in order."""
    names: list[str] = []
    assert server.store is not None and server.guard.issued is not None
    parts = (("background", server.background), ("tokens", server.guard.issued), ("store", server.store))
    for name, part in parts:

        async def close(name: str = name, end: Any = part.close) -> None:
            names.append(name)
            await end()

        monkeypatch.setattr(part, "close", close)
    return names


def lets_another_server_use_its_data(server: Server) -> bool:
    assert server.folder is not None
    DataFolder.open(str(server.settings.data_dir), "http://localhost:9").close()
    return True


async def test_a_part_that_fails_to_stop_keeps_no_other_from_being_stopped(
    server: Server, closed: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("does not stop")

    failing: list[tuple[Any, str]] = [(server.workspaces, "stop"), (server.offering, "close")]
    failing += [(feature, "stop") for feature in server.features]
    failing += [(server.hub.manager, "close"), (server.http_peer, "close"), (server.hub.pulse, "stop")]
    for part, name in failing:
        monkeypatch.setattr(part, name, fail)
    await server.stop()
    assert closed == ["background", "tokens", "store"]
    assert lets_another_server_use_its_data(server)
    assert caplog.text.count("RuntimeError: does not stop") == len(failing)
    monkeypatch.undo()
    server.hub.pulse.stop()


async def test_a_stop_that_is_cancelled_goes_on_to_the_end(
    server: Server, closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_waiting = asyncio.Event()

    async def wait_for_ever() -> None:
        is_waiting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(server.features[-1], "stop", wait_for_ever)
    stopping = asyncio.create_task(server.stop())
    await is_waiting.wait()
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert closed == ["background", "tokens", "store"]
    assert lets_another_server_use_its_data(server)
