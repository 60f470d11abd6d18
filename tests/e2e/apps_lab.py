"""What tests of apps share: programs, workers, and the controller as a person calls it."""

from __future__ import annotations

from typing import Any

from hypha.testing import ServerProcess
from tests.kit.clients import Connect
from tests.kit.people import Person

SCRIPT = {"name": "Script", "type": "python-eval", "version": "0.1.0"}
SERVING = """
import asyncio, os
from hypha_rpc import connect_to_server

async def main():
    names = ("server_url", "workspace", "client_id", "token")
    server = await connect_to_server({name: os.environ["HYPHA_" + name.upper()] for name in names})
    await server.register_service({"id": "default", "double": lambda number: 2 * number})
    print("ready", flush=True)
    await server.serve()

asyncio.run(main())
"""


async def controller(connect: Connect, server: ServerProcess, person: Person, **config: Any) -> Any:
    client = await connect(person, url=server.url, method_timeout=60, **config)
    return await client.get_service("public/server-apps")


WORKER = {"id": "runner", "name": "Runner", "type": "server-app-worker", "supported_types": ["own"]}


async def own_worker(client: Any, started: list[Any], **more: Any) -> Any:
    """A worker in a workspace that only notes what it is given."""

    def start(config: Any, context: Any = None) -> None:
        started.append((config, context))

    service = {
        **WORKER,
        "config": {"visibility": "protected", "require_context": True},
        "start": start,
        "stop": lambda session_id, context=None: None,
        "get_logs": lambda session_id, type=None, offset=0, limit=None, context=None: ["a", "b"],
        **more,
    }
    return await client.register_service(service)
