"""Finds the features that are listed, starts them in the order of their needs, and stops them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypha.errors import ConfigurationError
from hypha.features import FEATURES
from hypha.features.base import Feature, FeatureContext, Objects
from hypha.features.ports import DataPort, EventsPort, ServicesPort, TasksPort
from hypha.workspaces.lifecycle import Workspaces

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from hypha.assembly.core import Core
    from hypha.assembly.endings import Endings
    from hypha.assembly.tenants import Tenants

Features = Sequence[type[Feature]]


@dataclass(frozen=True, slots=True)
class Plugged:
    """The features that were started, and what they gave to the server."""

    features: Sequence[Feature]
    context: FeatureContext

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Routes that are tried before the core's own."""
        return self.context.routes

    @property
    def for_admins(self) -> Mapping[str, Any]:
        """What the server object of startup functions has in addition."""
        found: Mapping[str, Any] = self.context.shared.get("server_object", {})
        return found

    @property
    def notes(self) -> Sequence[str]:
        """Lines for the person who starts the server."""
        found: Sequence[str] = self.context.shared.get("welcome", ())
        return found


async def start_features(
    features: Features, core: Core, tenants: Tenants, server: Any, endings: Endings
) -> Plugged:
    """Start all features in the order given."""
    started: list[Feature] = []
    base = _context(core, tenants, server)
    for make in features:
        feature = make()
        await feature.start(replace(base, _feature=make))
        endings.add(f"the feature {make.name}", feature.stop)
        started.append(feature)
    return Plugged(started, base)


def _context(core: Core, tenants: Tenants, server: Any) -> FeatureContext:
    objects = Objects()
    objects.provide(Workspaces, tenants.workspaces, "core")
    return FeatureContext(
        settings=core.settings,
        server_id=core.server_id,
        base_url=core.base_url,
        services=ServicesPort(core.offering, core.hub),
        data=DataPort(core.store, core.store.usage, tenants.tenancy.quotas, core.folder.secret),
        tasks=TasksPort(core.background),
        events=EventsPort(tenants.workspaces, tenants.members),
        _feature=Feature,
        _objects=objects,
        hub=core.hub,
        registry=core.registry,
        selection=tenants.selection,
        tenancy=tenants.tenancy,
        tokens=core.tokens,
        credentials=tenants.credentials,
        store=core.store,
        offer=core.offering.offer,
        start=core.background.start,
        secret=core.folder.secret,
        add_check=core.health.add_check,
        guard=core.guard,
        members=tenants.members,
        server=server,
        rates=core.rates,
    )


def listed_features(names: Iterable[str] = FEATURES) -> Features:
    """The features of the server, with their tables declared."""
    return [_feature_in(f"hypha.features.{name}.feature") for name in names]


def _feature_in(module: str) -> type[Feature]:
    """The one subclass of `Feature` that a module defines."""
    (found,) = (
        each
        for each in vars(import_module(module)).values()
        if isinstance(each, type) and issubclass(each, Feature) and each.__module__ == module
    )
    return found


def in_order(features: Features) -> list[type[Feature]]:
    """The features as they are to be started: after those that provide what they need or use, else as listed.

    Raises:
        ConfigurationError: two need each other.
    """
    providers = {kind: feature for feature in features for kind in feature.provides}
    placed: list[type[Feature]] = []

    def place(feature: type[Feature], waiting: tuple[type[Feature], ...]) -> None:
        if feature in waiting:
            raise ConfigurationError(f"The features {feature.name} and {waiting[-1].name} need each other.")
        for kind in (*feature.needs, *feature.uses):
            if kind in providers and providers[kind] not in placed:
                place(providers[kind], (*waiting, feature))
        if feature not in placed:
            placed.append(feature)

    for feature in features:
        place(feature, ())
    return placed
