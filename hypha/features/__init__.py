"""The features of the server: each is the folder of its name here, and can be removed with its line below."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

FEATURES: tuple[str, ...] = (
    "login",
    "accounts",
    "admin",
    "queues",
    "storage",
    "artifacts",
    "apps",
    "pyodide",
    "triton",
    "oidc",
)


def modules_of(kind: str) -> Iterator[str]:
    """The names of the modules of a kind, such as `options`, of all features that have one."""
    for name in FEATURES:
        module = f"{__name__}.{name}.{kind}"
        if find_spec(module) is not None:
            yield module
