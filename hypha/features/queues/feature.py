"""Plugs the queues into the server."""

from __future__ import annotations

from hypha.features.base import Feature, FeatureContext
from hypha.features.queues.delivery import Delivery
from hypha.features.queues.service import QueueService
from hypha.registry.schema import local_service


class QueuesFeature(Feature):
    """The public service `queue`."""

    name = "queues"

    async def start(self, context: FeatureContext) -> None:
        """Offer the service."""
        delivery = Delivery(context.store.queues, context.tenancy.workspaces, context.hub)
        context.offer(local_service(QueueService(delivery), id="queue", name="Queue"))
