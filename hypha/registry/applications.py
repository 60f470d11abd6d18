"""Applications: services that share an app id, and what the manifest behind it says of them.

Who keeps manifests says so by `Applications.ask`; without anybody no app id is known, and each is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from hypha.errors import AppNotFound, ConfigurationError

ANY_APP = "*"
"""The app id of a service that belongs to none."""
MAX_DECLARED = 256
"""Services of a manifest that count."""
MAX_PART_CHARS = 256
MODE_OF_SCALED = "random"
"""How one of several instances is chosen of an application that is scaled."""


@dataclass(frozen=True, slots=True)
class Application:
    """What a manifest says of services: how one of several is chosen, and the types of those it declares.

    `mode` is empty where it says nothing; so is the type of a service.
    """

    mode: str = ""
    declared: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, manifest: object) -> Application:
        """Read `service_selection_mode` and `services`; what is malformed counts as not said."""
        if not isinstance(manifest, Mapping):
            return cls()
        services = manifest.get("services")
        listed = services[:MAX_DECLARED] if isinstance(services, list) else []
        declared = (_declared(each) for each in listed if isinstance(each, Mapping))
        mode = _text(manifest.get("service_selection_mode")) or (
            MODE_OF_SCALED if _is_scaled(manifest) else ""
        )
        return cls(mode, tuple(each for each in declared if each[0]))

    def declares(self, name: str) -> bool:
        """Whether it has a service of that name."""
        return any(name == each for each, _ in self.declared)

    def own_type(self, name: str) -> str:
        """The type of the service of that name, if no other one has it; else empty."""
        counts = Counter(kind for _, kind in self.declared)
        return next((kind for each, kind in self.declared if each == name and counts[kind] == 1), "")


def _declared(service: Mapping[Any, Any]) -> tuple[str, str]:
    return _text(service.get("id")).rpartition(":")[2], _text(service.get("type"))


def _is_scaled(manifest: Mapping[Any, Any]) -> bool:
    scaling = manifest.get("autoscaling")
    return isinstance(scaling, Mapping) and scaling.get("enabled") is True


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= MAX_PART_CHARS else ""


class ApplicationSource(Protocol):
    """Keeps manifests of applications."""

    def has_any(self, workspace: str) -> bool:
        """Whether a workspace may have applications; False only where it has none. It answers at once."""

    async def find(self, workspace: str, app_id: str) -> Application | None:
        """The application of an app id, None if there is none."""


class Applications:
    """What is known of applications."""

    def __init__(self) -> None:
        self._source: ApplicationSource | None = None
        self._tried: Counter[tuple[str, str]] = Counter()
        """Drafts that are being tried, by workspace and app id."""
        self._programs: dict[tuple[str, str], str] = {}
        """App ids by workspace and client id."""
        self._retired: set[tuple[str, str]] = set()
        """Of these, those that are about to stop."""

    def note_program(self, workspace: str, client_id: str, app_id: str) -> None:
        """A client is a program of an application: so are its services that say nothing else."""
        self._programs[workspace, client_id] = app_id

    def forget_program(self, workspace: str, client_id: str) -> None:
        """It is one no more."""
        self._programs.pop((workspace, client_id), None)
        self._retired.discard((workspace, client_id))

    def retire_program(self, workspace: str, client_id: str) -> None:
        """It is about to stop: look-ups choose others, where there are some."""
        if (workspace, client_id) in self._programs:
            self._retired.add((workspace, client_id))

    def is_retired(self, workspace: str, client_id: str) -> bool:
        """Whether a program is about to stop."""
        return (workspace, client_id) in self._retired

    def of_program(self, workspace: str, client_id: str) -> str | None:
        """The app id of a program that the server has started."""
        return self._programs.get((workspace, client_id))

    @contextmanager
    def trying(self, workspace: str, app_id: str) -> Iterator[None]:
        """Take the app id of a draft meanwhile, as that of an application."""
        self._tried[workspace, app_id] += 1
        try:
            yield
        finally:
            self._tried[workspace, app_id] -= 1
            if not self._tried[workspace, app_id]:
                del self._tried[workspace, app_id]

    def ask(self, source: ApplicationSource) -> None:
        """Look for manifests there.

        Raises:
            ConfigurationError: somebody else keeps them.
        """
        if self._source is not None:
            raise ConfigurationError("Two features keep the manifests of applications: take one out.")
        self._source = source

    def has_any(self, workspace: str) -> bool:
        """Whether a workspace may have applications."""
        return self._source is not None and self._source.has_any(workspace)

    async def find(self, workspace: str, app_id: str) -> Application | None:
        """The application of an app id, None if there is none."""
        if self._source is None or app_id == ANY_APP:
            return None
        return await self._source.find(workspace, app_id)

    async def check(self, workspace: str, app_id: str) -> None:
        """Refuse an app id that belongs to no application.

        Raises:
            AppNotFound.
        """
        if self._source is None or app_id == ANY_APP or (workspace, app_id) in self._tried:
            return
        if await self._source.find(workspace, app_id) is None:
            raise AppNotFound(
                f"Application id '{app_id}' not found in the workspace {workspace}: no committed artifact of "
                "the type 'application' has this alias. Create it first, or correct the service's app_id."
            )
