"""The environment worker: apps that run in Python environments of their own, as Jupyter kernels."""

from hypha.workers.conda.worker import CondaWorker, hypha_startup

__all__ = ["CondaWorker", "hypha_startup"]
