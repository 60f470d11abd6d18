"""What a manifest says of a container: checked when an app is installed, and again when it starts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypha.errors import InvalidArguments
from hypha.workers.base import WorkerConfig

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
PULLS = ("IfNotPresent", "Always", "Never")
ALL_RESTARTS = ("Never", "OnFailure", "Always")
_WORDS, _WORD_CHARS, _VARIABLES, _VALUE_CHARS = 256, 16_384, 256, 16_384
_LONGEST_S = 7 * 24 * 3600
_NAME_CHARS = 50


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """A container as it is to be made."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    """Program and arguments; the image's own if there is none."""
    variables: Mapping[str, str] = field(default_factory=dict)
    timeout_s: int
    """How long it may run."""
    pull: str = "IfNotPresent"
    restart: str = "Never"
    facts: Mapping[str, str] = field(default_factory=dict)
    """Whose it is: app, workspace, client and session."""


@dataclass(frozen=True, kw_only=True)
class Usual:
    """What holds for a container whose manifest says nothing, and what it may say."""

    timeout_s: int = 3600
    pull: str = "IfNotPresent"
    restarts: tuple[str, ...] = ALL_RESTARTS
    """Ways to start a container again that has ended; without a word the first."""


def checked_manifest(manifest: Mapping[str, Any], usual: Usual) -> dict[str, Any]:
    """A manifest with all that a container needs.

    Raises:
        InvalidArguments: it lacks an image, or says what cannot be; with the field.
    """
    ready = dict(manifest)
    image = ready.get("image")
    if not isinstance(image, str) or not image:
        raise InvalidArguments(
            "image is missing: name the image of the container, such as 'python:3.12-slim'."
        )
    if ":" not in image or not _IMAGE.fullmatch(image):
        raise InvalidArguments(f"image is a name with a tag, such as 'python:3.12-slim', not {image[:80]!r}.")
    _check_command(ready.get("command"))
    _check_variables(ready.get("env"))
    for name, known, first in (
        ("image_pull_policy", PULLS, usual.pull),
        ("restart_policy", usual.restarts, usual.restarts[0]),
    ):
        if ready.setdefault(name, first) not in known:
            raise InvalidArguments(f"{name} is one of {', '.join(known)}.")
    timeout = ready.setdefault("timeout", usual.timeout_s)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 1 <= timeout <= _LONGEST_S:
        raise InvalidArguments(f"timeout is how long the container may run: 1 to {_LONGEST_S} seconds.")
    return ready


def _check_command(command: object) -> None:
    if command is None:
        return
    words = command if isinstance(command, list) and len(command) <= _WORDS else []
    if not words or not all(isinstance(word, str) and len(word) <= _WORD_CHARS for word in words):
        raise InvalidArguments("command is a list of texts, such as ['python', '-c', 'print(1)'].")


def _check_variables(variables: object) -> None:
    if variables is None:
        return
    if not isinstance(variables, Mapping) or len(variables) > _VARIABLES:
        raise InvalidArguments(f"env is an object of at most {_VARIABLES} names and values.")
    for name, value in variables.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise InvalidArguments(f"env has a name that cannot be: {str(name)[:80]!r}.")
        if not isinstance(value, str | int | float) or len(str(value)) > _VALUE_CHARS or "\0" in str(value):
            raise InvalidArguments(
                f"The value of {name} in env is a text, of {_VALUE_CHARS} characters at most."
            )


def spec_of(config: WorkerConfig, prefix: str, usual: Usual) -> ContainerSpec:
    """The container of a session; what the manifest says in `env` goes before what we set.

    Raises:
        InvalidArguments: the manifest says what cannot be.
    """
    manifest = checked_manifest(config.manifest, usual)
    own = {
        "HYPHA_SERVER_URL": config.server_url,
        "HYPHA_WORKSPACE": config.workspace,
        "HYPHA_CLIENT_ID": config.client_id,
        "HYPHA_TOKEN": config.token or "",
        "HYPHA_APP_ID": config.app_id,
    }
    said = {name: str(value) for name, value in (manifest.get("env") or {}).items()}
    return ContainerSpec(
        name=f"{prefix}-{name_part(config.id)}",
        image=manifest["image"],
        command=tuple(manifest.get("command") or ()),
        variables={**own, **said},
        timeout_s=round(manifest["timeout"]),
        pull=manifest["image_pull_policy"],
        restart=manifest["restart_policy"],
        facts={
            "app": config.app_id,
            "workspace": config.workspace,
            "client": config.client_id,
            "session": config.id,
        },
    )


def name_part(session_id: str) -> str:
    """A session's id as names of containers may be: 50 characters at most, and another for each id."""
    mark = hashlib.sha256(session_id.encode()).hexdigest()[:8]
    words = re.sub(r"[^a-z0-9]+", "-", session_id.lower()).strip("-")
    return f"{words[: _NAME_CHARS - len(mark) - 1].strip('-')}-{mark}"
