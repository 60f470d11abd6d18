"""Installing an app: kept as a draft, tried, and committed; whatever fails leaves what was there before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hypha.errors import AlreadyExists, AppNotFound, CallFailed, HyphaError
from hypha.features.apps.file_formats import checked_files, content_bytes
from hypha.features.apps.manifests import OF_SERVER
from hypha.features.apps.preparing import merged
from hypha.features.apps.sources import ReadSource
from hypha.features.apps.starting import StartFailed, Wish

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.features.apps.artifacts import AppArtifacts
    from hypha.features.apps.choosing import Choosing
    from hypha.features.apps.grants import Grants
    from hypha.features.apps.running import Running
    from hypha.features.apps.scaler import Scaler
    from hypha.features.apps.starting import Addresses, Starting
    from hypha.features.apps.steps import Steps
    from hypha.features.apps.workers import Worker, Workers
    from hypha.features.ports import ServicesPort

COMPILE_TIMEOUT_S = 120.0
GRACE_S = 0.1
"""So long after the awaited service a program that is tried may offer others, which are noted too."""


class InstallFailed(CallFailed):
    """An app could not be installed."""


@dataclass(frozen=True, slots=True)
class Order:
    """What shall be installed, and how."""

    parsed: ReadSource
    app_id: str | None = None
    startup: Mapping[str, Any] | None = None
    overwrite: bool = False
    version: str | None = None
    stage: bool = False
    worker_id: str | None = None
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class InstallParts:
    """What installing works with."""

    services: ServicesPort
    artifacts: AppArtifacts
    choosing: Choosing
    workers: Workers
    starting: Starting
    running: Running
    grants: Grants
    scaler: Scaler
    addresses: Addresses


class Installing:
    """Installs apps, and commits what is staged of them."""

    def __init__(self, parts: InstallParts) -> None:
        self._parts = parts

    async def install(self, order: Order, context: Context, steps: Steps) -> dict[str, Any]:
        """The manifest of the app that was made.

        Raises:
            InvalidRequest: nobody runs its type. AlreadyExists: there is one of that id.
            InstallFailed: it could not be compiled, or did not start. PermissionDenied, QuotaExceeded.
        """
        parsed, parts = order.parsed, self._parts
        worker = await parts.choosing.choose(parsed.manifest["type"], order.worker_id, order.mode, context)
        if "compile" in worker.functions:
            await steps.tell(f"Compiling the app with the worker {worker.id}")
            parsed = await self._compile(worker, parsed, context, steps)
        if order.startup:
            kept = parsed.manifest.get("startup_config")
            known = kept if isinstance(kept, Mapping) else {}
            parsed.manifest["startup_config"] = {**known, **order.startup}
        await steps.tell("Creating the artifact of the app")
        app_id, is_new = await self._stage(order, parsed.manifest, context)
        try:
            return await self._fill(replace(order, app_id=app_id, parsed=parsed), is_new, context, steps)
        except (HyphaError, asyncio.CancelledError):
            await asyncio.shield(self._undo(app_id, is_new, context))
            raise

    async def copy(
        self, source: str, app_id: str | None, context: Context, steps: Steps, overwrite: bool, stage: bool
    ) -> dict[str, Any]:
        """Install a copy of an app; the artifact of the copy, with the app's `id` and `name`.

        Raises:
            InvalidRequest: it is no app. InstallFailed: the copy does not start, and is deleted.
            ArtifactNotFound, AlreadyExists, PermissionDenied, QuotaExceeded.
        """
        artifacts = self._parts.artifacts
        await steps.tell("Copying the app")
        collection = await artifacts.ensure_collection(context)
        made = await artifacts.copy(
            source, collection, app_id, context, overwrite=overwrite, keep_secrets=True, stage=True
        )
        alias = str(made["alias"])
        if not stage:
            try:
                await self.commit(Wish(alias, stage=True, fresh=True), None, context, steps)
            except (HyphaError, asyncio.CancelledError):
                await asyncio.shield(self._undo(alias, True, context))
                raise
        found = await artifacts.read(alias, context, stage=stage)
        return {**found, "id": alias, "name": found["manifest"].get("name")}

    async def _compile(
        self, worker: Worker, parsed: ReadSource, context: Context, steps: Steps
    ) -> ReadSource:
        addresses = self._parts.addresses
        config = {
            "server_url": addresses.local if worker.use_local_url is True else addresses.public,
            "public_url": addresses.public,
            "workspace": context.workspace,
            "user": context.user.facts_for(worker.record.workspace),
            "progress_callback": None,
        }
        try:
            answer = await self._parts.workers.call(
                worker.record, "compile", [parsed.manifest, parsed.files, config], context, COMPILE_TIMEOUT_S,
                {"progress_callback": steps.pass_on},
            )  # fmt: skip
            if not isinstance(answer, list | tuple) or len(answer) != 2 or not isinstance(answer[0], Mapping):
                raise CallFailed("it did not answer with a manifest and files.")
            made = checked_files(answer[1])
        except HyphaError as error:
            raise InstallFailed(f"Worker compilation failed: {error.message}") from None
        manifest = {**parsed.manifest, **answer[0], "type": answer[0].get("type") or parsed.manifest["type"]}
        for key in OF_SERVER:
            manifest.pop(key, None)
        return ReadSource(manifest, merged(parsed.files, made))

    async def _stage(self, order: Order, manifest: dict[str, Any], context: Context) -> tuple[str, bool]:
        """Make a draft; its id, and whether there was no such app before."""
        artifacts, app_id = self._parts.artifacts, order.app_id
        try:
            made = await artifacts.stage_new(app_id, manifest, context)
            return str(made["alias"]), True
        except AlreadyExists:
            if not order.overwrite or app_id is None:
                raise
        try:
            known = await artifacts.read(app_id, context, stage=True)
        except AppNotFound:
            raise AlreadyExists(
                f"{app_id} is the name of something that is no app: choose another."
            ) from None
        if not known["versions"]:
            await artifacts.delete(app_id, context)
            await artifacts.stage_new(app_id, manifest, context)
            return app_id, True
        if known["staging"] is not None:
            await artifacts.discard(app_id, context)
        await artifacts.restage(app_id, manifest, context)
        return app_id, False

    async def _fill(self, order: Order, is_new: bool, context: Context, steps: Steps) -> dict[str, Any]:
        artifacts, app_id = self._parts.artifacts, str(order.app_id)
        manifest = {**order.parsed.manifest, "id": app_id}
        await artifacts.change_staged(app_id, manifest, context)
        for file in order.parsed.files:
            await steps.tell(f"Uploading the file {file['path']}")
            content = await asyncio.to_thread(content_bytes, file)
            await artifacts.write(app_id, file["path"], content, context)
        if order.stage:
            await steps.tell("The app is staged: commit_app installs it", "success")
            return manifest
        await steps.tell("Committing the app")
        wish = Wish(app_id, stage=True, fresh=True, worker_id=order.worker_id, mode=order.mode)
        committed = await self.commit(wish, order.version, context, steps)
        await steps.tell(f"App {app_id} installed", "success")
        return committed

    async def commit(self, wish: Wish, version: str | None, context: Context, steps: Steps) -> dict[str, Any]:
        """Try what is staged, then let all use it; its manifest.

        Raises:
            InstallFailed: it did not start. Its draft stays as it is.
        """
        artifacts, app_id = self._parts.artifacts, wish.app_id
        manifest = (await artifacts.read(app_id, context, stage=True))["manifest"]
        if manifest.get("disabled") is not True:
            offered = await self._try(wish, context, steps)
            await steps.tell("Updating the manifest")
            services = [
                {**each, "id": f"{context.workspace}/*:{each['id'].rpartition(':')[2]}", "app_id": app_id}
                for each in offered
            ]
            await artifacts.change_staged(app_id, {**manifest, "id": app_id, "services": services}, context)
        done = await artifacts.commit(app_id, version, context)
        await self._parts.grants.give(done, context)
        found: dict[str, Any] = done["manifest"]
        self._parts.scaler.changed(context.workspace, app_id, found)
        return found

    async def _try(self, wish: Wish, context: Context, steps: Steps) -> list[dict[str, Any]]:
        """Start what is staged, and stop it; the services that it offered."""
        parts, app_id = self._parts, wish.app_id
        with parts.services.trying_application(context.workspace, app_id):
            try:
                session = await parts.starting.start(wish, context, steps)
            except StartFailed as error:
                raise InstallFailed(f"Failed to install app '{app_id}': {error.message}") from None
            if session.wait_for_service is not None:
                await asyncio.sleep(GRACE_S)
            offered: list[dict[str, Any]] = parts.running.shown(session)["services"]
            await parts.running.stop(session)
        return offered

    async def _undo(self, app_id: str, is_new: bool, context: Context) -> None:
        """Leave what was there before."""
        try:
            if is_new:
                await self._parts.artifacts.delete(app_id, context)
            else:
                await self._parts.artifacts.discard(app_id, context)
        except HyphaError:
            return  # somebody else has changed it meanwhile, or the store is gone

    async def uninstall(self, app_id: str, context: Context) -> None:
        """Remove an app, and stop its sessions.

        Raises:
            AppNotFound: there is none. PermissionDenied.
        """
        known = await self._parts.artifacts.read(app_id, context)
        await self._parts.artifacts.delete(str(known["alias"]), context)
        await self._parts.grants.take(context.workspace, app_id)
        running = self._parts.running
        sessions = running.sessions.of_app(context.workspace, app_id)
        await asyncio.gather(*map(running.stop, sessions), return_exceptions=True)
