"""What all functions of local accounts share: how they refuse, and where their callers are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from hypha.auth.users import Context
from hypha.errors import HyphaError, InvalidRequest, LimitReached, ServerFault
from hypha.features.accounts.attempts import Origin

if TYPE_CHECKING:
    from hypha.auth.audit import AuditLog

Answer = dict[str, Any]
_P = ParamSpec("_P")


def answered(function: Callable[_P, Awaitable[Answer]]) -> Callable[_P, Awaitable[Answer]]:
    """Every refusal is an answer with `success` false; faults of the server stay errors."""

    @wraps(function)
    async def answer(*args: _P.args, **kwargs: _P.kwargs) -> Answer:
        try:
            context = kwargs.get("context")
            if isinstance(context, Context) and context.details.get("http_method") == "GET":
                raise InvalidRequest("Use POST: an address with a password in it ends in logs and histories")
            return {"success": True, **await function(*args, **kwargs)}
        except ServerFault:
            raise
        except HyphaError as error:
            refusal: Answer = {"success": False, "error": error.message, "code": error.code}
            if isinstance(error, LimitReached) and error.retry_after_s is not None:
                refusal["retry_after_s"] = error.retry_after_s
            return refusal

    return answer


class FunctionGroup:
    """Base of the groups of functions that local accounts add to `hypha-login`."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    def _origin(self, context: Context) -> Origin:
        """Where a caller is: for limits, and as a device that signed in before."""
        return Origin(context.network_address, str(context.details.get("cookies", "")))

    def _note(self, action: str, user_id: str, context: Context, **more: object) -> None:
        detail = {"provider": "local accounts", **more}
        address, is_stranger = context.network_address, context.user.is_anonymous
        self._audit.note(action, user_id, address=address, detail=detail, is_stranger=is_stranger)
