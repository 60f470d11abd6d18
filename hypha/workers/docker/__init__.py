"""The worker of containers on one machine: apps of the type `docker-container`."""

from hypha.workers.docker.worker import DockerWorker, hypha_startup

__all__ = ["DockerWorker", "hypha_startup"]
