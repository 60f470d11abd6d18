"""A module imports from its own row and from rows below it, never from above.

The rows are those of ARCHITECTURE.md, "Layers".
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.kit.imports import MODULES, PACKAGE, ROOT, imports, module_name, part_of


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


def row_of(module: str) -> int:
    part = part_of(module)
    assert part in ROWS, f"{part} stands in no row of the table in ARCHITECTURE.md: add it"
    return ROWS[part]


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


def test_no_file_imports_tests() -> None:
    """What tests share is in `tests/kit/`, or beside them in a module that holds no tests."""
    imported = re.compile(
        r"^\s*(?:from tests[\w.]*\.(?:test_\w+|conftest) import|from tests[\w.]* import test_)", re.M
    )
    paths = [path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts]
    assert not [str(path.relative_to(ROOT)) for path in paths if imported.search(path.read_text())]
