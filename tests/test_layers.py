"""A module imports from its own row and from rows below it, never from above.

The rows are those of ARCHITECTURE.md, "Layers".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "hypha"

ROWS: dict[str, int] = {
    "hypha": 0,
    "hypha.errors": 0,
    "hypha.addresses": 0,
    "hypha.clock": 0,
    "hypha.ids": 0,
    "hypha.options": 0,
    "hypha.settings": 0,
    "hypha.values": 0,
    "hypha.wire": 1,
    "hypha.bus": 2,
    "hypha.store": 2,
    "hypha.presence": 2,
    "hypha.objects": 2,
    "hypha.observe": 2,
    "hypha.datafolder": 2,
    "hypha.hub": 3,
    "hypha.auth": 3,
    "hypha.registry": 4,
    "hypha.workspaces": 4,
    "hypha.web": 4,
    "hypha.features": 5,
    "hypha.gateways": 6,
    "hypha.transports": 6,
    "hypha.server": 7,
    "hypha.startup": 7,
    "hypha.assembly": 7,
    "hypha.cli": 7,
    "hypha.console": 7,
    "hypha.testing": 7,
    "hypha.core": 7,
    "hypha.utils": 7,
    "hypha.__main__": 7,
}
DOORS = ("hypha.core", "hypha.utils")
WORKERS_MAY = ("hypha.workers", "hypha.errors")

MODULES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The entry of the row table that a module belongs to."""
    return ".".join(module.split(".")[:2])


def row_of(module: str) -> int:
    part = part_of(module)
    assert part in ROWS, f"{part} stands in no row: add it to the table here and in ARCHITECTURE.md"
    return ROWS[part]


def imports(tree: ast.AST, *, typing_only: bool = False) -> Iterator[tuple[str, int]]:
    """Imported modules of ours with their line; those for type checkers are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for other in node.orelse:
                yield from imports(other)
        elif isinstance(node, ast.Import):
            yield from ((a.name, node.lineno) for a in node.names if a.name.split(".")[0] == "hypha")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            if (node.module or "").split(".")[0] == "hypha":
                yield from _imported_names(node)
        else:
            yield from imports(node)


def _imported_names(node: ast.ImportFrom) -> Iterator[tuple[str, int]]:
    module = node.module or ""
    for alias in node.names:
        inner = PACKAGE.parent.joinpath(*module.split("."), alias.name)
        is_module = inner.with_suffix(".py").is_file() or inner.is_dir()
        yield (f"{module}.{alias.name}" if is_module else module), node.lineno


def allowed(module: str, imported: str) -> bool:
    if part_of(module) == "hypha.workers":
        return imported.startswith(WORKERS_MAY)
    if imported.startswith(DOORS) and not module.startswith(DOORS):
        return False
    if part_of(module) == part_of(imported) == "hypha.features":
        is_own = module.split(".")[2:3] == imported.split(".")[2:3]
        return is_own or len(imported.split(".")) == 2 or imported == "hypha.features.base"
    if part_of(imported) == "hypha.workers":
        return False
    return row_of(imported) <= row_of(module)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_downwards(path: Path) -> None:
    module = module_name(path)
    wrong = [
        f"line {line}: {module} (row {ROWS.get(part_of(module))}) imports {imported}"
        for imported, line in imports(ast.parse(path.read_text()))
        if not allowed(module, imported)
    ]
    assert not wrong, "\n".join(wrong)


def test_a_wrong_import_is_noticed() -> None:
    assert not allowed("hypha.hub.router", "hypha.registry.index")
    assert not allowed("hypha.features.git.packs", "hypha.features.apps.install")
    assert not allowed("hypha.assembly", "hypha.core.auth")
    assert not allowed("hypha.workers.browser", "hypha.hub.hub")
    assert allowed("hypha.registry.index", "hypha.hub.hub")
    tree = ast.parse("def f():\n    from hypha.server import app\n")
    assert list(imports(tree)) == [("hypha.server", 2)]


def test_the_rows_are_in_the_architecture_page() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    for path in MODULES:
        part = part_of(module_name(path))
        word = part.removeprefix("hypha.")
        assert f"`{word}`" in page or part == "hypha", f"ARCHITECTURE.md does not name `{word}`"
