"""What an app wants in its environment, as its manifest says it: packages and channels."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypha.errors import InvalidArguments

DEFAULT_CHANNELS = ("conda-forge",)
MOST_DEPENDENCIES = 200
_MOST_CHARS = 300
_BASE = ("pip", "ipykernel", "jupyter_client", "pyzmq")
_BASE_PIP = ("hypha-rpc",)
_SPEC = re.compile(
    r"(?:(?P<channel>[A-Za-z0-9][\w.-]*)(?:/[\w-]+)?::)?"
    r"(?P<name>[A-Za-z0-9_][\w.-]*)[ \t]*(?P<version>(?:[=<>!~]=?|(?<=[ \t])\d)[\w.*+!=<>~|, \t-]*)?"
)
_PIP = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)[ \t]*(?:\[[\w., -]*\])?[ \t]*"
    r"(?:(?:[=<>!~][\w.*+!=<>~, \t-]*)|(?:@[ \t]*(?:git\+)?https://[^\s$;{}]+))?"
    r"(?:[ \t]*;[\w.\"'<>=!~() \t]*)?"
)
_CHANNEL = re.compile(r"(?:https://[A-Za-z0-9][\w.-]*(?::\d+)?/)?[A-Za-z0-9][\w.-]*(?:/[\w.-]+)*")


@dataclass(frozen=True, slots=True)
class Package:
    """A package of a channel: its name, and the version as conda writes it, or nothing."""

    text: str
    name: str
    version: str
    channel: str | None


@dataclass(frozen=True, slots=True)
class Requirements:
    """All that an environment is made from, in the order of the manifest."""

    packages: tuple[Package, ...]
    pip: tuple[str, ...]
    channels: tuple[str, ...]

    def digest(self, backend: str) -> str:
        """A name for the environment that a back end makes of it: the same for any order."""
        facts = [
            backend,
            sorted(each.text for each in self.packages),
            sorted(self.pip),
            sorted(self.channels),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def requirements_of(manifest: Mapping[str, Any]) -> Requirements:
    """Read `dependencies` and `channels`, with what each environment needs.

    Raises:
        InvalidArguments: they are no lists, too long, or hold something that names no package or channel.
    """
    packages: list[Package] = []
    pip: list[str] = []
    for entry in _listed(manifest, "dependencies"):
        if isinstance(entry, Mapping):
            if set(entry) != {"pip"} or not isinstance(entry["pip"], list | tuple):
                raise InvalidArguments(f'A dependency that is an object is {{"pip": [...]}}: {entry!r:.200}.')
            pip += [_text("dependencies", each) for each in entry["pip"]]
        else:
            packages.append(_package(_text("dependencies", entry)))
    for each in pip:
        if _PIP.fullmatch(each) is None:
            raise InvalidArguments(
                f"{each!r} is no requirement for pip: give a name, with a version or an https address."
            )
    if len(packages) + len(pip) > MOST_DEPENDENCIES:
        raise InvalidArguments(f"An app has at most {MOST_DEPENDENCIES} dependencies.")
    channels = [_text("channels", each) for each in _listed(manifest, "channels")] or DEFAULT_CHANNELS
    for each in channels:
        if _CHANNEL.fullmatch(each) is None or ".." in each:
            raise InvalidArguments(f"{each!r} is no channel: give its name or an https address.")
    return _completed(packages, pip, tuple(channels))


def with_needed(manifest: Mapping[str, Any]) -> list[Any]:
    """The dependencies of a manifest, with those added that each environment needs.

    Raises:
        InvalidArguments: as `requirements_of`.
    """
    full = requirements_of(manifest)
    given = list(manifest.get("dependencies") or [])
    plain = [each for each in given if not isinstance(each, Mapping)]
    known = {_package(_text("dependencies", each)).text for each in plain}
    plain += [each.text for each in full.packages if each.text not in known]
    return [*plain, {"pip": list(full.pip)}]


def pip_name(requirement: str) -> str:
    """The name in a requirement for pip, as PyPI compares names."""
    found = _PIP.match(requirement)
    return normal(found["name"]) if found else ""


def normal(name: str) -> str:
    """A name as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _completed(packages: Sequence[Package], pip: Sequence[str], channels: tuple[str, ...]) -> Requirements:
    names = {normal(each.name) for each in packages} | {pip_name(each) for each in pip}
    base = [_package(name) for name in _BASE if normal(name) not in names]
    more = [name for name in _BASE_PIP if normal(name) not in names]
    return Requirements((*packages, *base), (*pip, *more), channels)


def _listed(manifest: Mapping[str, Any], field: str) -> Sequence[Any]:
    value = manifest.get(field)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise InvalidArguments(f"{field} of an app is a list.")
    return value


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidArguments(f"{field} of an app has an entry that is no text: {value!r:.200}.")
    if len(value) > _MOST_CHARS:
        raise InvalidArguments(f"An entry of {field} has more than {_MOST_CHARS} characters.")
    return value.strip()


def _package(text: str) -> Package:
    found = _SPEC.fullmatch(text)
    if found is None:
        raise InvalidArguments(
            f"{text!r} is no dependency: give a name and a version, such as numpy>=2; what is pip's "
            'belongs into {"pip": [...]}.'
        )
    return Package(text, found["name"], (found["version"] or "").strip(), found["channel"])
