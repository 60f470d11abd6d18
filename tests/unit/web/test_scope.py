"""The keys of ours in an ASGI scope stand in one module, each with its type and meaning."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import hypha
from hypha.web import scope

PACKAGE = Path(hypha.__file__).parent
KEYS = {name: value for name, value in vars(scope).items() if name.isupper() and name != "OURS"}


def test_every_key_is_ours_and_is_explained() -> None:
    assert len(KEYS) > 10 and all(key.startswith(scope.OURS) for key in KEYS.values())
    assert len(set(KEYS.values())) == len(KEYS)
    text = Path(scope.__file__).read_text()
    entries = re.findall(r'^([A-Z_]+) = ".+"\n"""`[^`]+`', text, re.M)
    assert sorted(entries) == sorted(KEYS)


def keys_written(path: Path) -> list[str]:
    """The texts that a module uses as keys."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Subscript):
            found.append(node.slice)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            found += [node.args[0]] if node.func.attr in ("get", "pop", "setdefault") else []
        elif isinstance(node, ast.Dict):
            found += [key for key in node.keys if key is not None]
        elif isinstance(node, ast.Compare):
            found.append(node.left)
    return [each.value for each in found if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def test_no_other_module_spells_a_key() -> None:
    # labels of containers have such names, too
    elsewhere = Path(scope.__file__), PACKAGE / "workers" / "docker" / "engine.py"
    modules = [path for path in PACKAGE.rglob("*.py") if path not in elsewhere]
    wrong = {str(path): key for path in modules for key in keys_written(path) if key.startswith(scope.OURS)}
    assert len(modules) > 300 and not wrong
