"""A container engine of our own: it answers as Docker does, notes what it is asked for, and runs commands.

A container is a process of this machine with the variables that were asked for, and nothing contains it: that
an engine holds to the settings which it is sent is the engine's to show.
"""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.kit.fake_engines import kill, read_both, run


def frame(stream: int, data: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data


@dataclass
class FakeContainer:
    id: str
    wished: dict[str, Any]
    process: Process | None = None
    pieces: list[bytes] = field(default_factory=list)
    code: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def listed(self) -> dict[str, Any]:
        return {"Id": self.id, "Labels": self.wished["Labels"]}


class FakeDocker:
    """The engine; `containers` are those that are there by name, `asked` all requests."""

    def __init__(self) -> None:
        self.images = {"there:1"}
        self.pullable = {"far/away:2"}
        self.containers: dict[str, FakeContainer] = {}
        self.asked: list[tuple[str, str]] = []
        self.programs: dict[str, Process] = {}
        self.creating = asyncio.Event()
        """Set: create answers at once."""
        self.creating.set()
        self._codes: dict[str, int] = {}
        self._wished: dict[str, tuple[FakeContainer, list[str]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def app(self) -> Starlette:
        v, c = "/v1.41", "/v1.41/containers/{name}"
        return Starlette(
            routes=[
                Route(f"{v}/info", self.info),
                Route(f"{v}/images/create", self.pull, methods=["POST"]),
                Route(f"{v}/images/{{name:path}}/json", self.image),
                Route(f"{v}/containers/json", self.list),
                Route(f"{v}/containers/create", self.create, methods=["POST"]),
                Route(f"{c}/json", self.inspect),
                Route(f"{c}/logs", self.logs),
                *(Route(f"{c}/{name}", getattr(self, name), methods=["POST"])
                  for name in ("start", "stop", "kill", "wait", "exec")),
                Route(c, self.delete, methods=["DELETE"]),
                Route(f"{v}/exec/{{id}}/start", self.begin, methods=["POST"]),
                Route(f"{v}/exec/{{id}}/json", self.executed),
            ]
        )  # fmt: skip

    def _of(self, request: Request) -> FakeContainer | None:
        self.asked.append((request.method, request.url.path))
        name = request.path_params["name"]
        return self.containers.get(name) or next((c for c in self.containers.values() if c.id == name), None)

    async def info(self, request: Request) -> Response:
        return JSONResponse({"ServerVersion": "fake"})

    async def image(self, request: Request) -> Response:
        is_there = request.path_params["name"] in self.images
        return JSONResponse({"message": "No such image"}, 200 if is_there else 404)

    async def pull(self, request: Request) -> Response:
        image = request.query_params["fromImage"]
        self.asked.append(("PULL", image))
        if image not in self.pullable:
            return Response('{"status": "looking"}\n{"error": "manifest unknown"}\n')
        self.images.add(image)
        return Response('{"status": "Downloaded"}\n')

    async def list(self, request: Request) -> Response:
        wished = json.loads(request.query_params["filters"])["label"]
        pairs = [tuple(each.split("=")) for each in wished]
        found = [
            c.listed()
            for c in self.containers.values()
            if all(c.wished["Labels"].get(k) == v for k, v in pairs)
        ]
        return JSONResponse(found)

    async def create(self, request: Request) -> Response:
        wished, name = await request.json(), request.query_params["name"]
        await self.creating.wait()
        if name in self.containers:
            return JSONResponse({"message": f"The name {name} is in use"}, 409)
        self.containers[name] = FakeContainer(os.urandom(8).hex(), wished)
        return JSONResponse({"Id": self.containers[name].id}, 201)

    async def start(self, request: Request) -> Response:
        container = self._of(request)
        assert container is not None
        if not container.wished.get("Entrypoint"):
            return JSONResponse({"message": "no command specified"}, 400)
        container.process = await run(container.wished["Entrypoint"], container.wished["Env"])
        task = asyncio.create_task(self._follow(container, container.process))
        self._tasks.add(task)
        return Response(status_code=204)

    async def _follow(self, container: FakeContainer, process: Process) -> None:
        container.code = await read_both(process, lambda n, data: container.pieces.append(frame(n, data)))
        container.over.set()

    async def inspect(self, request: Request) -> Response:
        container = self._of(request)
        return JSONResponse({"State": {"OOMKilled": container is not None and container.code == -9}})

    async def wait(self, request: Request) -> Response:
        container = self._of(request)
        if container is None:
            return JSONResponse({"message": "No such container"}, 404)
        await container.over.wait()
        return JSONResponse({"StatusCode": container.code})

    async def logs(self, request: Request) -> Response:
        container = self._of(request)
        if container is None:
            return JSONResponse({"message": "No such container"}, 404)
        return Response(b"".join(container.pieces))

    async def kill(self, request: Request) -> Response:
        container = self._of(request)
        if container is None or container.process is None:
            return JSONResponse({"message": "No such container"}, 404)
        kill(container.process)
        return Response(status_code=204)

    async def stop(self, request: Request) -> Response:
        return await self.kill(request)

    async def delete(self, request: Request) -> Response:
        container = self._of(request)
        if container is None:
            return JSONResponse({"message": "No such container"}, 404)
        self.containers = {name: each for name, each in self.containers.items() if each is not container}
        return Response(status_code=204)

    async def exec(self, request: Request) -> Response:
        container = self._of(request)
        assert container is not None
        number = str(len(self._wished))
        self._wished[number] = (container, (await request.json())["Cmd"])
        return JSONResponse({"Id": number}, 201)

    async def begin(self, request: Request) -> Response:
        number = request.path_params["id"]
        container, command = self._wished[number]
        process = self.programs[number] = await run(command, container.wished["Env"])

        async def body() -> AsyncIterator[bytes]:
            pieces: list[bytes] = []
            reading = asyncio.create_task(read_both(process, lambda n, data: pieces.append(frame(n, data))))
            while not reading.done() or pieces:
                while pieces:
                    data = pieces.pop(0)
                    yield data[:5]  # a head may come in parts
                    yield data[5:]
                await asyncio.wait([reading], timeout=0.02)
            self._codes[number] = await reading

        return StreamingResponse(body())

    async def executed(self, request: Request) -> Response:
        return JSONResponse({"ExitCode": self._codes.get(request.path_params["id"])})

    async def end(self) -> None:
        processes = [c.process for c in self.containers.values()] + list(self.programs.values())
        for process in processes:
            if process is not None and process.returncode is None:
                kill(process)
                await process.wait()
        if self._tasks:
            await asyncio.wait(self._tasks)
