"""An API server of our own: it answers as Kubernetes does about pods, notes what is asked, and runs commands.

A pod is a process of this machine with the variables that were asked for; nothing contains it.
"""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import Process
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.kit.fake_engines import kill, read_both, run

TOKEN = "token-of-the-account"


@dataclass
class FakePod:
    asked: dict[str, Any]
    status: dict[str, Any] = field(default_factory=lambda: {"phase": "Pending"})
    process: Process | None = None
    written: list[bytes] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        return {**self.asked, "status": self.status}

    @property
    def container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.asked["spec"]["containers"][0]
        return found

    @property
    def variables(self) -> list[str]:
        return [f"{each['name']}={each['value']}" for each in self.container["env"]]


class FakeK8s:
    """The API server; images that begin with `none` cannot be fetched."""

    def __init__(self) -> None:
        self.pods: dict[str, FakePod] = {}
        self.refused = 0
        self.programs: list[Process] = []
        self._tasks: list[asyncio.Task[None]] = []

    def app(self) -> Starlette:
        pods = "/api/v1/namespaces/lab/pods"
        return Starlette(
            routes=[
                Route(pods, self.list, methods=["GET"]),
                Route(pods, self.create, methods=["POST"]),
                Route(f"{pods}/{{name}}", self.read, methods=["GET"]),
                Route(f"{pods}/{{name}}", self.delete, methods=["DELETE"]),
                Route(f"{pods}/{{name}}/log", self.log),
                WebSocketRoute(f"{pods}/{{name}}/exec", self.exec),
            ]
        )

    def _refusal(self, request: Request | WebSocket) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {TOKEN}":
            name = request.path_params.get("name")
            if name is None or name in self.pods:
                return None
            return JSONResponse({"message": f'pods "{name}" not found'}, 404)
        self.refused += 1
        return JSONResponse({"message": "Unauthorized"}, 401)

    async def list(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        wished = dict(each.split("=") for each in request.query_params["labelSelector"].split(","))
        pods = [p for p in self.pods.values() if wished.items() <= p.asked["metadata"]["labels"].items()]
        return JSONResponse({"items": [each.shown() for each in pods]})

    async def create(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        asked = await request.json()
        pod = self.pods[asked["metadata"]["name"]] = FakePod(asked)
        if pod.container["image"].startswith("none"):
            waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
            pod.status["containerStatuses"] = [{"name": "main", "state": waiting}]
        else:
            self._tasks.append(asyncio.create_task(self._run(pod)))
        return JSONResponse(pod.shown(), 201)

    async def _run(self, pod: FakePod) -> None:
        pod.process = await run(pod.container["command"], pod.variables)
        pod.status = {"phase": "Running"}
        reading = asyncio.create_task(read_both(pod.process, lambda _, data: pod.written.append(data)))
        await asyncio.wait([reading], timeout=pod.asked["spec"]["activeDeadlineSeconds"])
        if not reading.done():
            kill(pod.process)
            await reading
            pod.status = {"phase": "Failed", "reason": "DeadlineExceeded"}
            return
        ended = {"name": "main", "state": {"terminated": {"exitCode": await reading}}}
        phase = "Failed" if await reading else "Succeeded"
        pod.status = {"phase": phase, "containerStatuses": [ended]}

    async def read(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse(self.pods[request.path_params["name"]].shown())

    async def log(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        return Response(b"".join(self.pods[request.path_params["name"]].written))

    async def delete(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        pod = self.pods.pop(request.path_params["name"])
        if pod.process is not None and pod.process.returncode is None:
            kill(pod.process)
        return JSONResponse(pod.shown())

    async def exec(self, socket: WebSocket) -> None:
        if refusal := self._refusal(socket):
            await socket.send_denial_response(refusal)
            return
        await socket.accept("v4.channel.k8s.io")
        pod = self.pods[socket.path_params["name"]]
        if socket.query_params["container"] != "main":
            outcome: dict[str, Any] = {"status": "Failure", "message": "container not found"}
        else:
            process = await run(socket.query_params.getlist("command"), pod.variables)
            self.programs.append(process)
            queue: asyncio.Queue[bytes] = asyncio.Queue()
            reading = asyncio.create_task(
                read_both(process, lambda n, data: queue.put_nowait(bytes([n]) + data))
            )
            reading.add_done_callback(lambda _: queue.put_nowait(b""))
            await socket.send_bytes(b"\x01")  # as it begins
            while data := await queue.get():
                await socket.send_bytes(data)
            cause = {"reason": "ExitCode", "message": str(await reading)}
            failed = {"status": "Failure", "details": {"causes": [cause]}}
            outcome = failed if await reading else {"status": "Success"}
        await socket.send_bytes(b"\x03" + json.dumps(outcome).encode())
        await socket.close()

    async def end(self) -> None:
        for process in [p.process for p in self.pods.values()] + list(self.programs):
            if process is not None and process.returncode is None:
                kill(process)
                await process.wait()
        if self._tasks:
            await asyncio.wait(self._tasks)
