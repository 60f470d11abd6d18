"""One attack for each row of docs/limits.md: what the table says happens, happens."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio

from hypha.bounds import BOUNDS, Bound, Numbers
from hypha.features import FEATURES
from hypha.settings.limits import Limits
from hypha.settings.quotas import Quotas
from hypha.testing import ServerProcess
from tests.faults.bounds import (
    attacks_on_connections,
    attacks_on_messages,
    attacks_on_people,
    attacks_on_requests,
    attacks_on_stores,
    features,
)
from tests.faults.bounds.internal import INTERNAL, UNBOUNDED_OPTIONS
from tests.faults.bounds.kit import SMALL, Kit, opened

PACKAGE = Path(__file__).resolve().parents[3] / "hypha"
OF_FEATURES = [
    import_module(name)
    for name in (f"{features.__name__}.{feature}" for feature in FEATURES)
    if find_spec(name) is not None
]
MODULES: tuple[ModuleType, ...] = (
    attacks_on_connections,
    attacks_on_messages,
    attacks_on_people,
    attacks_on_requests,
    attacks_on_stores,
    *OF_FEATURES,
)
WORDS = {"MAX", "MOST", "KEPT", "LIMIT", "TRACKED"}
"""A constant whose name has one of these words bounds something."""
BOUNDING = re.compile(r"(?:^|_)(?:max|limit|per|attempts)(?:_|$)")
"""An option of such a name does."""

Attack = Callable[[Kit], Awaitable[None]]


def attack_on(bound: Bound) -> Attack | None:
    """The function that attacks it, which is called as it is."""
    found = [vars(module)[bound.name] for module in MODULES if bound.name in vars(module)]
    return found[0] if found else None


@pytest.fixture(scope="module")
def small_server() -> Iterator[ServerProcess]:
    """A server whose bounds are soon reached."""
    running = ServerProcess(env=SMALL)
    try:
        yield running.start()
    finally:
        running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def kit(
    small_server: ServerProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Kit]:
    """Tools of one attack."""
    async with opened(Kit(small_server, monkeypatch, tmp_path)) as made:
        yield made


@pytest.mark.spec("faults-F14", "wire-16.13")
@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
async def test_an_attack_ends_at_the_bound(bound: Bound, kit: Kit) -> None:
    attack = attack_on(bound)
    assert attack is not None, f"tests/faults/bounds/ has no attack of the name {bound.name}"
    await attack(kit)
    assert kit.server.is_running


def constants() -> Iterator[str]:
    """The paths of all constants of the server that bound something."""
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[1] in ("testing", "cli"):
            continue
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            for name in (each.id for each in targets if isinstance(each, ast.Name)):
                if name.isupper() and WORDS & set(name.split("_")):
                    yield ".".join((*parts, name))


def test_every_bound_is_in_the_table_or_is_said_to_be_internal() -> None:
    listed = {name for bound in BOUNDS for name in bound.at}
    there, internal = set(constants()), dict(INTERNAL)
    for module in OF_FEATURES:
        internal |= vars(module).get("INTERNAL", {})
    assert not there - listed - internal.keys(), "add a row in hypha/bounds/, or say why there is none"
    assert not internal.keys() - there, "not there any more"
    assert all(internal.values())


def test_every_option_that_bounds_something_is_in_the_table() -> None:
    listed = {name for bound in BOUNDS for name in bound.options}
    groups = {*Limits.__annotations__, *Quotas.__annotations__}
    bounding = {
        name
        for name, option in Numbers().options.items()
        if not option.feature and (name in groups or BOUNDING.search(name))
    }
    assert bounding - listed == UNBOUNDED_OPTIONS.keys()


def test_the_table_names_numbers_that_are_there() -> None:
    names = [bound.name for bound in BOUNDS]
    assert len(names) == len(set(names))
    numbers = Numbers()
    for bound in BOUNDS:
        assert bound.at and all(numbers.shown(name) for name in bound.at), bound.name
