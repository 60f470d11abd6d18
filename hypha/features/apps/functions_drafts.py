"""Functions of the app controller for what is staged of apps and then committed, and for their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest, NotFound
from hypha.features.apps.artifacts import MAX_READ_BYTES
from hypha.features.apps.base import ANSWER_BYTES, LIST_BYTES, Functions, checked_text
from hypha.features.apps.manifests import check_installable, first_manifest, validate_app_manifest
from hypha.features.apps.scaling import FIELD, Scaling
from hypha.features.apps.starting import Wish
from hypha.features.apps.startup import Startup, given_startup
from hypha.features.apps.steps import Steps

Plain = dict[str, Any]
FORMATS = {"text": "text", "json": "json", "binary": "base64"}
"""Of files that are read, and as the artifact manager calls them."""
FILE_BYTES = 14 * 1024 * 1024


class DraftFunctions(Functions):
    """What is staged of apps."""

    @permission(
        Level.READ_WRITE,
        note="read_write on current workspace, and commit on the app's artifact",
        gives_bytes=ANSWER_BYTES,
    )
    async def commit_app(
        self,
        app_id: str,
        timeout: float | None = None,
        version: str | None = None,
        stop_after_inactive: float | None = None,
        wait_for_service: Any = None,
        additional_kwargs: Plain | None = None,
        progress_callback: Any = None,
        worker_id: str | None = None,
        *,
        context: Context,
    ) -> Plain:
        """Start what is staged of an app once, and let all use it if it starts; gives the manifest.

        What does not start stays staged.

        Args:
            app_id: The app.
            timeout: Seconds that a start may take; kept in the manifest.
            version: The name of the version.
            stop_after_inactive: Seconds without traffic after which a session is stopped; kept.
            wait_for_service: The service that shows that it has started; kept.
            additional_kwargs: Further keys of what the worker is given; kept.
            progress_callback: A function of yours that is told each step.
            worker_id: The worker on which it is tried.
        """
        steps, name = Steps(self.parts.services, progress_callback, context), self.app(app_id)
        said = given_startup(timeout, wait_for_service, additional_kwargs, stop_after_inactive)
        known = await self.parts.artifacts.read(name, context, stage=True)
        if known["staging"] is None:
            manifest: Plain = known["manifest"]
            return manifest
        if said:
            await self._keep(name, _with_startup(known["manifest"], said), context)
        wish = Wish(name, stage=True, fresh=True, worker_id=checked_text(worker_id, "worker_id"))
        return await self.parts.installing.commit(wish, checked_text(version, "version"), context, steps)

    @permission(Level.READ_WRITE, note="read_write on current workspace, and edit on the app's artifact")
    async def edit_app(
        self,
        app_id: str,
        manifest: Plain | None = None,
        disabled: bool | None = None,
        autoscaling_config: Plain | None = None,
        autoscaling_manifest: Plain | None = None,
        startup_config: Plain | None = None,
        *,
        context: Context,
    ) -> None:
        """Change an app: staged, until `commit_app` lets all use it.

        Args:
            app_id: The app.
            manifest: Fields of the manifest that are to be others.
            disabled: true: it cannot be started, and its sessions are stopped at once.
            autoscaling_config: How many instances it has, such as `{"enabled": true, "max_instances": 3}`, in
                place of what was said; empty for one.
            autoscaling_manifest: Another name of it.
            startup_config: How it is started, in place of what was said: `timeout`, `wait_for_service`,
                `stop_after_inactive`, `additional_kwargs`; empty for the usual.
        """
        name, scaling = self.app(app_id), _one_of(autoscaling_config, autoscaling_manifest)
        known = await self.parts.artifacts.read(name, context, stage=True)
        changed = {**known["manifest"], **(first_manifest(manifest) if manifest is not None else {})}
        own = {key: known["manifest"].get(key) for key in ("services", "service_ids")}
        check_installable({**changed, **dict.fromkeys(own)}, has_source=True)
        if manifest is not None and any(manifest.get(key) not in (None, own[key]) for key in own):
            raise InvalidRequest("services of a manifest are found out by the server: leave them out.")
        changed |= {key: value for key, value in own.items() if value is not None}
        if disabled is not None:
            changed["disabled"] = disabled is True
        if startup_config is not None:
            changed.pop("startup_config", None)
            if startup_config:
                changed["startup_config"] = dict(startup_config)
        if scaling is not None:
            changed.pop(FIELD, None)
            if scaling:
                changed[FIELD] = scaling
        Startup.of(changed, {})
        Scaling.of(changed)
        await self._keep(name, changed, context)
        if disabled is True:
            self.parts.daemons.release(context.workspace, name)
            self.parts.scaler.release(context.workspace, name)
            for session in self.parts.running.sessions.of_app(context.workspace, name):
                self.parts.running.stop_soon(session)

    async def _keep(self, app_id: str, manifest: Plain, context: Context) -> None:
        await self.parts.artifacts.change_staged(app_id, {**manifest, "id": app_id}, context)

    # -- files

    @permission(Level.READ, note="list_files on the app's artifact", gives_bytes=LIST_BYTES)
    async def list_files(self, app_id: str, *, context: Context) -> list[Plain]:
        """List the files of an app; of one that was never committed those that are staged.

        Args:
            app_id: The app.
        """
        name = self.app(app_id)
        known = await self.parts.artifacts.read(name, context)
        return await self.parts.artifacts.files(name, context, stage=not known["versions"])

    @permission(Level.READ, note="get_file on the app's artifact", gives_bytes=FILE_BYTES)
    async def read_file(
        self,
        app_id: str,
        file_path: str,
        format: str = "text",
        version: str | None = None,
        stage: bool = False,
        *,
        context: Context,
    ) -> Any:
        """Read a file of an app, up to 10 MiB.

        Args:
            app_id: The app.
            file_path: The path of the file.
            format: `text`; `json` for what the text means; `binary` for base64.
            version: The version; the latest if left out.
            stage: Read what is staged.
        """
        name, path = self.app(app_id), checked_path(file_path)
        form = FORMATS.get(format) if isinstance(format, str) else None
        if form is None:
            raise InvalidRequest(f"Invalid format: it is one of {', '.join(FORMATS)}.")
        try:
            return await self.parts.artifacts.read_file(
                name, path, form, context, version=checked_text(version, "version"), stage=stage is True
            )
        except NotFound as error:
            raise NotFound(f"Failed to get file content for {name}/{path}: {error.message}") from None

    @permission(Level.READ_WRITE, note="read_write on current workspace, and put_file on the app's artifact")
    async def edit_file(self, app_id: str, file_path: str, file_content: str, *, context: Context) -> None:
        """Write a file into what is staged of an app, see `edit_app`.

        Args:
            app_id: The app.
            file_path: The path of the file.
            file_content: Its text, up to 10 MiB.
        """
        name, path = self.app(app_id), checked_path(file_path)
        if not isinstance(file_content, str) or len(file_content) > MAX_READ_BYTES:
            raise InvalidRequest("file_content is a text of up to 10 MiB.")
        try:
            content = file_content.encode()
        except UnicodeEncodeError:
            raise InvalidRequest("file_content holds half of a character.") from None
        await self.parts.artifacts.write(name, path, content, context)

    @permission(
        Level.READ_WRITE, note="read_write on current workspace, and remove_file on the app's artifact"
    )
    async def remove_file(self, app_id: str, file_path: str, *, context: Context) -> None:
        """Remove a file from what is staged of an app.

        Args:
            app_id: The app.
            file_path: The path of the file.
        """
        name, path = self.app(app_id), checked_path(file_path)
        known = await self.parts.artifacts.read(name, context, stage=True)
        if known["staging"] is None:
            raise InvalidRequest("Artifact must be in staging mode to remove files: call edit_app first.")
        await self.parts.artifacts.remove_file(name, path, context)

    @permission(Level.READ)
    async def validate_app_manifest(self, manifest: Any, *, context: Context) -> Plain:
        """Say what is wrong with a manifest: `{"valid", "errors", "warnings", "suggestions"}`.

        Args:
            manifest: The manifest.
        """
        found = await self.parts.workers.of(context.workspace)
        return validate_app_manifest(manifest, {kind for worker in found for kind in worker.supported_types})


def checked_path(path: object) -> str:
    """A path, as far as it is to be told in errors.

    Raises:
        InvalidRequest: it is none.
    """
    found = checked_text(path, "file_path")
    if found is None:
        raise InvalidRequest("file_path is the path of a file.")
    return found


def _one_of(config: object, other: object) -> object:
    if config is not None and other is not None:
        raise InvalidRequest("autoscaling_manifest is another name of autoscaling_config: give one of them.")
    return other if config is None else config


def _with_startup(manifest: Mapping[str, Any], said: Plain) -> Plain:
    kept = manifest.get("startup_config")
    made = {**manifest, "startup_config": {**(kept if isinstance(kept, Mapping) else {}), **said}}
    Startup.of(made, {})
    return made
