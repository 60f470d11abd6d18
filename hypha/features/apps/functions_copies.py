"""Functions of the app controller that bring apps elsewhere, or bring and start them in one call."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import AppNotFound, InvalidRequest, PermissionDenied
from hypha.features.apps.base import ANSWER_BYTES, checked_text
from hypha.features.apps.functions_apps import AppFunctions
from hypha.features.apps.functions_sessions import SessionFunctions

Plain = dict[str, Any]


class CopyFunctions(AppFunctions, SessionFunctions):
    """Copies of apps, and apps that are installed where they are not there yet."""

    @permission(
        Level.READ_WRITE,
        note="read_write on current workspace; never anonymous users",
        gives_bytes=ANSWER_BYTES,
    )
    async def launch(
        self,
        source: str | None = None,
        manifest: Plain | None = None,
        app_id: str | None = None,
        config: Plain | None = None,
        files: list[Plain] | None = None,
        overwrite: bool = False,
        timeout: float | None = None,
        version: str | None = None,
        wait_for_service: Any = None,
        stop_after_inactive: float | None = None,
        progress_callback: Any = None,
        additional_kwargs: Plain | None = None,
        worker_id: str | None = None,
        worker_selection_mode: str | None = None,
        *,
        context: Context,
    ) -> Plain:
        """Install an app unless it is there, and start it; gives the session.

        Args:
            source: Its program, as for `install`.
            manifest: What it is.
            app_id: Its id; left out, the same source and manifest are the same app.
            config: Another name of `manifest`.
            files: Objects with `path`, `content` and `format`.
            overwrite: Install it, whether it is there or not.
            timeout: Seconds that a start may take.
            version: The name of the version, if it is installed.
            wait_for_service: The service that shows that it has started; false for a script.
            stop_after_inactive: Seconds without traffic after which the session is stopped.
            progress_callback: A function of yours that is told each step.
            additional_kwargs: Further keys of what the worker is given.
            worker_id: The worker that runs it.
            worker_selection_mode: How one of several workers is chosen.
        """
        name = self.app(app_id) if app_id is not None else _name_of(source, manifest or config, files)
        start: Plain = {
            "timeout": timeout, "wait_for_service": wait_for_service,
            "stop_after_inactive": stop_after_inactive,
            "progress_callback": progress_callback, "additional_kwargs": additional_kwargs,
            "worker_id": worker_id, "worker_selection_mode": worker_selection_mode, "context": context,
        }  # fmt: skip
        if overwrite is True or not await self._is_installed(name, context):
            await self.install(
                source, manifest, name, config, files, overwrite=True, version=version, **start
            )
        return await self.start(name, **start)

    async def _is_installed(self, app_id: str, context: Context) -> bool:
        if context.user.is_anonymous:
            raise PermissionDenied("Anonymous users cannot install apps: sign in first.")
        try:
            return bool((await self.parts.artifacts.read(app_id, context))["versions"])
        except AppNotFound:
            return False

    @permission(
        Level.READ, note="read on the app's artifact, and create in the collection", gives_bytes=ANSWER_BYTES
    )
    async def publish(
        self,
        app_id: str,
        collection_id: str,
        new_app_id: str | None = None,
        overwrite: bool = False,
        remove_secrets: bool = True,
        stage: bool = False,
        *,
        context: Context,
    ) -> Plain:
        """Copy an app into a collection; gives the artifact of the copy.

        Args:
            app_id: The app.
            collection_id: The collection, `alias` or `workspace/alias`.
            new_app_id: The alias of the copy; a readable one is made if left out.
            overwrite: Take the place of what has this alias.
            remove_secrets: Leave `config.secrets` out of the copy.
            stage: Make a draft of the copy.
        """
        if context.user.is_anonymous:
            raise PermissionDenied("Anonymous users cannot publish apps: sign in first.")
        target = checked_text(collection_id, "collection_id")
        if target is None:
            raise InvalidRequest("collection_id is the collection into which the app is copied.")
        name, artifacts = self.app(app_id), self.parts.artifacts
        await artifacts.read(name, context)
        alias = None if new_app_id is None else self.app(new_app_id)
        return await artifacts.copy(
            f"{context.workspace}/{name}", target, alias, context, overwrite=overwrite is True,
            keep_secrets=remove_secrets is False, stage=stage is True,
        )  # fmt: skip


def _name_of(source: object, manifest: object, files: object) -> str:
    """An id that is the same for the same app."""
    try:
        text = orjson.dumps([source, manifest, files], option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise InvalidRequest("An app is made of plain data: texts, lists and maps.") from None
    return f"launched-{hashlib.sha256(text).hexdigest()[:16]}"
