"""Functions of the app controller for installed apps."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest, PermissionDenied
from hypha.features.apps.base import ANSWER_BYTES, LIST_BYTES, Functions, checked_text
from hypha.features.apps.installing import Order
from hypha.features.apps.manifests import check_app_id, first_manifest
from hypha.features.apps.preparing import prepare
from hypha.features.apps.startup import Startup, given_startup
from hypha.features.apps.steps import Steps

Plain = dict[str, Any]


class AppFunctions(Functions):
    """Installed apps."""

    @permission(
        Level.READ_WRITE,
        note="read_write on current workspace, and on the target; never anonymous users",
        gives_bytes=ANSWER_BYTES,
    )
    async def install(
        self,
        source: str | None = None,
        manifest: Plain | None = None,
        app_id: str | None = None,
        config: Plain | None = None,
        files: list[Plain] | None = None,
        stop_after_inactive: float | None = None,
        wait_for_service: Any = None,
        workspace: str | None = None,
        overwrite: bool = False,
        timeout: float | None = None,
        version: str | None = None,
        stage: bool = False,
        progress_callback: Any = None,
        additional_kwargs: Plain | None = None,
        worker_id: str | None = None,
        worker_selection_mode: str | None = None,
        artifact_id: str | None = None,
        *,
        context: Context,
    ) -> Plain:
        """Install an app: keep it, start it once to see that it works, and stop it again. Gives its manifest.

        Args:
            source: Its program, as a text, or the https address of a page or of a plugin (`.imjoy.html`,
                `.hypha.html`), which the server fetches.
            manifest: What it is, such as `{"name": "My app", "type": "python-eval", "version": "0.1.0"}`.
            app_id: Its id in the workspace: letters, digits, `-`, `_`; a readable one is made if left out.
            config: Another name of `manifest`.
            files: Objects with `path`, `content` and `format` (`text`, `json` or `base64`).
            stop_after_inactive: Seconds without traffic after which a session is stopped, 600; 0 for never.
            wait_for_service: The service that shows that it has started, `default`; false for a script.
            workspace: Where it is installed; the current workspace.
            overwrite: Take the place of the app of that id, if its successor starts.
            timeout: Seconds that a start may take, 60.
            version: The name of the version.
            stage: Keep it as a draft, without starting it; `commit_app` installs it.
            progress_callback: A function of yours that is told each step.
            additional_kwargs: Further keys of what the worker is given.
            worker_id: The worker that runs it.
            worker_selection_mode: How one of several workers is chosen: `random`, `first`, `last`, `exact`,
                `min_load`, `select:min:function`.
            artifact_id: An app to copy, as `workspace/alias`, in place of source and manifest; then the
                copy's artifact is given.
        """
        steps = Steps(self.parts.services, progress_callback, context)
        await steps.tell("Parsing the manifest of the app")
        if context.user.is_anonymous:
            raise PermissionDenied("Anonymous users cannot install apps: sign in first.")
        place = await self.place(workspace, context, Level.READ_WRITE)
        alias = check_app_id(app_id)
        if artifact_id is not None:
            _check_alone(source, manifest, config, files)
            copy, wanted = self.parts.installing.copy, (overwrite is True, stage is True)
            return await copy(str(checked_text(artifact_id, "artifact_id")), alias, place, steps, *wanted)
        fetch = partial(self.parts.fetcher.fetch, party=context.user.party)
        parsed = await prepare(source, first_manifest(manifest, config), files, fetch)
        startup = given_startup(timeout, wait_for_service, additional_kwargs, stop_after_inactive)
        Startup.of(parsed.manifest, startup)
        chosen = checked_text(worker_id, "worker_id"), checked_text(worker_selection_mode, "mode")
        name = checked_text(version, "version")
        order = Order(parsed, alias, startup, overwrite is True, name, stage is True, *chosen)
        return await self.parts.installing.install(order, place, steps)

    @permission(Level.READ_WRITE, note="read_write on current workspace, and delete on the app's artifact")
    async def uninstall(self, app_id: str, *, context: Context) -> None:
        """Remove an app with all its files, and stop its sessions.

        Args:
            app_id: The app.
        """
        name = self.app(app_id)
        await self.parts.artifacts.read(name, context)
        self.parts.daemons.release(context.workspace, name)
        self.parts.scaler.release(context.workspace, name)
        await self.parts.installing.uninstall(name, context)

    @permission(Level.READ, gives_bytes=LIST_BYTES)
    async def list_apps(self, *, context: Context) -> list[Plain]:
        """List the manifests of the apps of the workspace, up to 1000."""
        found = await self.parts.artifacts.all(context)
        return [{**each["manifest"], "id": each["alias"]} for each in found]

    @permission(Level.READ, gives_bytes=ANSWER_BYTES)
    async def get_app_info(
        self, app_id: str, version: str | None = None, stage: bool = False, *, context: Context
    ) -> Plain:
        """Read an app's artifact: its manifest, settings and versions.

        Of a daemon that is kept running it has `daemon_state`: how often it failed in a row, why, and in how
        many seconds it is started again. Of an app that is scaled `scaling_state`: how many instances it has,
        how many it is to have, their loads, how often one could not be added, and why.

        Args:
            app_id: The app.
            version: The version; the latest if left out.
            stage: Read what is staged of it.
        """
        wanted = checked_text(version, "version")
        name = self.app(app_id)
        found = await self.parts.artifacts.read(name, context, version=wanted, stage=stage is True)
        for key, states in (("daemon_state", self.parts.daemons), ("scaling_state", self.parts.scaler)):
            state = states.state(context.workspace, name)
            if state is not None:
                found[key] = state
        return found


def _check_alone(*others: object) -> None:
    """Refuse what an app is made of where one is copied."""
    if any(each is not None for each in others):
        raise InvalidRequest("artifact_id names an app to copy: leave source, manifest, config, files out.")
