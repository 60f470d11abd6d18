"""Plugs the queues into the server."""

from __future__ import annotations

from hypha.builtins.service import BuiltinService
from hypha.features.base import Feature, FeatureContext
from hypha.features.queues.delivery import Delivery
from hypha.features.queues.options import QueueOptions
from hypha.features.queues.records import KIND, Queues
from hypha.features.queues.service import QueueService
from hypha.store.usage import Quota
from hypha.workspaces.lifecycle import Workspaces


class QueuesFeature(Feature):
    """The public service `queue`."""

    name = "queues"
    needs = (Workspaces,)

    async def start(self, context: FeatureContext) -> None:
        """Offer the service, and follow the ends of those who wait."""
        options, data = context.settings.of(QueueOptions), context.data
        data.bound(
            KIND,
            "tasks",
            Quota(
                options.max_tasks_per_workspace,
                options.max_task_bytes_per_workspace,
                "tasks in queues",
                "Take some with pop, or ask the server's operator for more.",
            ),
        )
        queues = Queues(data.connections, data.usage)
        delivery = Delivery(queues, context.get(Workspaces), context.services.has_left)
        context.events.on_workspace_ended(delivery.workspace_ended)
        context.events.on_client_ended(delivery.client_ended)
        context.services.offer(BuiltinService.of(QueueService(delivery), id="queue", name="Queue"))
