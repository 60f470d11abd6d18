"""The guide's worker in JavaScript, on Node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from hypha.testing import ServerProcess
from tests.kit.clients import JS_FOLDER, require_node
from tests.kit.people import Person

GUIDE = Path(__file__).parent / "guide"
PRELOAD = """
globalThis.WebSocket = require("ws").WebSocket;
globalThis.hyphaWebsocketClient = require("hypha-rpc").hyphaWebsocketClient;
"""


@contextlib.asynccontextmanager
async def running_javascript_worker(
    server: ServerProcess, person: Person, folder: Path
) -> AsyncIterator[str]:
    """Run it in somebody's workspace, letter by letter but for an `id`; what it is registered as."""
    require_node()
    text = (GUIDE / "custom-worker.js").read_text()
    for old, new in (
        ('server_url: "http://localhost:9527"', f'server_url: "{server.url}", token: "{person.token}"'),
        ('name: "JavaScript Custom', 'id: "worker", name: "JavaScript Custom'),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "custom-worker.js").write_text(text)
    (folder / "preload.cjs").write_text(PRELOAD)
    (folder / "node_modules").symlink_to(JS_FOLDER / "node_modules")
    process = await asyncio.create_subprocess_exec(
        "node", "-r", "./preload.cjs", "custom-worker.js", cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while b"worker registered: " not in (line := await process.stdout.readline()):
            assert line, "it ended"
    try:
        yield line.decode().split()[-1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
