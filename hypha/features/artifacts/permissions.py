"""Who may do what with an artifact: levels, grants, and what the caller's right on the workspace gives.

Everything here is decided from plain values; `access.py` finds them. An operation is allowed by the first
of these that grants it: the artifact's own `config.permissions`; for reading, those of its parent; the
caller's level in the artifact's workspace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypha.addresses import fold_email
from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import InvalidRequest, PermissionDenied

MAX_GRANTS = 1000
MAX_WHO_CHARS = 512
EVERYONE = "*"
LOGGED_IN = "@"

_READ = frozenset("read get_file list_files list search_vectors get_vector".split())
_RW = _READ | frozenset(
    "list_vectors edit commit put_file add_vectors remove_file remove_vectors discard_changes detach "
    "mutate".split()
)
_RW_PLUS = _RW | {"get_status", "draft", "attach"}
LEVELS: Mapping[str, frozenset[str]] = {
    "n": frozenset(),
    "l": frozenset({"list"}),
    "l+": frozenset({"list", "draft"}),
    "lv": frozenset({"list", "list_vectors"}),
    "lv+": frozenset({"list", "list_vectors", "draft", "attach", "add_vectors"}),
    "lf": frozenset({"list", "list_files"}),
    "lf+": frozenset({"list", "list_files", "draft", "attach", "put_file"}),
    "r": _READ,
    "r+": _READ | {"put_file", "draft", "attach", "add_vectors"},
    "rw": _RW,
    "rd+": _READ | frozenset(
        "get_status list_vectors edit put_file add_vectors remove_file remove_vectors discard_changes "
        "draft".split()
    ),
    "rw+": _RW_PLUS,
    "*": _RW_PLUS | {"create", "reset_stats", "publish", "delete"},
}  # fmt: skip
FOR_READING = _READ | {"list_vectors"}
"""What the parent's grants give, too."""
OF_PARENT = frozenset({"draft", "attach", "detach", "mutate"})
"""What is asked of the parent of the artifact that changes."""
_BY_LEVEL: Mapping[Level, frozenset[str]] = {
    Level.READ: FOR_READING | {"get_status"},
    Level.READ_WRITE: frozenset(
        "create draft attach edit commit add_vectors put_file remove_vectors remove_file discard_changes "
        "set_secret set_download_weight".split()
    ),
    Level.ADMIN: frozenset({"delete", "reset_stats", "publish", "get_secret", "detach", "mutate"}),
}
_SPELLED_OUT: Mapping[str, Sequence[str]] = {level: sorted(given) for level, given in LEVELS.items()}
OPERATIONS = LEVELS["*"] | frozenset().union(*_BY_LEVEL.values())


def operations_of(level: object) -> frozenset[str]:
    """The operations of a level, or those of a list; none of what is not known."""
    if isinstance(level, str):
        return LEVELS.get(level, frozenset())
    if isinstance(level, Iterable) and not isinstance(level, bytes | Mapping):
        return OPERATIONS.intersection(name for name in level if isinstance(name, str))
    return frozenset()


def operations_at(level: Level) -> frozenset[str]:
    """What somebody with a level in the workspace may do with all artifacts in it."""
    return frozenset().union(*(given for needed, given in _BY_LEVEL.items() if needed <= level))


def expanded(permissions: object) -> dict[str, list[str]]:
    """Each grant with its operations spelled out, as results show them."""
    return {who: list(_spelled_out(level)) for who, level in as_grants(permissions).items()}


def expanded_bytes(permissions: object) -> int:
    """How long that is as JSON, about."""
    return sum(
        len(who) + sum(len(name) + 3 for name in _spelled_out(level)) + 8
        for who, level in as_grants(permissions).items()
    )


def _spelled_out(level: object) -> Sequence[str]:
    known = _SPELLED_OUT.get(level) if isinstance(level, str) else None
    return sorted(operations_of(level)) if known is None else known


def as_grants(permissions: object) -> Mapping[str, Any]:
    """`config.permissions`, or no grants where it is none."""
    return permissions if isinstance(permissions, Mapping) else {}


def check_permissions(permissions: object) -> None:
    """Refuse what cannot be grants.

    Raises:
        InvalidRequest: it is no object of levels and lists of operations, or has too many entries.
    """
    if not isinstance(permissions, Mapping) or len(permissions) > MAX_GRANTS:
        raise InvalidRequest(f"config.permissions is an object with at most {MAX_GRANTS} entries.")
    for who, level in permissions.items():
        if not isinstance(who, str) or not 0 < len(who) <= MAX_WHO_CHARS:
            raise InvalidRequest(
                f"A name in config.permissions is a text of up to {MAX_WHO_CHARS} characters."
            )
        is_list = isinstance(level, list | tuple) and all(isinstance(name, str) for name in level)
        if not (isinstance(level, str) or is_list):
            raise InvalidRequest(
                f"The permission of {who[:100]!r} is a level such as 'r', or a list of operations."
            )


def folded(who: str) -> str:
    """A grant's name as it is compared: e-mail addresses without regard to case."""
    workspace, slash, name = who.rpartition("/")
    return workspace + slash + (fold_email(name) if "@" in name[1:] else name)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as grants of artifacts of one workspace may name them.

    `names` are looked for in this order. `inherited` are names of the person behind a generated token: they
    count no further than the token itself does, which is `level` in the workspace.
    """

    names: tuple[str, ...]
    inherited: frozenset[str]
    level: Level
    is_admin: bool = False

    @classmethod
    def of(cls, context: Context, workspace: str, level: Level) -> Caller:
        """The caller before an artifact of a workspace, in which it has a level."""
        user = context.user
        own = [user.id]
        inherited = [] if user.parent is None else [user.parent]
        if user.email:
            (own if user.parent is None else inherited).append(fold_email(user.email))
        if not user.reaches(workspace):
            inherited = []
        if user.is_anonymous:  # all strangers over HTTP share one id
            own = []
        persons = [*own, *inherited]
        signed_in = [] if user.is_anonymous else [LOGGED_IN]
        here = [f"{context.workspace}/{name}" for name in (EVERYONE, *signed_in, *persons)]
        names = (*here, *persons, *signed_in, EVERYONE)
        of_person = {*inherited, *(f"{context.workspace}/{name}" for name in inherited)}
        return cls(names, frozenset(of_person), level, user.is_admin)

    def is_granted(self, operation: str, permissions: object) -> bool:
        """Whether grants allow the operation."""
        grants = as_grants(permissions)
        if not grants:
            return False
        known = {folded(who): level for who, level in grants.items()}
        return any(
            name in known and operation in operations_of(known[name]) and self._may_use(name, operation)
            for name in self.names
        )

    def _may_use(self, name: str, operation: str) -> bool:
        return name not in self.inherited or operation in operations_at(self.level)

    def may(self, operation: str, permissions: object, of_parent: object = None) -> bool:
        """Whether the operation is allowed on an artifact with these grants, and those of its parent."""
        return (
            self.is_granted(operation, permissions)
            or (operation in FOR_READING and self.is_granted(operation, of_parent))
            or operation in operations_at(self.level)
        )

    def require(self, operation: str, permissions: object, of_parent: object = None) -> None:
        """Raise PermissionDenied unless `may`."""
        if not self.may(operation, permissions, of_parent):
            raise PermissionDenied(f"User does not have permission '{operation}' on the artifact.")

    def may_grant(self, before: object, after: object, of_parent: object = None) -> bool:
        """Whether the change of grants gives nobody more than the caller itself may do."""
        if self.level is Level.ADMIN:
            return True
        old, new = as_grants(before), as_grants(after)
        for who, level in new.items():
            added = operations_of(level) - operations_of(old.get(who))
            if any(not self.may(operation, before, of_parent) for operation in added):
                return False
        return True
