"""Containers of a Docker engine, made so that the code in them can do little outside."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypha.workers.base import WorkerError
from hypha.workers.containers.manifests import ContainerSpec
from hypha.workers.containers.outputs import Pieces
from hypha.workers.containers.worker import Ended
from hypha.workers.docker.api import DockerApi, EngineRefused
from hypha.workers.folders import WorkerFolder

logger = logging.getLogger(__name__)

_COMPONENT = "worker-container"
_LATE_S = 60
"""After its time, an engine's container is removed by any worker."""
_PULL_S = 600.0
_LOG_MB = 10
_STOP_S = 2
_GONE, _CONFLICT = 404, 409
_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ContainerLimits:
    """What each container may use, and where it may connect to."""

    memory_mb: int = 1024
    cpus: float = 1.0
    processes: int = 256
    scratch_mb: int = 256
    """Of `/tmp` and of the home folder, which are in memory and count there; nothing else can be written."""
    user: str = "1000:1000"
    network: str = "bridge"
    """A network of the engine; `none` for none."""


class DockerEngine:
    """An engine. `root` is a folder of this machine where workers note that they live."""

    def __init__(self, api: DockerApi, limits: ContainerLimits, root: Path) -> None:
        self._api, self._limits, self._root = api, limits, root
        self._folder: WorkerFolder | None = None
        self._machine = socket.gethostname()

    # -- what is there

    async def prepare(self) -> None:
        """See that it answers, and remove what workers have left that are gone."""
        await self._api.call("GET", "/info")
        if self._folder is None:
            self._folder = await asyncio.to_thread(WorkerFolder, self._root)
        await self.sweep()

    async def sweep(self) -> None:
        """Remove containers that outlived their time, and those of workers of this machine that are gone."""
        asked = json.dumps({"label": [f"hypha.component={_COMPONENT}"]})
        found = await self._api.call("GET", "/containers/json", query={"all": "true", "filters": asked})
        for container in found or []:
            labels = container.get("Labels") or {}
            if await asyncio.to_thread(self._is_left, labels):
                logger.info("Removing a container that is over: %s", labels.get("hypha.session"))
                await self.remove(str(container["Id"]))

    def _is_left(self, labels: Mapping[str, str]) -> bool:
        if float(labels.get("hypha.ends-at") or 0) + _LATE_S < time.time():
            return True
        folder = labels.get("hypha.worker", "")
        is_near = labels.get("hypha.machine") == self._machine and Path(folder).parent == self._root
        return is_near and not os.path.isdir(folder)  # the next worker deletes the folder of one that is gone

    # -- one container

    async def start(self, spec: ContainerSpec) -> None:
        """Fetch the image if need be, make the container, and start it."""
        await self._pull(spec)
        making = asyncio.create_task(self._make(spec))
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:
            await asyncio.wait([making])  # `remove` comes next, and must find what the engine makes
            raise

    async def _make(self, spec: ContainerSpec) -> None:
        made = await self._api.call(
            "POST", "/containers/create", self._described(spec), query={"name": spec.name}
        )
        await self._api.call("POST", f"/containers/{made['Id']}/start")

    async def _pull(self, spec: ContainerSpec) -> None:
        if spec.pull != "Always" and await self._has_image(spec.image):
            return
        if spec.pull == "Never":
            raise WorkerError(f"The image {spec.image} is not there, and image_pull_policy is Never.")
        try:
            async with asyncio.timeout(_PULL_S):
                async for line in self._api.lines("/images/create", {"fromImage": spec.image}):
                    if wrong := line.get("error"):
                        raise WorkerError(f"The image {spec.image} cannot be fetched: {str(wrong)[:500]}")
        except EngineRefused as error:
            raise WorkerError(f"The image {spec.image} cannot be fetched. {error.message}") from None
        except TimeoutError:
            raise WorkerError(f"The image {spec.image} was not fetched within {_PULL_S:g} s.") from None

    async def _has_image(self, image: str) -> bool:
        try:
            await self._api.call("GET", f"/images/{image}/json")
        except EngineRefused as error:
            if error.http_status == _GONE:
                return False
            raise
        return True

    def _described(self, spec: ContainerSpec) -> dict[str, Any]:
        assert self._folder is not None
        labels = {f"hypha.{name}": value for name, value in spec.facts.items()} | {
            "app": "hypha",
            "hypha.component": _COMPONENT,
            "hypha.machine": self._machine,
            "hypha.worker": str(self._folder.path),
            "hypha.ends-at": str(int(time.time()) + spec.timeout_s),
        }
        described: dict[str, Any] = {
            "Image": spec.image,
            "Env": [f"{name}={value}" for name, value in {"HOME": "/home/app", **spec.variables}.items()],
            "User": self._limits.user,
            "Labels": labels,
            "HostConfig": host_config(self._limits),
        }
        if spec.command:
            described["Entrypoint"] = list(spec.command)
            described["Cmd"] = []
        return described

    async def wait(self, spec: ContainerSpec) -> Ended:
        """Wait for its end; when its time is over, it is killed."""
        try:
            async with asyncio.timeout(spec.timeout_s):
                answer = await self._api.wait(f"/containers/{spec.name}/wait")
        except TimeoutError:
            await self._kill(spec.name)
            return Ended(None, f"It ran for {spec.timeout_s} s, as long as it may (timeout).")
        except EngineRefused as error:
            if error.http_status == _GONE:
                return Ended(None, "It was removed.")
            raise
        state = (await self._api.call("GET", f"/containers/{spec.name}/json")).get("State") or {}
        reason = "It used more memory than it may." if state.get("OOMKilled") else ""
        return Ended(int(answer.get("StatusCode", 0)), reason)

    async def _kill(self, name: str) -> None:
        try:
            await self._api.call("POST", f"/containers/{name}/kill")
        except EngineRefused as error:
            if error.http_status not in (_GONE, _CONFLICT):  # it has ended by itself
                raise

    def logs(self, name: str) -> Pieces:
        """What it has written; the engine keeps the last 10 MB."""
        query = {"stdout": "true", "stderr": "true", "tail": "20000"}
        return self._api.pieces("GET", f"/containers/{name}/logs", query=query)

    def execute(self, name: str, command: list[str], container: str | None) -> DockerExecution:
        """A program in the container."""
        if container not in (None, "main"):
            raise WorkerError(f"There is no container {container[:80]!r} in the session, only main.")
        return DockerExecution(self._api, name, command)

    async def remove(self, name: str) -> None:
        """End and delete a container."""
        try:
            await self._api.call("POST", f"/containers/{name}/stop", query={"t": str(_STOP_S)})
            await self._api.call("DELETE", f"/containers/{name}", query={"force": "true", "v": "true"})
        except EngineRefused as error:
            if error.http_status not in (_GONE, _CONFLICT):  # it is gone, or going
                raise

    async def close(self) -> None:
        """Close the connections, and forget the folder."""
        if self._folder is not None:
            own, self._folder = self._folder, None
            await asyncio.to_thread(own.remove)
        await self._api.close()


class DockerExecution:
    """A program that runs beside the one of a container."""

    def __init__(self, api: DockerApi, name: str, command: list[str]) -> None:
        self._api, self._name, self._command = api, name, command
        self._id = ""

    async def pieces(self) -> Pieces:
        """Start it; what it writes, until it has ended."""
        wished = {"AttachStdout": True, "AttachStderr": True, "Tty": False, "Privileged": False}
        made = await self._api.call("POST", f"/containers/{self._name}/exec", wished | {"Cmd": self._command})
        self._id = str(made["Id"])
        started = {"Detach": False, "Tty": False}
        async for piece in self._api.pieces("POST", f"/exec/{self._id}/start", started):
            yield piece

    async def code(self) -> int | None:
        """With what it ended."""
        found = (await self._api.call("GET", f"/exec/{self._id}/json")).get("ExitCode")
        return found if isinstance(found, int) else None


def host_config(limits: ContainerLimits) -> dict[str, Any]:
    """The settings that keep a container away from the machine."""
    memory, scratch = limits.memory_mb * _MIB, limits.scratch_mb * _MIB
    uid, _, gid = limits.user.partition(":")
    owner = f",uid={uid},gid={gid or uid}" if uid.isdigit() else ""
    tmpfs = f"rw,nosuid,nodev,size={scratch}"
    return {
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": f"{tmpfs},mode=1777", "/home/app": f"{tmpfs},mode=0700{owner}"},
        "Memory": memory,
        "MemorySwap": memory,
        "NanoCpus": int(limits.cpus * 1e9),
        "PidsLimit": limits.processes,
        "NetworkMode": limits.network,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "PublishAllPorts": False,
        "Init": True,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": f"{_LOG_MB}m", "max-file": "1"}},
    }
