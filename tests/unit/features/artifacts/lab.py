"""The artifact manager over a database and a folder of its own, with a clock that tests set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User
from hypha.errors import WorkspaceNotFound
from hypha.features.artifacts import file_records
from hypha.features.artifacts.access import Access
from hypha.features.artifacts.applications import ApplicationManifests
from hypha.features.artifacts.creating import Creating
from hypha.features.artifacts.file_records import Files
from hypha.features.artifacts.garbage import Garbage
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.records import Artifacts
from hypha.features.artifacts.secrets import Secrets
from hypha.features.artifacts.service import ArtifactManager
from hypha.objects.local import LocalObjects
from hypha.objects.local.urls import LocalUrls
from hypha.store import Store
from hypha.store.records import WorkspaceRecord
from hypha.store.sealing import Seal
from hypha.store.usage import Allowance, Quota

BUCKET = "test-bucket"


class People:
    """The workspaces of a lab: `lab` lasts, and people have the levels that the test gives them."""

    def __init__(self) -> None:
        self.levels: dict[tuple[str, str], Level] = {}
        self.records = {
            "lab": WorkspaceRecord("lab", "lab", persistent=True),
            "other": WorkspaceRecord("other", "other", persistent=True),
            "passing": WorkspaceRecord("passing", "passing"),
            "closed": WorkspaceRecord("closed", "closed", persistent=True, read_only=True),
        }
        self.quota = Quota(1000, 10**9, "artifacts", "")
        self.file_quota = Quota(1000, 10**9, "files of artifacts", "")

    async def level_in(self, user: User, workspace: str) -> Level:
        return self.levels.get((user.id, workspace), Level.NONE)

    async def require(self, workspace: str) -> WorkspaceRecord:
        if workspace not in self.records:
            raise WorkspaceNotFound(f"Workspace ({workspace}) not found")
        return self.records[workspace]

    @asynccontextmanager
    async def changing(self, workspace: str, user: User) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(record=await self.require(workspace))

    def allowance(self, record: WorkspaceRecord, kind: str) -> Allowance:
        return Allowance(self.file_quota if kind == file_records.KIND else self.quota, 0, 0)


class Lab:
    """A manager, what it stands on, and shortcuts of one person, the owner of `lab`."""

    def __init__(self, store: Store, objects: LocalObjects) -> None:
        self.now = 1_700_000_000.0
        self.store, self.objects, self.people = store, objects, People()
        workspaces: Any = self.people
        artifacts = Artifacts(store)
        seal = Seal("secret")
        self.garbage = Garbage(store, objects, lambda: self.now)
        self.parts = Parts(
            Access(artifacts, workspaces), artifacts, Files(store), store, store.usage, objects,
            LocalUrls(BUCKET, "secret", "http://server"), seal, self.garbage, ApplicationManifests(store),
            clock=lambda: self.now,
        )  # fmt: skip
        self.secrets = Secrets(store, store.usage, seal)
        creating = Creating(self.parts, workspaces, self.secrets)
        self.manager = ArtifactManager(self.parts, creating, self.secrets)
        self.owner = self.caller("alice", level=Level.ADMIN)

    @classmethod
    @asynccontextmanager
    async def opened(cls, store: Store, folder: Path) -> AsyncIterator[Lab]:
        """A lab whose objects lie in a folder."""
        objects = await LocalObjects.open_at(folder / "objects", BUCKET)
        try:
            yield cls(store, objects)
        finally:
            await objects.close()

    def caller(self, name: str, workspace: str = "lab", level: Level = Level.NONE, **fields: Any) -> Context:
        """A person with a level in `lab`, who is in a workspace."""
        self.people.levels[name, "lab"] = level
        return Context(User(name, scope=Scope({}, None), **fields), workspace, "client")

    async def create(self, alias: str, manifest: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """An artifact of the owner's."""
        context = more.pop("context", self.owner)
        self.now += 0.001  # ids sort by it
        return await self.manager.create(
            alias, manifest=dict(manifest or {"name": alias}), context=context, **more
        )

    async def upload(self, alias: str, **files: str) -> None:
        """Upload files of a staged artifact; `_` stands for a dot in their names."""
        artifact = await self.parts.access.find(alias, self.owner)
        for name, content in files.items():
            path = name.replace("__", "/").replace("_", ".")
            await self.manager.put_file(alias, path, context=self.owner)
            await self.objects.put(artifact.stage_key(path), content.encode())

    async def filled(self, alias: str, **files: str) -> Any:
        """A committed artifact with files."""
        await self.create(alias, stage=True)
        await self.upload(alias, **files)
        return await self.manager.commit(alias, context=self.owner)

    async def content(self, alias: str, path: str, **how: Any) -> str:
        """What a file holds."""
        found = await self.manager.read_file(alias, path, context=self.owner, **how)
        return str(found["content"])

    async def names(self, alias: str, folder: str | None = None, **how: Any) -> list[str]:
        """What a list of files holds."""
        return [
            entry["name"] for entry in await self.manager.list_files(alias, folder, context=self.owner, **how)
        ]

    async def used(self) -> dict[str, tuple[int, int]]:
        """What the workspace is said to keep."""
        return await self.store.usage.of("lab")

    async def on_disk(self) -> list[str]:
        """The keys of all objects, after what is garbage was deleted."""
        await self.garbage.sweep()
        return [info.key for info in (await self.objects.list()).objects]
