"""Apps to begin with are sources that an install takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypha.console.routes import TEMPLATES_FOLDER
from hypha.features.apps.manifests import check_installable, first_manifest, validate_app_manifest
from hypha.features.apps.sources import read_source


@pytest.mark.parametrize("path", sorted(TEMPLATES_FOLDER.iterdir()), ids=lambda path: path.name)
def test_a_template_is_installable(path: Path) -> None:
    made = read_source(first_manifest(None), [], path.read_text("utf-8"))
    check_installable(made.manifest, has_source=True)
    found = validate_app_manifest(made.manifest)
    assert (found["valid"], found["suggestions"]) == (True, [])
    scripts = [file["path"] for file in made.files]
    assert made.manifest.get("entry_point") in {None, *scripts, "https://example.org/"}
