"""Finds the features that are listed, starts them in the order of their needs, and stops them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module

from hypha.errors import ConfigurationError
from hypha.features import FEATURES
from hypha.features.base import Feature

Features = Sequence[type[Feature]]


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
