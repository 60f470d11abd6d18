"""Apps as they are kept: artifacts of the type `application` in the collection `applications`.

They are read and written as their caller, by what the artifact manager offers to everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypha.errors import AlreadyExists, AppNotFound, ArtifactNotFound, HyphaError, InvalidRequest

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.features.ports import ServicesPort

Plain = dict[str, Any]

COLLECTION = "applications"
TYPE = "application"
MAX_LISTED = 1000
MAX_READ_BYTES = 10 * 1024 * 1024


class AppArtifacts:
    """The artifacts of apps; `server_id` is the client id of the server's own services."""

    def __init__(self, services: ServicesPort, server_id: str) -> None:
        self._services = services
        self._manager = f"public/{server_id}:artifact-manager"

    async def _call(self, function: str, context: Context, **given: Any) -> Any:
        return await self._services.call(self._manager, function, kwargs=given, context=context)

    async def read(
        self, app_id: str, context: Context, *, version: object = None, stage: bool = False
    ) -> Plain:
        """The artifact of an app of the caller's workspace.

        Raises:
            AppNotFound: there is no such app. PermissionDenied.
        """
        try:
            found: Plain = await self._call(
                "read", context, artifact_id=f"{context.workspace}/{app_id}", version=version, stage=stage,
                silent=True,
            )  # fmt: skip
        except ArtifactNotFound:
            found = {}
        if found.get("type") != TYPE or not isinstance(found.get("manifest"), dict):
            raise AppNotFound(f"App {app_id[:200]} not found in the workspace {context.workspace}.")
        return found

    async def all(self, context: Context) -> list[Plain]:
        """The artifacts of all apps of the caller's workspace that it may see."""
        try:
            found: list[Plain] = await self._call(
                "list", context, parent_id=f"{context.workspace}/{COLLECTION}", filters={"type": TYPE},
                limit=MAX_LISTED, stage="all", silent=True,
            )  # fmt: skip
        except ArtifactNotFound:
            return []
        return found

    async def committed(self, context: Context) -> dict[str, Plain]:
        """The artifacts of the caller's workspace's apps that it may see, as `read` gives them, by app id."""
        try:
            found: list[Plain] = await self._call(
                "list", context, parent_id=f"{context.workspace}/{COLLECTION}", filters={"type": TYPE},
                limit=MAX_LISTED, silent=True,
            )  # fmt: skip
        except ArtifactNotFound:
            return {}
        return {str(each["alias"]): each for each in found}

    async def stage_new(self, app_id: str | None, manifest: Plain, context: Context) -> Plain:
        """A draft of a new app.

        Raises:
            AlreadyExists: there is something of that name. PermissionDenied, QuotaExceeded.
        """
        await self.ensure_collection(context)
        made: Plain = await self._call(
            "create", context, alias=app_id, parent_id=f"{context.workspace}/{COLLECTION}", type=TYPE,
            manifest=manifest, stage=True,
        )  # fmt: skip
        return made

    async def ensure_collection(self, context: Context) -> str:
        """Make the collection of the workspace's apps unless it is there; its id."""
        collection = f"{context.workspace}/{COLLECTION}"
        try:
            await self._call("read", context, artifact_id=collection, silent=True)
            return collection
        except ArtifactNotFound:
            pass
        manifest = {"name": "Applications", "description": "The apps of this workspace"}
        config = {"permissions": {"*": "r"}} if context.workspace == "public" else {}
        try:
            await self._call(
                "create", context, artifact_id=collection, type="collection", manifest=manifest, config=config
            )
        except AlreadyExists:
            pass  # by another caller, meanwhile
        return collection

    async def restage(self, app_id: str, manifest: Plain, context: Context) -> None:
        """Begin a new version of an app, without files; readers see it once it is committed."""
        artifact_id = f"{context.workspace}/{app_id}"
        await self._call(
            "edit", context, artifact_id=artifact_id, manifest=manifest, version="new", stage=True
        )

    async def change_staged(self, app_id: str, manifest: Plain, context: Context) -> None:
        """Set the manifest of what is staged."""
        artifact_id = f"{context.workspace}/{app_id}"
        await self._call("edit", context, artifact_id=artifact_id, manifest=manifest, stage=True)

    async def write(self, app_id: str, path: str, content: bytes, context: Context) -> None:
        """Write a file into what is staged."""
        artifact_id = f"{context.workspace}/{app_id}"
        await self._call(
            "write_file", context, artifact_id=artifact_id, file_path=path, content=content, format="binary"
        )

    async def files(self, app_id: str, context: Context, *, stage: bool) -> list[Plain]:
        """The files of an app, in all its folders' first row."""
        artifact_id = f"{context.workspace}/{app_id}"
        found: list[Plain] = await self._call("list_files", context, artifact_id=artifact_id, stage=stage)
        return found

    async def read_file(
        self, app_id: str, path: str, form: str, context: Context, *, version: object, stage: bool
    ) -> Any:
        """The content of a file, in a format of the artifact manager.

        Raises:
            NotFound: there is none. InvalidRequest: it is not of that format, or too large.
        """
        found = await self._call(
            "read_file", context, artifact_id=f"{context.workspace}/{app_id}", file_path=path, format=form,
            version=version, stage=stage, limit=MAX_READ_BYTES,
        )  # fmt: skip
        return found["content"]

    async def remove_file(self, app_id: str, path: str, context: Context) -> None:
        """Let what is staged not have a file."""
        artifact_id = f"{context.workspace}/{app_id}"
        await self._call("remove_file", context, artifact_id=artifact_id, file_path=path)

    async def copy(
        self,
        source: str,
        collection: str,
        alias: str | None,
        context: Context,
        *,
        overwrite: bool,
        keep_secrets: bool = False,
        stage: bool = False,
    ) -> Plain:
        """Copy an app into a collection, without what only concerns where it came from."""
        made: Plain = await self._call(
            "duplicate", context, source_artifact_id=source, target_alias=alias, target_parent_id=collection,
            overwrite=overwrite, stage=True,
        )  # fmt: skip
        if made["type"] != TYPE:
            await self._call("delete", context, artifact_id=made["id"])
            raise InvalidRequest(f"{source[:300]} is no app.")
        manifest, config = dict(made["manifest"]), dict(made["config"])
        for key in ("startup_context", "services", "service_ids"):
            manifest.pop(key, None)
        given: Plain = {"manifest": {**manifest, "id": made["alias"]}}
        if not keep_secrets:
            own = manifest.get("config")
            if isinstance(own, dict):
                given["manifest"]["config"] = {key: own[key] for key in own if key != "secrets"}
            if "secrets" in config:
                given["config"] = {key: config[key] for key in config if key != "secrets"}
        try:
            made = await self._call("edit", context, artifact_id=made["id"], stage=True, **given)
            return made if stage else await self._call("commit", context, artifact_id=made["id"])
        except HyphaError:
            await self._call("delete", context, artifact_id=made["id"])
            raise

    async def commit(self, app_id: str, version: str | None, context: Context) -> Plain:
        """Let readers see what is staged."""
        artifact_id = f"{context.workspace}/{app_id}"
        done: Plain = await self._call("commit", context, artifact_id=artifact_id, version=version)
        return done

    async def discard(self, app_id: str, context: Context) -> None:
        """Forget what is staged."""
        await self._call("discard", context, artifact_id=f"{context.workspace}/{app_id}")

    async def delete(self, app_id: str, context: Context) -> None:
        """Remove an app with all its files."""
        artifact_id = f"{context.workspace}/{app_id}"
        await self._call("delete", context, artifact_id=artifact_id, delete_files=True)
