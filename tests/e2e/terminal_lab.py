"""A server with terminals for one workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypha.testing import ServerProcess
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person


async def terminal_lab(
    start_server: StartServer, connect: Connect, folder: Path
) -> tuple[ServerProcess, Person, Any]:
    """The server, the owner of its workspace `term-lab`, and a client of the owner in there."""
    own = await start_server(
        flags=["--enable-terminal-worker", "--enable-server-apps"],
        env={"TERMINAL_WORKING_DIR": str(folder), "TERMINAL_AUTHORIZED_WORKSPACES": "term-lab"},
    )
    owner = make_person(own, "owner")
    first = await connect(owner, url=own.url)
    await first.create_workspace(
        {"id": "term-lab", "name": "term-lab", "persistent": True, "owners": [owner.id]}
    )
    return own, owner, await connect(owner, url=own.url, workspace="term-lab")
