"""A service that the server itself offers: described by its own code, called over RPC and HTTP alike."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import CURRENT_WORKSPACE, STRANGER_BYTES, permission_of
from hypha.builtins.schema import caller_signature, function_schema, parse_docstring
from hypha.errors import FunctionNotFound, HyphaError, InvalidArguments, PermissionDenied
from hypha.limits.pace import Pace
from hypha.limits.turns import on_behalf_of
from hypha.networks import throttled
from hypha.wire.values import method_value

RefusalNote = Callable[[Context, str, HyphaError], None]


class Gate(Protocol):
    """What a caller's functions wait for before they run."""

    @property
    def is_shut(self) -> bool:
        """Whether they do now."""

    async def until_open(self) -> None:
        """Wait until they need not."""


@dataclass(frozen=True, slots=True)
class BuiltinFunction:
    """One function of a built-in service.

    `call` takes the caller's arguments and the keyword `context`; `schema` is
    `{"name", "description", "parameters"}`; `level` is what the caller needs in its current
    workspace before the function runs (checks on other targets are the function's own); `by_root`
    keeps it for holders of the role `admin`; `by_lapsed` leaves it to those whose token has expired;
    `takes_bytes` bounds what somebody without a credential sends (None: no more than what others do);
    `gives_bytes` is for how large an answer there must be room before it runs.
    """

    name: str
    call: Callable[..., Awaitable[Any]]
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    level: Level = Level.NONE
    signature: inspect.Signature = field(default_factory=inspect.Signature)
    by_root: bool = False
    by_lapsed: bool = False
    takes_bytes: int | None = None
    gives_bytes: int = 0

    @classmethod
    def of(cls, function: Callable[..., Awaitable[Any]], name: str) -> BuiltinFunction:
        """Describe one coroutine; its permission row, if declared, gives the level that is checked."""
        description, _ = parse_docstring(function.__doc__)
        row = permission_of(function)
        return cls(
            name,
            function,
            description,
            function_schema(function, name),
            row.level if row is not None and row.on == CURRENT_WORKSPACE else Level.NONE,
            caller_signature(function),
            row is not None and row.by_root,
            row is not None and row.by_lapsed,
            row.takes_bytes if row is not None else STRANGER_BYTES,
            row.gives_bytes if row is not None else 0,
        )

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        """Fit the arguments to the parameters; a `context` from outside is dropped."""
        kwargs = {key: value for key, value in kwargs.items() if key != "context"}
        try:
            return self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(f"{self.name}: {error}") from None

    def misfit(self, arguments: Mapping[str, Any]) -> str | None:
        """What is wrong with the types of bound arguments, by the function's own schema."""
        known = (self.schema.get("parameters") or {}).get("properties") or {}
        for name, value in arguments.items():
            kind = known.get(name, {}).get("type")
            kinds = _KINDS.get(kind) if isinstance(kind, str) else None
            is_flag = isinstance(value, bool) and kind != "boolean"
            if kinds and value is not None and (is_flag or not isinstance(value, kinds)):
                return f"{self.name}: {name} must be of type {kind}."
        return None


_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (Mapping,),
}


@dataclass(frozen=True, slots=True)
class BuiltinService:
    """A named set of functions of the server itself; `on_refused` hears of callers without the right.

    Outsiders may call what `for_outsiders` names; all of it if it is an entrance.
    """

    id: str
    functions: Mapping[str, BuiltinFunction]
    name: str = ""
    type: str = "generic"
    description: str = ""
    docs: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    on_refused: RefusalNote | None = None
    is_entrance: bool = False
    for_outsiders: frozenset[str] = frozenset()
    pace: Pace = field(default_factory=Pace, compare=False, repr=False)
    """Calls that come at once begin in several turns of the event loop."""

    @classmethod
    def of(
        cls,
        obj: object,
        *,
        id: str,
        type: str = "generic",
        name: str = "",
        description: str = "",
        docs: str | None = None,
        config: Mapping[str, Any] | None = None,
        only: Sequence[str] | None = None,
    ) -> BuiltinService:
        """The service of an object: all its public coroutines, or those named in `only`, in that order.

        The object's class docstring is the description, unless one is given.
        """
        names = only if only is not None else [key for key in dir(obj) if not key.startswith("_")]
        functions: dict[str, BuiltinFunction] = {}
        for key in names:
            function = getattr(obj, key)
            if inspect.iscoroutinefunction(function):
                functions[key] = BuiltinFunction.of(function, key)
        if not description:
            description, _ = parse_docstring(obj.__class__.__doc__)
        return cls(id, functions, name or id, type, description, docs, dict(config or {}))

    def encoded(self, address: str, server_url: str) -> dict[str, Any]:
        """The service as clients get it from its provider; `server_url` goes into each function."""
        fields: dict[str, Any] = {
            "id": self.id,
            "name": self.name or self.id,
            "type": self.type,
            "description": self.description,
            "docs": self.docs,
            "config": dict(self.config),
        }
        for name, function in self.functions.items():
            method, schema = f"services.{self.id}.{name}", dict(function.schema)
            fields[name] = method_value(
                address, method, server_url, name, schema, function.description or None
            )
        return fields

    async def invoke(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        context: Context,
        gate: Gate | None = None,
    ) -> Any:
        """Check the declared level, bind the arguments and call one function, when it is its caller's turn.

        Raises:
            FunctionNotFound: no function of that name.
            NotAuthenticated: the caller is an outsider, and the function not for them.
            PermissionDenied: the caller lacks the declared level in its current workspace.
            InvalidArguments: the arguments do not fit.
        """
        function = self.functions.get(name)
        if function is None:
            raise FunctionNotFound(f"Method expired or not found: {self.id}.{name[:200]}")
        if not (self.is_entrance or name in self.for_outsiders):
            context.require_insider()
        try:
            if function.by_root and not context.user.is_admin:
                raise PermissionDenied(f"Permission denied: {self.id}.{name} is for the role admin alone.")
            if context.user.is_lapsed and not function.by_lapsed:
                context.require_valid()
            elif function.level is not Level.NONE and not context.user.is_lapsed:
                context.require(function.level)
            party = _payer_of(context)
            if not self.pace.may_begin():
                await self.pace.wait(party)
            if gate is not None and gate.is_shut:
                await gate.until_open()
            bound = function.bind(args, kwargs)
            with on_behalf_of(party):
                return await self._run(function, bound, context)
        except PermissionDenied as error:
            if self.on_refused is not None:
                self.on_refused(context, f"{self.id}.{name}", error)
            raise

    async def _run(self, function: BuiltinFunction, bound: inspect.BoundArguments, context: Context) -> Any:
        """Call the function; one that stumbled over arguments of wrong types has refused them."""
        try:
            return await function.call(*bound.args, **bound.kwargs, context=context)
        except HyphaError:
            raise
        except Exception:
            if wrong := function.misfit(bound.arguments):
                raise InvalidArguments(wrong) from None
            raise


def _payer_of(context: Context) -> str:
    """Who pays for what a call does: a user, who may have made the token; of strangers their network."""
    user = context.user
    if user.is_anonymous:
        return throttled(context.network_address)
    return user.party
