"""The page that is made of an app's script."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from hypha.workers.browser.compiling import compiled


def made(script: str = "1", **manifest: Any) -> tuple[dict[str, Any], dict[str, str]]:
    manifest = {"name": "A", "type": "window", "entry_point": "main.js", **manifest}
    found, files = compiled(manifest, [{"name": "main.js", "content": script, "format": "text"}])
    return found, {file["name"]: file["content"] for file in files}


def facts(page: str) -> Any:
    found = re.search(r'id="hypha-app">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.spec("apps-12.2.2")
def test_the_script_stays_and_the_page_is_opened() -> None:
    manifest, files = made("api.export({})")
    assert manifest["entry_point"] == "index.html"
    assert files["main.js"] == files["source"] == facts(files["index.html"])["script"] == "api.export({})"


def test_no_text_of_an_app_ends_its_element_or_takes_the_place_of_another() -> None:
    script = "const a = '</script><!-- {{script}} {{app}} {{title}}';"
    _, files = made(script, name="</title><script>x", description="</script>")
    page = files["index.html"]
    assert facts(page)["script"] == script
    assert page.count("</script>") == 2 and "<script>x" not in page


@pytest.mark.parametrize("type", ["window", "iframe", "web-worker"])
def test_each_type_has_a_page_of_its_own_facts(type: str) -> None:
    manifest, files = made(type=type, version="1.2.0", requirements=["a.js"], secret="not for the page")
    found = facts(files["index.html"])
    assert (found["name"], found["type"], found["version"]) == ("A", type, "1.2.0")
    assert found["requirements"] == ["a.js"] and "secret" not in found
    assert manifest["type"] == type


def test_python_runs_in_a_worker_of_its_page_and_knows_its_files() -> None:
    _, files = made(type="web-python", requirements=["munch"], required_artifact_files=["data/a.csv"])
    found = facts(files["index.html"])
    assert (found["requirements"], found["required_artifact_files"]) == (["munch"], ["data/a.csv"])
    assert "loadPyodide" in files["index.html"] and files["index.html"].count("</script>") == 2


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({"type": "window", "required_artifact_files": ["a"]}, "are for web-python, not for window"),
        ({"type": "web-python", "required_artifact_files": ["../a"]}, "the app's own files"),
        ({"type": "web-python", "requirements": "munch"}, "requirements is a list of texts"),
        ({"type": "web-python", "requirements": [1]}, "requirements is a list of texts"),
    ],
)
def test_what_cannot_be_required_is_refused(manifest: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(**manifest)


def test_hypha_becomes_window() -> None:
    assert made(type="hypha")[0]["type"] == "window"


def test_a_page_that_the_app_brings_stays_as_it_is() -> None:
    given = [{"name": "index.html", "content": "<!doctype html>", "format": "text"}]
    manifest, files = compiled({"type": "window", "entry_point": "index.html"}, given)
    assert (manifest["entry_point"], files) == ("index.html", given)


def test_an_address_stays_as_it_is() -> None:
    manifest, files = compiled({"type": "web-app", "entry_point": "https://a.org/x"}, [])
    assert (manifest["entry_point"], files) == ("https://a.org/x", [])


def test_without_a_script_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no script"):
        compiled({"type": "window"}, [{"name": "a.txt", "content": "x"}])
