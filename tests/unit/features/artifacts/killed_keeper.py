"""A process that changes an artifact until it is killed; a journal says what it tried and what was done."""

from __future__ import annotations

import asyncio
import json
import os
import random
from pathlib import Path
from typing import Any

from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.file_records import Staged
from hypha.store import Store
from tests.unit.features.artifacts.lab import Lab

ALIAS = "data"
Content = dict[str, str]


def database(folder: Path) -> str:
    """The URI of the database in a folder."""
    return f"sqlite:///{folder}/x.db"


def keep(folder: str, seed: int) -> None:
    """Change the artifact in a folder for ever."""
    asyncio.run(_keep(Path(folder), random.Random(seed)))


async def _keep(folder: Path, dice: random.Random) -> None:
    journal = os.open(folder / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(word: str, state: Content | None) -> None:
        os.write(journal, json.dumps([word, state]).encode() + b"\n")

    async with Store(database(folder)) as store, Lab.opened(store, folder) as lab:
        keeper = Keeper(lab, dice, note)
        note("done", None)
        while True:
            await keeper.step()


class Keeper:
    """One artifact and its files as they are after each step; None while there is none."""

    def __init__(self, lab: Lab, dice: random.Random, note: Any) -> None:
        self._lab, self._dice, self.note = lab, dice, note
        self._number = 0
        self.files: Content | None = None

    async def step(self) -> None:
        """Commit, discard or delete."""
        self._number += 1
        match self._dice.choice(["commit", "commit", "commit", "new", "discard", "delete"]):
            case "delete" if self.files is not None:
                await self._to(None, self._lab.manager.delete(ALIAS, context=self._lab.owner))
            case "discard" if self.files is not None:
                await self._stage({}, None)
                await self._lab.manager.discard(ALIAS, context=self._lab.owner)
            case word:
                await self.commit(is_new=word == "new")

    async def commit(self, *, is_new: bool) -> None:
        """Change some files, remove one of before, and commit."""
        kept = dict(self.files or {}) if not is_new else {}
        gone = next((path for path in kept if path.startswith("only")), None)
        changed = await self._stage(kept, gone)
        after = {path: text for path, text in {**kept, **changed}.items() if path != gone}
        await self._to(after, self._lab.manager.commit(ALIAS, context=self._lab.owner))

    async def _to(self, state: Content | None, work: Any) -> None:
        self.note("try", state)
        await work
        self.note("done", state)
        self.files = state

    async def _stage(self, kept: Content, gone: str | None) -> Content:
        manager, owner = self._lab.manager, self._lab.owner
        if self.files is None:
            await self._lab.create(ALIAS, stage=True)
        else:
            is_new = {} if kept or not self.files else {"version": "new"}
            await manager.edit(ALIAS, stage=True, context=owner, **is_new)
        artifact = await self._lab.parts.access.find(ALIAS, owner)
        if gone is not None:
            await manager.remove_file(ALIAS, gone, context=owner)
        changed = {path: f"{path} {self._number}" for path in ("a.txt", "b/c.txt", f"only-{self._number}")}
        for path, text in changed.items():
            await manager.put_file(ALIAS, path, context=owner)
            await self._lab.objects.put(artifact.stage_key(path), text.encode())
        changed["parts.bin"] = await self._in_parts(artifact)
        return changed

    async def _in_parts(self, artifact: Artifact) -> str:
        objects, key = self._lab.objects, artifact.stage_key("parts.bin")
        await self._lab.manager.staging.announce(artifact, [Staged("parts.bin")])
        upload = await objects.begin(key)
        parts = [(n, await objects.put_part(key, upload, n, b"%d %d;" % (self._number, n))) for n in (1, 2)]
        await objects.complete(key, upload, parts)
        return "".join(f"{self._number} {n};" for n in (1, 2))


def allowed(folder: Path) -> list[Content | None]:
    """The states that a reader may find after the process was killed."""
    states: list[Content | None] = []
    for line in (folder / "journal").read_text().splitlines():
        try:
            word, state = json.loads(line)
        except ValueError:  # it was killed while it wrote
            break
        states = [state] if word == "done" else [*states, state]
    return states


def lines(folder: Path) -> int:
    """How much the process has written into its journal."""
    journal = folder / "journal"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0
