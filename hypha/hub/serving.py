"""What a peer of the server does when it is called: functions of services, of sessions, of `built-in`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypha.errors import ForeignFunction, FunctionNotFound, HyphaError, InvalidRequest, NotFound
from hypha.hub.answers import Answers
from hypha.hub.message_cache import MessageCacheFunctions
from hypha.hub.running_calls import RunningCalls
from hypha.wire.frames import pack
from hypha.wire.values import BUILT_IN, SERVICES, absolute_targets, check_owner, method_value

if TYPE_CHECKING:
    from hypha.hub.calls import Calls
    from hypha.hub.hosted import HostedServices
    from hypha.hub.ports import PeerPorts
    from hypha.hub.requests import Request
    from hypha.wire.chunks import Taken

API_VERSION = 3

Process = Callable[["Request", "Taken", Any], bool]
"""Handles a message that a client put together here, given that and the session of ours that it
answers, if any. True if that is done; False if the request is answered later."""


class Serving:
    """Answers the calls that come to one peer."""

    def __init__(self, ports: PeerPorts, calls: Calls, hosted: HostedServices, process: Process) -> None:
        self.answers = Answers(calls)
        self.running = RunningCalls(ports.clock, self.answers, ports.large_answers)
        """Calls of functions that take their time; those of `built-in` are answered at once."""
        self.cache = MessageCacheFunctions(ports, calls)
        self._upcalls = ports.upcalls
        self._calls = calls
        self._hosted = hosted
        self._process = process

    def serve(self, request: Request, method: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Run `services.<id>.<function>`."""
        if method.startswith(BUILT_IN):
            request.release()
            self._answer_built_in(request, method[len(BUILT_IN) :], args, kwargs)
            return
        service_id, _, name = method[len(SERVICES) :].partition(".")

        async def run() -> Any:
            service = self._hosted.get(service_id)
            self._check_arguments(request, [args, kwargs])
            return await service.invoke(name, args, kwargs, request.context, request)

        self.running.start(request, method, run, self._hosted.answer_bytes(service_id, name))

    def call_back(
        self, request: Request, session_id: str, name: str, args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        """Run a function that the caller was given for the time of a call of ours."""

        async def run() -> Any:
            session = self._calls.sessions.find(session_id, request.sender.address)
            if session is None:
                raise NotFound("The request to which this function belongs is over.")
            self._check_arguments(request, [args, kwargs])
            return await session.call(name, args, kwargs)

        self.running.start(request, f"{session_id}.{name}", run)

    def refuse_lent(self, request: Request) -> None:
        """Refuse a call of a function that somebody else gave to the caller."""
        request.release()
        workspace = request.sender.workspace
        self._upcalls.on_refused(request.sender, workspace, "a function that somebody else lent")
        text = (
            "Permission denied: a caller lent you this function of the server; "
            "it would run with your rights, not with the caller's."
        )
        self.answers.fail(request, ForeignFunction(text))

    def _check_arguments(self, request: Request, arguments: list[Any]) -> None:
        """Make targets absolute; nothing is kept or run that names somebody else than its sender."""
        sender, opened = request.sender, request.opened
        try:
            found = absolute_targets(arguments, sender.workspace) if opened is None else opened.found()
            check_owner(found, sender.address)
        except ForeignFunction:
            self._upcalls.on_refused(sender, sender.workspace, "a function of somebody else in an argument")
            raise

    def _answer_built_in(self, request: Request, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Run a function that every peer hosts, at once."""
        try:
            body = self._run_built_in(request, name, args, kwargs)
            if body is not None:
                self.answers.resolve(request, body)
        except HyphaError as error:
            self.answers.fail(request, error)
            self.cache.give_up(request, name, args, kwargs, error)
        except TypeError:
            self.answers.fail(request, InvalidRequest(f"built-in.{name}: its arguments have wrong types."))

    def _run_built_in(
        self, request: Request, name: str, args: list[Any], kwargs: dict[str, Any]
    ) -> bytes | None:
        """The packed answer; None if it comes later."""
        result: Any = None
        if name == "get_service":
            service_id = str(args[0] if args else kwargs.get("service_id"))
            if service_id.rpartition(":")[2] != "built-in":
                return self._hosted.described(service_id, request.context)
            result = self._describe_built_in(request.address)
        elif name == "ping":
            result = "pong"
        elif name == "message_cache.process":
            if not self._process(request, *self.cache.take(request, args, kwargs)):
                return None
        elif name in self.cache.functions:
            self.cache.functions[name](request, args, kwargs)
        else:
            raise FunctionNotFound(f"Function not found: built-in.{name[:200]}")
        packed: bytes = pack({"args": [result]})
        return packed

    def _describe_built_in(self, address: str) -> dict[str, Any]:
        """The endpoint that every peer hosts; callers read it before a large message.

        See docs/spec/wire-protocol.md#built-in.
        """
        server_url = self._hosted.server_url
        described: dict[str, Any] = {
            "id": "built-in",
            "name": f"Builtin services for {address}",
            "type": "built-in",
            "config": {"require_context": True, "visibility": "public", "api_version": API_VERSION},
        }
        for path in ("get_service", "ping", *self.cache.functions, "message_cache.process"):
            group, _, name = path.rpartition(".")
            method = method_value(address, f"{BUILT_IN}{path}", server_url, name, None, None)
            (described.setdefault(group, {}) if group else described)[name] = method
        return described
