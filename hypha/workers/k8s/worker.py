"""Runs apps as pods of a cluster: the type `k8s-pod`."""

from __future__ import annotations

import logging
import os
import re
from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from hypha.workers.base import WorkerError
from hypha.workers.containers.manifests import PULLS, Usual
from hypha.workers.containers.worker import ContainerWorker
from hypha.workers.k8s.api import K8sApi
from hypha.workers.k8s.cluster import Cluster, find_cluster
from hypha.workers.k8s.engine import K8sEngine, PodLimits
from hypha.workers.options import Connection, Options, add_connection, count, positive, words_of
from hypha.workers.serving import run_command

logger = logging.getLogger(__name__)

TYPE = "k8s-pod"
_SESSIONS = 50
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class K8sWorker(ContainerWorker):
    """Runs pods in a namespace of a cluster: that of the cluster's description if None."""

    prefix = "hypha-pod"

    def __init__(
        self,
        cluster: Cluster,
        connection: Connection | None = None,
        namespace: str | None = None,
        limits: PodLimits | None = None,
        *,
        usual: Usual | None = None,
        most_sessions: int = _SESSIONS,
        look_s: float = 2.0,
    ) -> None:
        api = K8sApi(cluster, namespace or cluster.namespace)
        engine = K8sEngine(api, limits or PodLimits(), look_s)
        super().__init__(engine, connection or Connection(), usual or Usual(), most_sessions)

    @property
    def supported_types(self) -> list[str]:
        """Pods."""
        return [TYPE]

    @property
    def name(self) -> str:
        """For people."""
        return "Kubernetes worker"

    @property
    def description(self) -> str:
        """For people."""
        return "Runs pods of a cluster, each with limits and without rights in it"


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise ArgumentTypeError("it is no name of a namespace")
    return text


def _pull(text: str) -> str:
    if text not in PULLS:
        raise ArgumentTypeError(f"it is one of {', '.join(PULLS)}")
    return text


def _options() -> Options:
    limits, usual = PodLimits(), Usual()
    options = Options("python -m hypha.workers.k8s", f"Runs apps of the type {TYPE}.")
    add_connection(options)
    options.add("--k8s-namespace", None, "Namespace of the pods", _namespace)
    options.add(
        "--k8s-default-timeout", usual.timeout_s, "Seconds that a pod runs, if its app says nothing", count
    )
    options.add(
        "--k8s-image-pull-policy", usual.pull, "When images are fetched, if its app says nothing", _pull
    )
    options.add("--k8s-sessions", _SESSIONS, "Pods at the same time", count)
    options.add("--k8s-memory-mb", limits.memory_mb, "Memory of a pod in MiB", count)
    options.add("--k8s-cpus", limits.cpus, "Processors of a pod", positive)
    options.add("--k8s-scratch-mb", limits.scratch_mb, "What it may write to each folder in MiB", count)
    options.add(
        "--authorized-workspaces", (), "Workspaces whose apps it runs, with commas; beside its own", words_of,
        "HYPHA_K8S_AUTHORIZED_WORKSPACES",
    )  # fmt: skip
    return options


def _worker(values: Mapping[str, Any], connection: Connection) -> K8sWorker:
    limits = PodLimits(
        memory_mb=values["k8s_memory_mb"], cpus=values["k8s_cpus"], scratch_mb=values["k8s_scratch_mb"]
    )
    usual = Usual(timeout_s=values["k8s_default_timeout"], pull=values["k8s_image_pull_policy"])
    return K8sWorker(
        find_cluster(os.environ), connection, values["k8s_namespace"], limits, usual=usual,
        most_sessions=values["k8s_sessions"],
    )  # fmt: skip


async def hypha_startup(server: Any) -> None:
    """Begin the worker inside the server, as variables say; one warning where there is no cluster."""
    values = _options().read([], os.environ)
    connection = Connection(service_id="k8s-worker", authorized_workspaces=values["authorized_workspaces"])
    try:
        await _worker(values, connection).register_worker_service(server)
    except WorkerError as error:  # it is not there, or refuses
        logger.warning("No apps on Kubernetes: %s", error)


def main() -> int:
    """Run the worker as a program."""
    return run_command(_options(), _worker)
