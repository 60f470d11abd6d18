"""The worker of pods on Kubernetes: apps of the type `k8s-pod`."""

from hypha.workers.k8s.worker import K8sWorker, hypha_startup

__all__ = ["K8sWorker", "hypha_startup"]
