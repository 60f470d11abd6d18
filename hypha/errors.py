"""The one tree of errors.

HyphaError                      code               http  retry
├─ InvalidRequest               invalid_request    400   no
│  ├─ InvalidAddress, AmbiguousService             400   no      (also AssertionErrors)
│  ├─ InvalidArguments          invalid_arguments  400   no
│  ├─ MalformedFrame            malformed_frame    400   no      dropped or rejected by the hub
│  ├─ InvalidLoginKey           invalid_login_key  400   no      start the login again
│  ├─ InvalidKey                invalid_key        400   no      the path of a file
│  ├─ Corrupted                 corrupted          400   no      the bytes are not those that were meant
│  ├─ UnsupportedContent        unsupported_type   415   no
│  └─ UnprocessableContent      unprocessable      422   no
├─ NotAuthenticated             not_authenticated  401   after login
│  └─ TokenExpired              token_expired      401   after refresh
├─ PermissionDenied             permission_denied  403   no      (also a PermissionError)
│  └─ ForeignFunction           foreign_function   403   no      a function value names not its sender
├─ NotFound                     not_found          404   no      (also a KeyError)
│  └─ WorkspaceNotFound, ServiceNotFound, FunctionNotFound, ArtifactNotFound, AppNotFound,
│     ObjectNotFound, UploadNotFound (also a ValueError)
├─ Conflict                     conflict           409   no
│  └─ AlreadyExists (ServiceTypeExists), VersionConflict
├─ LimitReached                 limit_reached      429   after retry_after_s
│  └─ QuotaExceeded, RateLimited; FrameTooLarge (413)
├─ CallFailed                   call_failed        500   no      the callee raised; carries its text
│  ├─ ResultNotJson             result_not_json    500   no      the callee's result needs msgpack
│  ├─ UnreadableAnswer          call_failed        500   no      the callee's answer cannot be read
│  └─ ProbeFailed               probe_failed       503   yes     the callee is a probe of a service
├─ NotDelivered                 not_delivered      503   yes     certain: the callee never saw the call
│  └─ PeerGone
├─ OutcomeUnknown               outcome_unknown    504   only if idempotent
│  └─ CallTimedOut
└─ ServerFault                  server_fault       500   no      our bug; logged, id shown to the user
   ├─ BackendUnavailable        backend_unavailable 503  yes
   │  └─ LeaseLost                                 503  yes     others have what this replica had
   └─ StorageFull               storage_full       507   yes     nothing was changed

`rpc_name` is what a caller over RPC reads before the sentence: the builtin exception that
existing callers know, or the class's own name where there is none.
"""

from __future__ import annotations

from typing import ClassVar

MAX_TEXT_CHARS = 4000
"""Of a sentence that is told over RPC: it may repeat what somebody sent."""


class HyphaError(Exception):
    """Root of all errors that are told to a user.

    `message` is one sentence for a person: what happened, to what, and what to do.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    retry: ClassVar[str] = "no"
    rpc_name: ClassVar[str] = ""

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    @property
    def rpc_text(self) -> str:
        """`<Name>: <sentence>`, the form in which RPC callers read an error."""
        return f"{type(self).rpc_name or type(self).__name__}: {self.message[:MAX_TEXT_CHARS]}"


class InvalidRequest(HyphaError, ValueError):
    """The request cannot be understood or contradicts itself."""

    code, status, rpc_name = "invalid_request", 400, "ValueError"


class InvalidAddress(InvalidRequest, AssertionError):
    """An id or address is malformed or names nothing that can be addressed."""

    code, rpc_name = "invalid_address", "AssertionError"


class AmbiguousService(InvalidRequest, AssertionError):
    """Several services match and no selection mode was given."""

    code, rpc_name = "ambiguous_service", "AssertionError"


class InvalidArguments(InvalidRequest, TypeError):
    """The arguments do not fit the function's parameters."""

    code, rpc_name = "invalid_arguments", "TypeError"


class MalformedFrame(InvalidRequest):
    """A binary frame breaks the wire format; `session`, `target`, `method` are set if they could be read."""

    code = "malformed_frame"

    def __init__(
        self,
        message: str = "",
        *,
        session: str | None = None,
        target: str | None = None,
        method: str | None = None,
    ) -> None:
        super().__init__(message)
        self.session = session
        self.target = target
        self.method = method


class TooManyValues(MalformedFrame):
    """A message holds more values than the server unpacks at once."""

    code = "too_many_values"


class TooManyBytes(MalformedFrame):
    """A message is larger than the function of the server takes from this caller."""

    code, status, rpc_name = "frame_too_large", 413, "FrameTooLarge"


class InvalidLoginKey(InvalidRequest):
    """No login is pending under this key: it never was, is over, or was collected."""

    code, rpc_name = "invalid_login_key", "ValueError"


class InvalidKey(InvalidRequest):
    """The path of a file climbs, is empty or malformed."""

    code = "invalid_key"


class Corrupted(InvalidRequest):
    """Bytes that came are not those whose checksum was given."""

    code = "corrupted"


class UnsupportedContent(InvalidRequest):
    """The type or coding of an HTTP body is not understood; `accept_encoding` names the codings that are."""

    code, status = "unsupported_type", 415

    def __init__(
        self, message: str = "", *, hint: str | None = None, accept_encoding: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.accept_encoding = accept_encoding


class UnprocessableContent(InvalidRequest):
    """Well-formed content that breaks a rule of its format."""

    code, status = "unprocessable", 422


class NotAuthenticated(HyphaError, PermissionError):
    """A credential is needed or the given one is not valid."""

    code, status, retry = "not_authenticated", 401, "after login"
    rpc_name = "PermissionError"


class TokenExpired(NotAuthenticated):
    """The token was valid once; get a fresh one."""

    code, retry = "token_expired", "after refresh"


class PermissionDenied(HyphaError, PermissionError):
    """The user is known but lacks the right."""

    code, status, rpc_name = "permission_denied", 403, "PermissionError"


class ForeignFunction(PermissionDenied):
    """A function value names somebody else than the client that sent it."""

    code = "foreign_function"


class NotFound(HyphaError, KeyError):
    """Something named does not exist, or the user may not know that it does."""

    code, status, rpc_name = "not_found", 404, "KeyError"


class WorkspaceNotFound(NotFound):
    """No such workspace, or none that the user may see."""


class ServiceNotFound(NotFound):
    """No service matches the query."""


class FunctionNotFound(NotFound):
    """The service has no such function."""


class ArtifactNotFound(NotFound):
    """No such artifact, or none that the user may see."""


class AppNotFound(NotFound):
    """No such installed app."""


class ObjectNotFound(NotFound):
    """No object is at that path."""


class UploadNotFound(NotFound, ValueError):
    """No upload in parts has this id, or not any more."""

    rpc_name = "ValueError"


class Conflict(HyphaError):
    """The request collides with the present state."""

    code, status, rpc_name = "conflict", 409, "ValueError"


class AlreadyExists(Conflict):
    """The name is taken."""

    code, rpc_name = "already_exists", "FileExistsError"


class ServiceTypeExists(AlreadyExists):
    """A service type of that id exists; callers over RPC know it as a KeyError."""

    rpc_name = "KeyError"


class VersionConflict(Conflict):
    """Somebody else changed it meanwhile."""

    code = "version_conflict"


class LimitReached(HyphaError):
    """A limit was reached; `retry_after_s` says when it may pass (None: not by waiting)."""

    code, status, retry = "limit_reached", 429, "after retry_after_s"

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QuotaExceeded(LimitReached):
    """A quota of the user, workspace or client is used up."""

    code = "quota_exceeded"


class RateLimited(LimitReached):
    """Too many requests in a short time."""

    code = "rate_limited"


class FrameTooLarge(LimitReached):
    """A frame, message or body is larger than its limit."""

    code, status = "frame_too_large", 413


class CallFailed(HyphaError):
    """The callee raised; `message` is the callee's own text.

    `trace` is the traceback that the callee's library sent along; it may name the callee's files.
    """

    code, rpc_name = "call_failed", "RemoteException"

    def __init__(self, message: str = "", *, hint: str | None = None, trace: str = "") -> None:
        super().__init__(message, hint=hint)
        self.trace = trace


class ResultNotJson(CallFailed):
    """The callee's result holds bytes or another thing that JSON cannot carry."""

    code = "result_not_json"


class UnreadableAnswer(CallFailed):
    """The callee's answer breaks the wire format."""

    rpc_name = "RuntimeError"


class ProbeFailed(CallFailed):
    """A probe raised: what it watches is not ready or not alive, whatever the error's type."""

    code, status, retry, rpc_name = "probe_failed", 503, "yes", "RemoteException"


class NotDelivered(HyphaError, ConnectionError):
    """Certain: the callee never saw the call; repeating it is safe."""

    code, status, retry = "not_delivered", 503, "yes"


class PeerGone(NotDelivered):
    """The callee left; the call never reached it."""

    rpc_name = "NotDelivered"


class OutcomeUnknown(HyphaError, ConnectionError):
    """The callee may have run the call; repeat it only if that is harmless."""

    code, status, retry = "outcome_unknown", 504, "only if idempotent"


class CallTimedOut(OutcomeUnknown, TimeoutError):
    """No answer within the caller's deadline."""

    code, rpc_name = "call_timed_out", "TimeoutError"


class ServerFault(HyphaError):
    """A fault of the server; the log has the details under the id in the text."""

    code = "server_fault"


class BackendUnavailable(ServerFault):
    """A store that the server needs does not answer."""

    code, status, retry = "backend_unavailable", 503, "yes"


class LeaseLost(BackendUnavailable):
    """This replica was taken for gone: what it owned is others' now, and nothing was changed."""


class StorageFull(ServerFault):
    """The disk has no room, or cannot be written."""

    code, status, retry = "storage_full", 507, "yes"


class ConfigurationError(HyphaError, ValueError):
    """The server cannot start with these settings; the text is all that is shown."""

    code = "configuration"
