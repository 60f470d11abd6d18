"""What code, tests and pages cite is in this repository, down to the section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, SPEC, anchors, prose

OF_OTHERS = "code-editor.js"
"""A library, in which `a.md` is a piece of code."""
FOLDERS = ("hypha", "tests", "docs", "tools")
CITATION = re.compile(r"\bdocs/[\w./-]+\.md(?:#[\w-]+)?")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)")
PAGE = re.compile(r"(?<![\w./-])[\w./-]*\w\.md\b")
ELSEWHERE = re.compile(
    r"core-api|wire-protocol(?!\.md)|\bDESIGN\b|style-anchors|\bfaults F\d|spec: resuming|"
    r"(?:resume|stack|house|apps-and-workers)\.md"
)
"""Papers that those who wrote the server had beside it, and nobody else has."""

READS_THEM = ROOT / "tools" / "spec_report.py"
"""It prints which items of those papers have a test, where they are at hand."""


def files(*folders: str) -> Iterator[Path]:
    """Source and pages of some folders."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.name == OF_OTHERS or "node_modules" in path.parts:
                continue
            if path.suffix in (".py", ".md", ".js", ".mjs"):
                yield path


PAGES = [*sorted(ROOT.glob("*.md")), *(path for path in files(*FOLDERS) if path.suffix == ".md")]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def problem(page: Path, anchor: str | None) -> str | None:
    """Why a page or section cannot be found."""
    if not page.exists():
        return f"there is no {page.relative_to(ROOT)}"
    if anchor and page.suffix == ".md" and anchor not in anchors(page.read_text()):
        return f"{page.relative_to(ROOT)} has no section #{anchor}"
    return None


@pytest.mark.parametrize("folder", FOLDERS)
def test_cited_sections_are_there(folder: str) -> None:
    wrong = []
    for path in files(folder):
        for cited in CITATION.findall(path.read_text()):
            page, _, anchor = cited.partition("#")
            if why := problem(ROOT / page, anchor):
                wrong.append(f"{name_of(path)} cites {cited}: {why}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_pages_lead_somewhere(page: Path) -> None:
    wrong = []
    for target, anchor in LINK.findall(prose(page.read_text())):
        if "://" not in target and (why := problem((page.parent / target) if target else page, anchor)):
            wrong.append(why)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", sorted(SPEC.glob("*.md")), ids=name_of)
def test_sections_have_short_names_of_their_own(page: Path) -> None:
    found = anchors(page.read_text())
    assert len(set(found)) == len(found)
    assert not [anchor for anchor in found if len(anchor) > 24 or not re.fullmatch(r"[a-z][a-z-]*", anchor)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_cites_papers_that_readers_do_not_have(folder: str) -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in files(folder)
        if path not in (Path(__file__).resolve(), READS_THEM)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ELSEWHERE.search(line)
    ]
    assert not found, f"cite docs/spec/….md#section, or say it in a sentence: {found}"


def test_pages_that_are_named_are_there() -> None:
    known = {path.name for path in ROOT.glob("*.md")} | {path.name for path in files("docs", "hypha")}
    named = {
        (name_of(path), page)
        for path in files("docs", "hypha")
        for page in PAGE.findall(path.read_text())
        if not ELSEWHERE.search(page)
    }
    assert not [f"{where}: {page}" for where, page in sorted(named) if Path(page).name not in known]
