"""How an artifact is shown as pages: `config.view_config`, read leniently, because anybody wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypha.errors import InvalidKey, NotFound
from hypha.features.artifacts.paths import joined
from hypha.objects.paths import check_folder
from hypha.web.headers import Headers, fields_of, is_ours

INDEX = "index.html"
DISABLED = "disabled"
ENGINE = "jinja2"
MAX_HEADERS = 50
_OVERRIDABLE = frozenset(
    {
        b"cache-control", b"content-disposition", b"content-language", b"content-security-policy",
        b"cross-origin-embedder-policy", b"cross-origin-opener-policy", b"cross-origin-resource-policy",
        b"expires", b"link", b"permissions-policy", b"referrer-policy", b"x-frame-options", b"x-robots-tag",
    }
)  # fmt: skip


class ViewDisabled(NotFound):
    """The artifact is not to be seen as pages."""

    code = "view_disabled"


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """What an artifact says of its pages.

    Attributes:
        root: the folder that holds them. templates: paths that are rendered, in the root or the artifact.
        headers: fields of answers. metadata: a value for templates.
        is_builtin: the server's own page stands in for `index.html`.
    """

    root: str = ""
    templates: frozenset[str] = frozenset()
    headers: Headers = field(default_factory=list)
    metadata: Any = None
    is_builtin: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ViewConfig:
        """The one of an artifact's config.

        Raises:
            ViewDisabled: it has none to be seen.
        """
        given = config.get("view_config")
        if given == DISABLED:
            raise ViewDisabled("View access is disabled for this artifact")
        said: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        root = _folder(said.get("root_directory", config.get("root_directory")))
        named = said.get("templates")
        is_rendered = said.get("template_engine", ENGINE) == ENGINE and isinstance(named, list)
        templates = (path for path in named if isinstance(path, str)) if named and is_rendered else ()
        return cls(
            root,
            frozenset(path.removeprefix("./").lstrip("/") for path in templates),
            _fields(said.get("headers")),
            said.get("metadata"),
            said.get("use_builtin_template") is True,
        )

    def is_template(self, path: str) -> bool:
        """Whether a file, at this path below the root, is rendered."""
        return path in self.templates or joined(self.root, path) in self.templates


def _folder(value: object) -> str:
    try:
        return check_folder(value.lstrip("/") if isinstance(value, str) else None)
    except InvalidKey:
        return ""


def _fields(value: object) -> Headers:
    """The fields that may be set: those about the page itself, and any `X-…` that is not the server's."""
    try:
        given = fields_of(value) if isinstance(value, Mapping) and len(value) <= MAX_HEADERS else []
    except ValueError:
        return []
    return [pair for pair in given if _may_be_set(*pair)]


def _may_be_set(name: bytes, value: bytes) -> bool:
    is_free = name.startswith(b"x-") and name != b"x-content-type-options"
    return (name in _OVERRIDABLE or is_free) and not is_ours(name, value)
