"""Plugs the queues into the server."""

from __future__ import annotations

from hypha.builtins.service import BuiltinService
from hypha.features.base import Feature, FeatureContext
from hypha.features.queues.delivery import Delivery
from hypha.features.queues.records import KIND, Queues
from hypha.features.queues.service import QueueService
from hypha.store.usage import Quota


class QueuesFeature(Feature):
    """The public service `queue`."""

    name = "queues"

    async def start(self, context: FeatureContext) -> None:
        """Offer the service."""
        settings, store = context.settings, context.store
        context.tenancy.quotas.declare(
            KIND,
            "tasks",
            Quota(
                settings.max_tasks_per_workspace,
                settings.max_task_bytes_per_workspace,
                "tasks in queues",
                "Take some with pop, or ask the server's operator for more.",
            ),
        )
        delivery = Delivery(Queues(store, store.usage), context.tenancy.workspaces, context.hub)
        context.offer(BuiltinService.of(QueueService(delivery), id="queue", name="Queue"))
