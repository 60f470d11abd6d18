"""Containers as pods of a cluster, made so that the code in them can do little outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypha.workers.base import WorkerError
from hypha.workers.containers.manifests import ContainerSpec
from hypha.workers.containers.outputs import TAIL_BYTES, Pieces
from hypha.workers.containers.worker import Ended
from hypha.workers.k8s.api import ClusterRefused, K8sApi

_COMPONENT = "worker-pod"
_MAIN = "main"
_USER = 1000
_VOLUMES = {"tmp": "/tmp", "home": "/home/app"}
"""All that can be written."""
_LOOK_S = 2.0
_BEGIN_S = 300.0
_LATE_S = 60
_GONE = 404
_HOPELESS = ("ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError")
_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, kw_only=True)
class PodLimits:
    """What each pod may use."""

    memory_mb: int = 1024
    cpus: float = 1.0
    scratch_mb: int = 256
    """Of `/tmp` and of the home folder; nothing else can be written."""


class K8sEngine:
    """Pods of one namespace; `look_s` is how long there is between two looks at one."""

    def __init__(self, api: K8sApi, limits: PodLimits, look_s: float = _LOOK_S) -> None:
        self._api, self._limits, self._look_s = api, limits, look_s

    async def prepare(self) -> None:
        """See that the cluster answers, and remove pods that are over."""
        await self.sweep()

    async def sweep(self) -> None:
        """Remove pods that outlived their time: the cluster ends them by itself, but keeps their records."""
        for pod in await self._api.pods(f"app=hypha,component={_COMPONENT}"):
            until = (pod["metadata"].get("annotations") or {}).get("hypha/ends-at", "")
            if until.isdigit() and int(until) + _LATE_S < time.time():
                await self.remove(pod["metadata"]["name"])

    async def start(self, spec: ContainerSpec) -> None:
        """Make the pod, and wait until it runs or has ended."""
        making = asyncio.create_task(self._api.create(described(spec, self._limits)))
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:
            await asyncio.wait([making])  # `remove` comes next, and must find what the cluster makes
            raise
        try:
            async with asyncio.timeout(_BEGIN_S):
                while (pod := await self._api.pod(spec.name))["status"].get("phase") not in (
                    "Running",
                    *_OVER,
                ):
                    if reason := _hopeless(pod):
                        raise WorkerError(f"The pod cannot start: {reason}")
                    await asyncio.sleep(self._look_s)
        except TimeoutError:
            raise WorkerError(
                f"The pod did not run within {_BEGIN_S:g} s: the cluster may be full."
            ) from None

    async def wait(self, spec: ContainerSpec) -> Ended:
        """Look at the pod until it has ended; the cluster ends it when its time is over."""
        while True:
            try:
                pod = await self._api.pod(spec.name)
            except ClusterRefused as error:
                if error.http_status == _GONE:
                    return Ended(None, "The pod was removed.")
                raise
            status = pod["status"]
            if status.get("phase") in _OVER:
                return _ended(status)
            await asyncio.sleep(self._look_s)

    def logs(self, name: str) -> Pieces:
        """What the pod has written, the end of it."""
        query = {"container": _MAIN, "tailLines": "20000", "limitBytes": str(20 * TAIL_BYTES)}
        return self._api.log(name, query)

    def execute(self, name: str, command: list[str], container: str | None) -> K8sExecution:
        """A program in a container of the pod."""
        return K8sExecution(self._api, name, container or _MAIN, command)

    async def remove(self, name: str) -> None:
        """Delete a pod; one that is gone is fine."""
        try:
            await self._api.delete(name)
        except ClusterRefused as error:
            if error.http_status != _GONE:
                raise

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()


class K8sExecution:
    """A program that runs in a container of a pod."""

    def __init__(self, api: K8sApi, name: str, container: str, command: list[str]) -> None:
        self._codes: list[int] = []
        self._pieces = api.execute(name, container, command, self._codes)

    def pieces(self) -> Pieces:
        """What it writes, until it has ended."""
        return self._pieces

    async def code(self) -> int | None:
        """With what it ended."""
        return self._codes[0] if self._codes else None


def described(spec: ContainerSpec, limits: PodLimits) -> dict[str, Any]:
    """A pod as the cluster is asked for it."""
    now = time.time()
    facts = {f"hypha/{name}": value for name, value in spec.facts.items()} | {
        "hypha/created-at": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "hypha/ends-at": str(int(now) + spec.timeout_s),
    }
    labels = {"app": "hypha", "component": _COMPONENT}
    room = {"sizeLimit": f"{limits.scratch_mb}Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": spec.name, "labels": labels, "annotations": facts},
        "spec": {
            "containers": [_main_container(spec, limits)],
            "restartPolicy": spec.restart,
            "activeDeadlineSeconds": spec.timeout_s,
            "terminationGracePeriodSeconds": 2,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "hostNetwork": False,
            "hostPID": False,
            "hostIPC": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [{"name": name, "emptyDir": room} for name in _VOLUMES],
        },
    }


def _main_container(spec: ContainerSpec, limits: PodLimits) -> dict[str, Any]:
    resources = {"memory": f"{limits.memory_mb}Mi", "cpu": f"{round(limits.cpus * 1000)}m"}
    variables = {"HOME": _VOLUMES["home"], **spec.variables}
    container: dict[str, Any] = {
        "name": _MAIN,
        "image": spec.image,
        "imagePullPolicy": spec.pull,
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "resources": {"limits": resources, "requests": resources},
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in _VOLUMES.items()],
    }
    return container | ({"command": list(spec.command)} if spec.command else {})


def _container_status(status: Mapping[str, Any]) -> Mapping[str, Any]:
    found = (each for each in status.get("containerStatuses") or [] if each.get("name") == _MAIN)
    return next(found, {})


def _hopeless(pod: Mapping[str, Any]) -> str:
    waiting = (_container_status(pod["status"]).get("state") or {}).get("waiting") or {}
    if waiting.get("reason") not in _HOPELESS:
        return ""
    return f"{waiting['reason']}. {str(waiting.get('message') or '')[:500]}"


def _ended(status: Mapping[str, Any]) -> Ended:
    ending = (_container_status(status).get("state") or {}).get("terminated") or {}
    reasons = {
        "OOMKilled": "It used more memory than it may.",
        "DeadlineExceeded": "It ran as long as it may (timeout).",
    }
    why = str(status.get("reason") or ending.get("reason") or "")
    code = ending.get("exitCode", 0 if status["phase"] == "Succeeded" else None)
    said = reasons.get(why, str(status.get("message") or "")[:500])
    return Ended(code if isinstance(code, int) else None, said)
