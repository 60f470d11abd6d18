"""The features of the server: each is the folder of its name here, and can be removed with its line below."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

FEATURES: tuple[str, ...] = (
    "login",
    "accounts",
    "admin",
    "queues",
    "storage",
    "triton",
    "oidc",
)


def modules_of(kind: str) -> Iterator[Any]:
    """The modules of a kind, such as `options`, of all features that have one; nothing else is imported."""
    for name in FEATURES:
        module = f"{__name__}.{name}.{kind}"
        if find_spec(module) is not None:
            yield import_module(module)
