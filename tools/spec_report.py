"""Which items of the specification have a passing test: run by `make spec` after `make test`.

Reads the items from the specification's checklists (SPEC=folder, default ../shared/spec) and the
result file of the last test run, where each test names the items that it shows to hold.
"""

from __future__ import annotations

import os
import re
import sys
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPEC = Path(os.environ.get("SPEC", ROOT.parent / "shared" / "spec"))
RESULTS = ROOT / ".test-results" / "junit.xml"
SHOWN_CHARS = 92

Items = dict[str, str]


def main() -> int:
    """Print the report; always 0, since items of later versions have no test yet."""
    if not SPEC.is_dir():
        print(f"No specification at {SPEC}: name its folder with SPEC=...")
        return 0
    if not RESULTS.is_file():
        print(f"No test results at {RESULTS.relative_to(ROOT)}: run `make test` first.")
        return 0
    passed, failed = read_results(RESULTS)
    items = read_items(SPEC)
    for document in ("wire", "core", "resume", "artifacts", "apps"):
        report(document, {k: v for k, v in items.items() if k.startswith(f"{document}-")}, passed, failed)
    others = sorted(set(passed) - set(items), key=natural)
    print(f"Named by tests beside the checklists: {', '.join(others) or 'none'}")
    return 0


def report(document: str, items: Items, passed: dict[str, int], failed: dict[str, int]) -> None:
    """Print one document's items with their state."""
    good = [name for name in items if name in passed and name not in failed]
    bad = [name for name in items if name in failed]
    print(f"\n{document}: {len(good)} of {len(items)} items have a passing test, {len(bad)} a failing one\n")
    for name in sorted(items, key=natural):
        state = "FAIL" if name in failed else f"{passed[name]:4}" if name in passed else "   -"
        print(f"  {state}  {name:<16} {items[name][:SHOWN_CHARS]}")
    print()


def read_results(file: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Item -> number of passing tests, and of failing ones; a skipped test counts as neither."""
    passed: dict[str, int] = {}
    failed: dict[str, int] = {}
    for case in xml.parse(file).iter("testcase"):
        names = [p.get("value", "") for p in case.iter("property") if p.get("name") == "spec"]
        if case.find("skipped") is not None:
            continue
        counts = failed if case.find("failure") is not None or case.find("error") is not None else passed
        for name in (name.replace("core-P", "core-O") for name in names):  # one list with two letters
            counts[name] = counts.get(name, 0) + 1
    return passed, failed


def read_items(folder: Path) -> Items:
    """Item -> the first words of its text, from all documents that are there."""
    items: Items = {}
    for file, reader in READERS.items():
        path = folder / file
        if path.is_file():
            items.update(reader(path.read_text()))
    return items


def section(text: str, head: str) -> str:
    """The text of a section, from its heading to the next one of the same depth."""
    depth = head.split(" ")[0]
    start = re.search(rf"^{re.escape(head)}(?!\d|\.\d)", text, re.M)
    if start is None:
        return ""
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{len(depth)}}} ", rest, re.M)
    return rest[: end.start()] if end else rest


def numbered(text: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Items of a numbered list."""
    for number, words in re.findall(r"^(\d+)\. (.*)", text, re.M):
        yield f"{prefix}{number}", words


def wire_items(text: str) -> Iterator[tuple[str, str]]:
    """Section 17 as wire-N, the table of section 16 as wire-16.N."""
    yield from numbered(section(text, "## 17"), "wire-")
    for number, words in re.findall(r"^\| (16\.\d+) \| ([^|]*)", section(text, "## 16"), re.M):
        yield f"wire-{number}", words


def core_items(text: str) -> Iterator[tuple[str, str]]:
    """Section 10 as core-L1 and so on, the table of section 11.1 as core-11.1.N."""
    parts = re.split(r"^\*\*([A-Z])(?:/[A-Z])? – [^*]*\*\*", section(text, "## 10"), flags=re.M)
    for letter, part in zip(parts[1::2], parts[2::2], strict=True):
        yield from numbered(part, f"core-{letter}")
    for number, words in re.findall(r"^\| (\d+) \| [^|]*\| ([^|]*)", section(text, "### 11.1"), re.M):
        yield f"core-11.1.{number}", words


def resume_items(text: str) -> Iterator[tuple[str, str]]:
    """The rules of section 7 as resume-N."""
    yield from numbered(section(text, "## 7"), "resume-")


def artifact_items(text: str) -> Iterator[tuple[str, str]]:
    """Items marked C1.1 and so on as artifacts-C1.1."""
    for name, words in re.findall(r"^\* \**(C\d+\.\d+)\** (.*)", text, re.M):
        yield f"artifacts-{name}", words


def app_items(text: str) -> Iterator[tuple[str, str]]:
    """Sections 12.1 to 12.10 as apps-12.1.1 and so on."""
    for number in range(1, 11):
        yield from numbered(section(text, f"### 12.{number}"), f"apps-12.{number}.")


READERS = {
    "wire-protocol.md": wire_items,
    "core-api.md": core_items,
    "resume.md": resume_items,
    "artifacts.md": artifact_items,
    "apps-and-workers.md": app_items,
}


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts wire-9 before wire-10."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.split(r"(\d+)", name)]


if __name__ == "__main__":
    sys.exit(main())
