"""What keeps the files of this server: the embedded store, or a bucket of S3."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from hypha.features.storage.credentials import Lender
from hypha.objects.room import Room
from hypha.objects.store import ObjectStore
from hypha.objects.urls import SignedUrls


class Folders(Protocol):
    """Notes beside the folders of workspaces: to whom what lies there belongs."""

    async def noted(self, workspace: str) -> str:
        """The generation that is noted for a folder; empty for none."""

    async def note(self, workspace: str, generation: str) -> None:
        """Note the generation of a folder."""

    async def ended(self, workspace: str) -> None:
        """Forget the note of a folder, if the folder is gone."""

    async def set_aside(self, workspace: str) -> str:
        """Put what lies in a folder where only the operator looks; says where, empty if there is nothing.

        Artifacts stay: whose they are, their records say.
        """


@dataclass(frozen=True, slots=True)
class Backing:
    """A store with what belongs to it.

    Attributes:
        urls: the addresses that people get.
        bucket_url: begins the addresses of all files, as they are shown.
        late_s: for so long addresses of the storage itself outlive the workspace of which they are.
        lender: gives keys of the storage itself, where it can.
    """

    store: ObjectStore
    room: Room
    folders: Folders
    urls: SignedUrls
    bucket_url: str
    close: Callable[[], Awaitable[None]]
    lender: Lender | None = None
    late_s: float = 0.0
