"""Durable work queues, one name space per workspace."""

from hypha.features.queues.feature import QueuesFeature

__all__ = ["QueuesFeature"]
