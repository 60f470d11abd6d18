"""A module imports from its own row and from rows below it, never from above.

The rows are those of ARCHITECTURE.md, "Layers".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "hypha"


def rows(text: str) -> dict[str, int]:
    """Module -> its row in the table of layers."""
    table = text.partition("## Layers")[2].partition("\n## ")[0]
    found = {"hypha": 0}
    for row, names in re.findall(r"^\| (\d) \| (.+) \|$", table, re.MULTILINE):
        found |= {f"hypha.{name}": int(row) for name in re.findall(r"`(\w+)`", names)}
    return found


ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
ROWS = rows(ARCHITECTURE)
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
    assert part in ROWS, f"{part} stands in no row of the table in ARCHITECTURE.md: add it"
    return ROWS[part]


def imports(tree: ast.AST, *, with_typing: bool = False) -> Iterator[tuple[str, int]]:
    """Imported modules of ours with their line; those for type checkers only on demand."""
    for node in ast.iter_child_nodes(tree):
        if not with_typing and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for other in node.orelse:
                yield from imports(other)
        elif isinstance(node, ast.Import):
            yield from ((a.name, node.lineno) for a in node.names if a.name.split(".")[0] == "hypha")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            if (node.module or "").split(".")[0] == "hypha":
                yield from _imported_names(node)
        else:
            yield from imports(node, with_typing=with_typing)


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
        is_folder = PACKAGE.parent.joinpath(*imported.split(".")[:3]).is_dir()
        return is_own or len(imported.split(".")) == 2 or not is_folder
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
    first, second = (path.parent.name for path in sorted(PACKAGE.glob("features/*/feature.py"))[:2])
    assert not allowed(f"hypha.features.{first}.service", f"hypha.features.{second}.service")
    assert allowed(f"hypha.features.{first}.service", "hypha.features.sign_in")
    assert not allowed("hypha.assembly", "hypha.core.auth")
    assert not allowed("hypha.workers.browser", "hypha.hub.hub")
    assert allowed("hypha.registry.index", "hypha.hub.hub")
    tree = ast.parse("def f():\n    from hypha.server import app\n")
    assert list(imports(tree)) == [("hypha.server", 2)]


def test_what_the_architecture_names_is_there() -> None:
    assert len(ROWS) > 20
    modules = {part_of(module_name(path)) for path in MODULES}
    assert set(ROWS) == modules
    named = re.findall(r"`(hypha/[\w/.]+)`", ARCHITECTURE)
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).exists()]
