"""`/rpc`: opens streams and takes their POSTs, each bound to the stream's credential."""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hypha.auth.tokens import fingerprint
from hypha.errors import (
    HyphaError,
    InvalidRequest,
    NotAuthenticated,
    NotDelivered,
    PermissionDenied,
    TokenExpired,
)
from hypha.transports.base import Transport
from hypha.transports.http_stream import StreamLink, cookie_name
from hypha.transports.reception import BUSY, PREFIX
from hypha.transports.stream_secrets import StreamSecrets
from hypha.web.bodies import read_whole
from hypha.wire.handshake import Busy, FirstMessage, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.types import Receive, Scope, Send

    from hypha.auth.users import User
    from hypha.hub.client import Client
    from hypha.transports.reception import Reception

logger = logging.getLogger(__name__)

PATH = "/rpc"
PAUSED_POST_TIMEOUT_S = 25.0
NOT_ITS_USER = (
    "Permission denied: not the stream's user. Send the token with which the stream was opened, or without "
    "one the stream's cookie or the header X-Hypha-Stream that its answer brought."
)
NOT_ITS_TOKEN = (
    "Permission denied: this token gives less than the one with which the stream was opened. Send that one."
)
NO_STREAM = "No stream is open for this client; open one with GET first."


class HttpStreams(Transport):
    """`/rpc`."""

    name = "rpc_endpoint"
    streams = (PATH,)

    def routes(self) -> Sequence[BaseRoute]:
        """The one route."""
        context, settings = self.context, self.context.settings
        endpoint = RpcEndpoint(
            context.reception,
            context.authenticate,
            context.address_of,
            context.token_of,
            StreamSecrets.from_settings(settings, context.origins),
            settings.stream_ping_interval_s,
        )
        return [Route(PATH, endpoint)]


class RpcEndpoint:
    """The HTTP streaming transport as an ASGI application.

    Args:
        authenticate: turns a bearer token into its user; raises NotAuthenticated.
        peer_address: the client's address, trusted proxies considered.
        ping_interval_s: a record is sent at least so often.
        allow_anonymous: without it a stream needs a token.
        stream_secrets: who may speak for a stream.
        token_of: the token that a request shows; InvalidRequest or NotAuthenticated for one that is odd.
    """

    def __init__(
        self,
        reception: Reception,
        authenticate: Callable[[str], Awaitable[User]],
        peer_address: Callable[[Scope], str],
        token_of: Callable[[Scope], Awaitable[str | None]],
        stream_secrets: StreamSecrets,
        ping_interval_s: float = 10.0,
        allow_anonymous: bool = True,
    ) -> None:
        self.reception = reception
        self.authenticate = authenticate
        self.peer_address = peer_address
        self.ping_interval_s = ping_interval_s
        self.allow_anonymous = allow_anonymous
        self.token_of = token_of
        self.secrets = stream_secrets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        values = {name: items[0] for name, items in query.items()}
        token = await self.token_of(scope)
        if scope["method"] == "GET":
            await self._open(scope, receive, send, values, token)
        elif scope["method"] == "POST":
            await self._post(scope, receive, send, values, token)
        else:
            raise HTTPException(405, headers={"Allow": "GET, POST"})

    async def _open(
        self, scope: Scope, receive: Receive, send: Send, values: dict[str, str], token: str | None
    ) -> None:
        client_id = values.get("client_id")
        if not client_id:
            raise InvalidRequest("client_id is required")
        reconnection = values.get("reconnection_token") or None
        first = FirstMessage(client_id, values.get("workspace") or None, token, reconnection)
        if not self.allow_anonymous and not token and not reconnection:
            raise NotAuthenticated("This server takes no anonymous streams; send a token.")
        address = self.peer_address(scope)
        known = self.secrets.address_for(scope, address)
        link = StreamLink(self.reception, address, self.ping_interval_s, known)
        if not self.reception.enter(link, silent=False):
            raise NotDelivered(BUSY)
        try:
            client = await self.reception.admit(first, link)
        except Busy:
            raise NotDelivered(BUSY) from None
        except Refused as error:
            raise _refusal(error, bool(reconnection)) from None
        finally:
            self.reception.leave(link)
        link.admitted(client)
        await link.run(receive, send, scope["path"])

    async def _post(
        self, scope: Scope, receive: Receive, send: Send, values: dict[str, str], token: str | None
    ) -> None:
        client_id, workspace = values.get("client_id"), values.get("workspace")
        if not client_id:
            raise InvalidRequest("client_id is required")
        user = None
        if token is not None:
            user = await self._user_of(token, workspace, client_id)
            self.reception.guard.blocklist.check_user(user)
        client = self._stream_client(workspace, client_id, user)
        # a client whose stream was cut goes on sending; the answers wait for its next stream
        link = client.last_link if client is not None else None
        if client is None or not isinstance(link, StreamLink):
            raise InvalidRequest(NO_STREAM)
        address = self.peer_address(scope)
        if not self.secrets.may_speak(link.key, user, scope, cookie_name(client.address), address):
            raise PermissionDenied(NOT_ITS_USER) if user is not None else NotAuthenticated(NOT_ITS_USER)
        if user is not None and not self._gives_as_much(user, client):
            raise PermissionDenied(NOT_ITS_TOKEN)
        most = self.reception.limits.frame_bytes
        body = await read_whole(receive, most, f"A frame may have at most {most} bytes.")
        if not body:
            raise InvalidRequest("Empty request body")
        if not await self._readable(link):
            raise NotDelivered("The receiver is too slow; try again.")
        if client.ended:  # while its body was on its way
            raise InvalidRequest(NO_STREAM)
        link.receive(body)
        await Response(media_type="application/json")(scope, receive, send)

    def _gives_as_much(self, user: User, client: Client) -> bool:
        """Whether a token of the stream's user gives what the one gives with which the stream was opened."""
        known, rights = client.user, self.reception.members.workspaces
        if user.credential is not None and user.credential == known.credential:
            return True
        scope, record = user.scope, rights.get(client.workspace)
        if scope.is_specialized or scope.client_id not in (None, client.client_id) or record is None:
            return False
        is_as_wide = user.limit in (None, known.limit) and user.is_admin >= known.is_admin
        return is_as_wide and rights.level_for(user, record) >= known.level(client.workspace)

    async def _user_of(self, token: str, workspace: str | None, client_id: str) -> User:
        """Whose token a POST shows; an expired one goes on counting for the client that came with it.

        So it is for WebSockets, whose token is looked at when they connect. Who revokes the token ends
        the client, expired or not.
        """
        try:
            return await self.authenticate(token)
        except TokenExpired:
            client = self._stream_client(workspace, client_id, None)
            came_with = "" if client is None else client.user.credential or ""
            if client is None or not hmac.compare_digest(fingerprint(token).encode(), came_with.encode()):
                raise
            return client.user

    @staticmethod
    async def _readable(link: StreamLink) -> bool:
        """Wait while back-pressure holds this client's frames."""
        if link.readable.is_set():
            return True
        try:
            async with asyncio.timeout(PAUSED_POST_TIMEOUT_S):
                await link.readable.wait()
        except TimeoutError:
            return False
        return True

    def _stream_client(self, workspace: str | None, client_id: str, user: User | None) -> Client | None:
        if workspace is None and user is not None:
            workspace = user.scope.current_workspace or user.own_workspace
        return self.reception.hub.client(workspace, client_id) if workspace else None


def _refusal(error: Refused, resuming: bool) -> HyphaError:
    """The HTTP error that says what a WebSocket client reads before it is closed."""
    text = error.message
    if error.kind is NotAuthenticated and resuming:
        text = f"Invalid reconnection token: {text}"
    elif error.kind is PermissionDenied:
        text = text.removeprefix(PREFIX).replace("denied for workspace: ", "denied for workspace ")
    return error.kind(text)
