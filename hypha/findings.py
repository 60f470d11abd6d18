"""What `doctor` finds: one sentence for a person, and how bad it is."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from hypha.errors import ConfigurationError

_IN_URL = re.compile(r"//[^/@\s]+@")


class Grade(enum.IntEnum):
    """How bad a finding is; the worst one is the exit code of `doctor`."""

    NOTE = 0
    RISKY = 1
    BROKEN = 2

    @property
    def exit_code(self) -> int:
        """0 fine, 1 risky, 2 broken."""
        return int(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found and what to set; never with the value of a secret."""

    grade: Grade
    text: str

    def __str__(self) -> str:
        text = "".join(char if char.isprintable() else " " for char in self.text)
        return f"{self.grade.name.lower():<6}  {' '.join(text.split())}"


Findings = Iterator[Finding]


def note(text: str) -> Finding:
    """Something to know; nothing is wrong."""
    return Finding(Grade.NOTE, text)


def risky(text: str) -> Finding:
    """The server would start, and somebody could be hurt."""
    return Finding(Grade.RISKY, text)


def broken(text: str) -> Finding:
    """The server would not start, or not work, so."""
    return Finding(Grade.BROKEN, text)


def refusals(*checks: Callable[[], object]) -> Findings:
    """What parts of the server say that would not start so."""
    for check in checks:
        try:
            check()
        except (ConfigurationError, FileNotFoundError) as error:
            yield broken(str(error))


def without(finding: Finding, secrets: Iterable[str]) -> Finding:
    """The finding without values that must not be shown, and without what stands before `@` in URLs."""
    text = _IN_URL.sub("//…@", finding.text)
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "…")
    return replace(finding, text=text)


def worst(findings: Iterable[Finding]) -> Grade:
    """The worst grade of all."""
    return max((finding.grade for finding in findings), default=Grade.NOTE)
