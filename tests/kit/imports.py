"""What modules import, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


PACKAGE = ROOT / "hypha"


MODULES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The entry of the row table that a module belongs to."""
    return ".".join(module.split(".")[:2])


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
