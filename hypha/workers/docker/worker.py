"""Runs apps as containers of a Docker engine: the type `docker-container`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypha.workers.base import WorkerError
from hypha.workers.containers.manifests import Usual
from hypha.workers.containers.worker import ContainerWorker
from hypha.workers.docker.api import DockerApi
from hypha.workers.docker.engine import ContainerLimits, DockerEngine
from hypha.workers.folders import default_root
from hypha.workers.options import Connection, Options, add_connection, count, folder, positive, words_of
from hypha.workers.serving import run_command

logger = logging.getLogger(__name__)

TYPE = "docker-container"
_SESSIONS, _TIMEOUT_S = 50, 3600


class DockerWorker(ContainerWorker):
    """Runs containers of the engine that `host` names, `DOCKER_HOST` or the usual socket if None."""

    prefix = "hypha-container"

    def __init__(
        self,
        connection: Connection | None = None,
        host: str | None = None,
        limits: ContainerLimits | None = None,
        *,
        usual_s: int = _TIMEOUT_S,
        most_sessions: int = _SESSIONS,
        root: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        api = DockerApi(host, os.environ if variables is None else variables)
        engine = DockerEngine(api, limits or ContainerLimits(), root or default_root("docker"))
        usual = Usual(timeout_s=usual_s, restarts=("Never",))  # what shall live is a daemon of the server
        super().__init__(engine, connection or Connection(), usual, most_sessions)

    @property
    def supported_types(self) -> list[str]:
        """Containers."""
        return [TYPE]

    @property
    def name(self) -> str:
        """For people."""
        return "Docker worker"

    @property
    def description(self) -> str:
        """For people."""
        return "Runs containers of an engine, each with limits and without rights on the machine"


def _options() -> Options:
    usual = ContainerLimits()
    options = Options("python -m hypha.workers.docker", f"Runs apps of the type {TYPE}.")
    add_connection(options)
    options.add("--docker-host", None, "The engine: unix:///path or tcp://host:port", str, "DOCKER_HOST")
    options.add("--docker-sessions", _SESSIONS, "Containers at the same time", count)
    options.add(
        "--docker-timeout-s", _TIMEOUT_S, "Seconds that a container runs, if its app says nothing", count
    )
    options.add("--docker-memory-mb", usual.memory_mb, "Memory of a container in MiB", count)
    options.add("--docker-cpus", usual.cpus, "Processors of a container", positive)
    options.add("--docker-processes", usual.processes, "Processes of a container", count)
    options.add("--docker-scratch-mb", usual.scratch_mb, "What it may write, in memory, in MiB", count)
    options.add("--docker-user", usual.user, "User and group inside of it")
    options.add("--docker-network", usual.network, "Network of the engine that it is in; none for none")
    options.add("--docker-state-dir", None, "Folder in which workers note that they live", folder)
    options.add(
        "--authorized-workspaces", (), "Workspaces whose apps it runs, with commas; beside its own", words_of,
        "DOCKER_AUTHORIZED_WORKSPACES",
    )  # fmt: skip
    return options


def _worker(values: Mapping[str, Any], connection: Connection) -> DockerWorker:
    limits = ContainerLimits(
        memory_mb=values["docker_memory_mb"],
        cpus=values["docker_cpus"],
        processes=values["docker_processes"],
        scratch_mb=values["docker_scratch_mb"],
        user=values["docker_user"],
        network=values["docker_network"],
    )
    return DockerWorker(
        connection,
        values["docker_host"],
        limits,
        usual_s=values["docker_timeout_s"],
        most_sessions=values["docker_sessions"],
        root=values["docker_state_dir"],
    )


async def hypha_startup(server: Any) -> None:
    """Begin the worker inside the server, as variables say; one warning where there is no engine."""
    values = _options().read([], os.environ)
    connection = Connection(service_id="docker-worker", authorized_workspaces=values["authorized_workspaces"])
    try:
        await _worker(values, connection).register_worker_service(server)
    except WorkerError as error:  # it is not there, or refuses
        logger.warning("No apps in containers: %s", error)


def main() -> int:
    """Run the worker as a program."""
    return run_command(_options(), _worker)
