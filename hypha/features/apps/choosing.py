"""Which worker runs an app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypha.errors import InvalidRequest
from hypha.features.apps.workers import SHARED, Worker, Workers

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.features.ports import ServicesPort

MODES = "random, first, last, exact, min_load or select:min|max|first_success:<function>"


class Choosing:
    """Chooses among the workers of a workspace; where none fits, among those that all may use."""

    def __init__(self, workers: Workers, services: ServicesPort) -> None:
        self._workers = workers
        self._services = services

    async def choose(
        self, app_type: str, worker_id: str | None, mode: str | None, context: Context
    ) -> Worker:
        """A worker for apps of a type: the one that is named, or one by a mode.

        Raises:
            InvalidRequest: there is none, or the one that is named does not run this type, or the mode is
                unknown.
        """
        if worker_id is not None:
            worker = await self._workers.get(worker_id, context.workspace)
            if app_type not in worker.supported_types:
                raise InvalidRequest(
                    f"Worker {worker.id} does not support the app type {app_type}, but "
                    f"{', '.join(worker.supported_types)}."
                )
            return worker
        known = await self._workers.of(context.workspace)
        able = [each for each in known if app_type in each.supported_types and not each.is_disabled]
        own = [each for each in able if each.record.workspace == context.workspace]
        found = own or [each for each in able if each.record.workspace == SHARED]
        if not found:
            raise InvalidRequest(
                f"No server app worker found for app type: {app_type}. list_workers shows who is there."
            )
        return await self._pick(found, mode or "random", context)

    async def _pick(self, workers: list[Worker], mode: str, context: Context) -> Worker:
        if mode == "exact":
            if len(workers) > 1:
                raise InvalidRequest(
                    f"{len(workers)} workers fit, such as {workers[0].id}: name one with worker_id, or give "
                    "another worker_selection_mode."
                )
            return workers[0]
        if mode not in ("random", "first", "last", "min_load") and not mode.startswith("select:"):
            raise InvalidRequest(f"Invalid worker_selection_mode {mode[:100]!r}: it is {MODES}.")
        record = await self._services.pick([each.record for each in workers], mode, context=context)
        return next(each for each in workers if each.record.key == record.key)
