"""Providers written by operators: startup functions hand their callables over.

See docs/authentication.md#custom-providers.

Every callable may be an ordinary function or a coroutine.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from hypha.auth.current import CURRENT
from hypha.auth.hooks import GenerateToken, ParseToken
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import Context, User
from hypha.builtins.schema import parse_docstring
from hypha.builtins.service import BuiltinFunction
from hypha.errors import (
    CallFailed,
    HyphaError,
    InvalidArguments,
    InvalidRequest,
    NotAuthenticated,
    ServerFault,
)
from hypha.features.sign_in import Handler, LoginProvider
from hypha.values import whole
from hypha.web.credentials import TokenSource
from hypha.web.scope import OURS

logger = logging.getLogger(__name__)

Hook = Callable[..., Any]

_ANY_ARGUMENTS = inspect.signature(lambda *args, **kwargs: None)
_SERVICE_FACTS = frozenset({"id", "name", "type", "description", "config", "docs"})
_EVENT_NAMES = frozenset({"event", "request", "_event"})
_CALLED_BY_PROGRAMS = frozenset({"start", "check", "report"})


class Slots(Protocol):
    """The places in the login service that a provider's parts are put into."""

    events: dict[str, Handler]
    """Functions that answer requests to the login page, by the last word of their path."""

    def use(self, provider: LoginProvider) -> None:
        """Put a provider over those that are there."""

    def put(self, functions: Mapping[str, BuiltinFunction]) -> None:
        """Put functions of `hypha-login` over those that are there."""


class Done:
    """What is finished already; it may be awaited, as older startup files don't and newer ones do."""

    def __await__(self) -> Iterator[None]:
        return iter(())


class ServerHooks:
    """What the server object of startup functions has for providers."""

    def __init__(self, login: Slots, tokens: TokenAuthority) -> None:
        self._login = login
        self._tokens = tokens

    def items(self) -> dict[str, Hook]:
        """The functions by the names under which the server object has them."""
        return {
            "register_auth_service": self.register_auth_service,
            "set_parse_token_function": self.set_parse_token_function,
            "set_generate_token_function": self.set_generate_token_function,
            "set_get_token_function": self.set_get_token_function,
        }

    def register_auth_service(
        self,
        parse_token: Hook | None = None,
        generate_token: Hook | None = None,
        get_token: Hook | None = None,
        login_service: Mapping[str, Any] | None = None,
        **handlers: Hook | None,
    ) -> Done:
        """Take the parts of a provider; those that are left out stay as they are.

        `handlers` are `index_handler`, `start_handler`, `check_handler`, `report_handler` and
        further functions of `hypha-login`.

        Raises:
            InvalidRequest: something that must be callable isn't.
        """
        named = {name: hook for name, hook in (login_service or {}).items() if name not in _SERVICE_FACTS}
        named |= {name.removesuffix("_handler"): hook for name, hook in handlers.items() if hook is not None}
        hooks = {"parse_token": parse_token, "generate_token": generate_token, "get_token": get_token}
        for name, hook in [*named.items(), *((name, hook) for name, hook in hooks.items() if hook)]:
            if not callable(hook):
                raise InvalidRequest(f"register_auth_service: {name} must be a function.")
        call = Caller(self._tokens)
        self._login.use(
            LoginProvider(
                parse_token=parser(parse_token, call) if parse_token else None,
                generate_token=generator(generate_token, call) if generate_token else None,
                get_token=token_getter(get_token, call) if get_token else None,
            )
        )
        self._login.put({name: as_function(name, hook, call) for name, hook in named.items()})
        for name, hook in named.items():
            if name not in _CALLED_BY_PROGRAMS:
                self._login.events[name] = as_event_handler(hook, call)
        return Done()

    def set_parse_token_function(self, parse_token: Hook) -> Done:
        """Read tokens with this function."""
        return self.register_auth_service(parse_token=parse_token)

    def set_generate_token_function(self, generate_token: Hook) -> Done:
        """Make tokens with this function."""
        return self.register_auth_service(generate_token=generate_token)

    def set_get_token_function(self, get_token: Hook) -> Done:
        """Take the credential out of a request with this function."""
        return self.register_auth_service(get_token=get_token)


class Caller:
    """Calls hooks so that the functions of `hypha.core.auth` find the server they run in."""

    def __init__(self, tokens: TokenAuthority) -> None:
        self._tokens = tokens

    async def result(self, hook: Hook, *args: Any, **kwargs: Any) -> Any:
        """What the hook returns, awaited if need be."""
        mark = CURRENT.set(self._tokens)
        try:
            value = hook(*args, **kwargs)
            return await value if inspect.isawaitable(value) else value
        finally:
            CURRENT.reset(mark)

    async def as_service(self, hook: Hook, *args: Any, **kwargs: Any) -> Any:
        """The same for a handler: its errors are told as its own, like those of a client's service."""
        try:
            return await self.result(hook, *args, **kwargs)
        except HyphaError:
            raise
        except Exception as error:
            raise CallFailed(f"{type(error).__name__}: {error}") from None


def parser(hook: Hook, call: Caller) -> ParseToken:
    """`parse_token(token) -> UserInfo`, a dict, or None for a token that it doesn't know."""

    async def parse(token: str) -> User | None:
        found = await call.result(hook, token)
        from hypha.auth.user_info import to_user  # with its models, needed only by such providers

        return None if found is None else to_user(found)

    return parse


def generator(hook: Hook, call: Caller) -> GenerateToken:
    """`generate_token(user_info, expires_in) -> str`."""

    async def generate(user: User, expires_in_s: float) -> str:
        from hypha.auth.user_info import UserInfo

        token: str = await call.result(hook, UserInfo.of(user), whole(expires_in_s))
        return token

    return generate


def token_getter(hook: Hook, call: Caller) -> TokenSource:
    """`get_token(asgi_scope) -> str | None`; it gets a copy, without what is the server's own."""

    async def get(scope: Mapping[str, Any]) -> str | None:
        shown = {name: value for name, value in scope.items() if not name.startswith(OURS)}
        shown.pop("app", None)
        try:
            token = await call.result(hook, shown)
        except HyphaError:
            raise
        except (PermissionError, ValueError) as error:
            raise NotAuthenticated(f"Authentication error: {error}") from None
        except Exception:
            logger.exception("The hook that takes tokens out of requests failed")
            raise ServerFault("The sign-in provider failed to read the request.") from None
        return token if isinstance(token, str) and token else None

    return get


def as_function(name: str, hook: Hook, call: Caller) -> BuiltinFunction:
    """A provider's callable as a function of `hypha-login`."""
    description, _ = parse_docstring(hook.__doc__)
    schema = {"name": name, "description": description, "parameters": _parameters(hook)}
    return BuiltinFunction(name, _handler(hook, call), description, schema, signature=_ANY_ARGUMENTS)


def _parameters(hook: Hook) -> dict[str, Any]:
    try:
        names = [
            n for n in inspect.signature(hook).parameters if n not in ("context", "self", "kwargs", "args")
        ]
    except (TypeError, ValueError):
        names = []
    return {"type": "object", "properties": {name: {} for name in names}, "required": []}


def _handler(hook: Hook, call: Caller) -> Handler:
    async def handle(*args: Any, context: Context, **kwargs: Any) -> Any:
        if _wants_event(hook):
            event = dict(args[0]) if args and isinstance(args[0], Mapping) else dict(kwargs)
            event["user"] = context.user.to_wire()
            return await call.as_service(hook, event)
        if _takes(hook, "context"):
            kwargs["context"] = _as_seen_by_services(context)
        try:
            inspect.signature(hook).bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(str(error)) from None
        return await call.as_service(hook, *args, **kwargs)

    return handle


def as_event_handler(hook: Hook, call: Caller) -> Handler:
    """A provider's callable that answers requests: it gets the event, whatever its parameter's name."""

    async def answer(event: dict[str, Any]) -> Any:
        if _wants_event(hook) or _takes_one(hook):
            return await call.as_service(hook, event)
        return await call.as_service(hook)

    return answer


def _wants_event(hook: Hook) -> bool:
    return bool(_EVENT_NAMES & set(inspect.signature(hook).parameters))


def _takes_one(hook: Hook) -> bool:
    try:
        inspect.signature(hook).bind({})
    except TypeError:
        return False
    return True


def _takes(hook: Hook, name: str) -> bool:
    parameters = inspect.signature(hook).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _as_seen_by_services(context: Context) -> dict[str, Any]:
    return {
        "user": context.user.to_wire(),
        "ws": context.workspace,
        "from": context.address,
        "connection_type": context.connection_type,
    }
