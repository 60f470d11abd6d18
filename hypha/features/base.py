"""How a feature plugs in: what it declares, what it is given, and how features find each other.

A feature is a folder here and a line in `hypha/features/__init__.py`. Its `feature.py` holds one subclass of
`Feature`. It works through the five ports of its context, and with objects that it asks for by class: parts
of the core, and what other features provide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from hypha.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from hypha.features.ports import DataPort, EventsPort, HttpPort, ServicesPort, TasksPort
    from hypha.findings import Findings
    from hypha.objects.store import ObjectStore
    from hypha.settings import Settings

T = TypeVar("T")


class Objects:
    """What can be asked for by class: one object of each, with who provided it."""

    def __init__(self) -> None:
        self._found: dict[type, tuple[str, object]] = {}

    def provide(self, kind: type[T], found: T, provider: str) -> None:
        """Let others ask for an object by a class, which may be a protocol.

        Raises:
            ConfigurationError: another feature provides one.
        """
        if kind in self._found:
            first, _ = self._found[kind]
            raise ConfigurationError(f"The features {first} and {provider} both provide {kind.__name__}.")
        self._found[kind] = provider, found

    def find(self, kind: type[T]) -> T | None:
        """The object of a class, None if nobody provides one."""
        _, found = self._found.get(kind, ("", None))
        return found  # type: ignore[return-value]  # as it was given to `provide`


@dataclass(frozen=True, slots=True)
class PromptNames:
    """What a prompt inside the server knows by name; only the administrator's terminal asks for it."""

    bound: Callable[[], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class FeatureContext:
    """What a feature is given: the five ports, the settings, and objects by class.

    `server_id` is the client id of the server's own services, `base_url` where people find the server.
    """

    settings: Settings
    server_id: str
    base_url: str
    services: ServicesPort
    http: HttpPort
    data: DataPort
    tasks: TasksPort
    events: EventsPort
    _feature: type[Feature]
    _objects: Objects
    _notes: list[str]

    def tell_operator(self, *lines: str) -> None:
        """Show lines to whoever starts the server, when it is ready."""
        self._notes.extend(lines)

    def provide(self, kind: type[T], found: T) -> None:
        """Give other features an object, by one of the classes in `Feature.provides`."""
        if kind not in self._feature.provides:
            raise TypeError(f"{self._feature.__name__}.provides lacks {kind.__name__}.")
        self._objects.provide(kind, found, self._feature.name)

    def get(self, kind: type[T]) -> T:
        """The object of a class in `Feature.needs`.

        Raises:
            ConfigurationError: nobody provides one.
        """
        if kind not in self._feature.needs:
            raise TypeError(f"{self._feature.__name__}.needs lacks {kind.__name__}.")
        found = self._objects.find(kind)
        if found is None:
            raise ConfigurationError(
                f"The feature {self._feature.name} needs {kind.__name__}, which no other provides: take its "
                "line out of hypha/features/__init__.py, or put in one that does."
            )
        return found

    def find(self, kind: type[T]) -> T | None:
        """The object of a class in `Feature.uses`, None if nobody provides one."""
        if kind not in self._feature.uses:
            raise TypeError(f"{self._feature.__name__}.uses lacks {kind.__name__}.")
        return self._objects.find(kind)


class Feature:
    """A part that can be removed by deleting its folder and its line in `hypha/features/__init__.py`.

    It is started after all features that provide what it needs or uses, and stopped before them.
    """

    name: ClassVar[str]
    """The name of its folder."""
    needs: ClassVar[tuple[type, ...]] = ()
    """Classes of the objects without which it does not work."""
    uses: ClassVar[tuple[type, ...]] = ()
    """Classes of objects that it uses where somebody provides them."""
    provides: ClassVar[tuple[type, ...]] = ()
    """Classes by which others can ask for what it gives to them."""
    words: ClassVar[tuple[str, ...]] = ()
    """First words of its routes: no folder is mounted there, even while the feature is not in use."""

    async def start(self, context: FeatureContext) -> None:
        """Make and offer the feature's services and routes, before the server becomes ready."""

    async def wind_down(self) -> None:
        """End what works with clients: the server stops, their links still stand. It may be broken off."""

    async def stop(self) -> None:
        """Flush and close what the feature opened."""

    @classmethod
    def examine(cls, settings: Settings) -> Findings:
        """What `doctor` says of its options: what is risky on the internet, what would not start."""
        return iter(())

    @classmethod
    def makes_administrators(cls, settings: Settings) -> bool:
        """Whether people become administrators by what is configured; for `doctor`."""
        return False

    @classmethod
    def has_administrator(cls, database: Connection) -> bool:
        """Whether a database knows an administrator; it may be of an older server, without our tables.

        Raises:
            SQLAlchemyError: it lacks them.
        """
        return False

    @classmethod
    async def open_objects(
        cls, settings: Settings, folder: Path | None, *, looks_on: bool
    ) -> ObjectStore | None:
        """The store in which a server with these settings keeps files, None if this feature keeps none.

        For backups; whoever asks closes it.

        Args:
            folder: the data folder.
            looks_on: nothing is changed there, and a server may be using it meanwhile.

        Raises:
            ConfigurationError: it cannot be used.
        """
        return None

    @classmethod
    def needed_objects(cls, database: Connection) -> Iterator[tuple[str, str]]:
        """Key and sha-256 of each object that the records of this feature say is there; for backups."""
        return iter(())
