"""`/s3/{bucket}/{key}`: objects of the embedded store for whoever has a signed address."""

from __future__ import annotations

from html import escape

from starlette.types import Receive, Scope, Send

from hypha.errors import Corrupted, FrameTooLarge, HyphaError, InvalidRequest, ObjectNotFound, UploadNotFound
from hypha.features.storage.expiries import Expiries
from hypha.objects.digests import told_sha256
from hypha.objects.local.urls import PATH, LocalUrls, Permit, SignatureRefused
from hypha.objects.store import ObjectStore
from hypha.web.bodies import ClientLeft
from hypha.web.content import RangeNotSatisfiable, body_of, content_type_of, send_object
from hypha.web.errors import error_answer, request_id
from hypha.web.headers import Headers, headers_of
from hypha.web.scope import PATH as ASKED_PATH

METHODS = b"GET, HEAD, OPTIONS, PUT"


class SignedRoute:
    """The route's ASGI endpoint. Whose request it is does not count: no credential is looked at.

    Errors are told in XML as S3 does.
    """

    def __init__(self, store: ObjectStore, urls: LocalUrls, expiries: Expiries) -> None:
        self._store = store
        self._urls = urls
        self._expiries = expiries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._answer(scope, receive, send)
        except ClientLeft:
            raise
        except HyphaError as error:
            await _refuse(error, scope, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        method: str = scope["method"]
        if method == "OPTIONS":
            await _say(send, 200, [(b"allow", METHODS)])
            return
        bucket, _, key = scope[ASKED_PATH].removeprefix(f"{PATH}/").partition("/")
        permit = await self._urls.check(method, bucket, key, scope["query_string"].decode("latin-1"))
        if method == "PUT":
            await self._put(permit, scope, receive, send)
        else:
            await send_object(self._store, key, scope, send, filename=permit.filename, receive=receive)

    async def _put(self, permit: Permit, scope: Scope, receive: Receive, send: Send) -> None:
        given = headers_of(scope)
        length = given.get(b"content-length", b"")
        most = permit.max_bytes
        if most is not None and length.isdigit() and int(length) > most:
            raise FrameTooLarge(f"The file is larger than {most:,} bytes.")
        store = self._store
        body = body_of(receive, length, store.gathered(permit.key, is_part=bool(permit.upload)))
        if permit.upload:
            etag = await store.put_part(
                permit.key, permit.upload, permit.number, body, max_bytes=most, sha256=told_sha256(given)
            )
        else:
            generation = await self._urls.generation_of(permit.key)
            info = await store.put(
                permit.key,
                body,
                content_type=content_type_of(permit.key, given.get(b"content-type", b"")),
                metadata=await self._expiries.note(permit.key, permit.ttl),
                sha256=_agreed(permit.sha256, told_sha256(given)),
                max_bytes=most,
            )
            etag = info.etag
            if await self._urls.generation_of(permit.key) != generation:  # it ended while the body came
                await store.delete(permit.key)
                raise SignatureRefused("The workspace of this file has ended.")
        await _say(send, 200, [(b"etag", f'"{etag}"'.encode())])


def _agreed(signed: str | None, told: str | None) -> str | None:
    """The digest that a body must have: that of the address, or the one that its sender says.

    Raises:
        InvalidRequest: they are two.
    """
    if signed and told and signed != told:
        raise InvalidRequest("This address is for a file of another sha-256 than the request names.")
    return signed or told


async def _say(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse(error: HyphaError, scope: Scope, send: Send) -> None:
    answer = error_answer(error, scope)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{_s3_code(error)}</Code><Message>{escape(error.message, quote=False)}</Message>"
        f"<Resource>{escape(scope['path'], quote=False)}</Resource>"
        f"<RequestId>{request_id(scope)}</RequestId></Error>"
    )
    headers: Headers = [(b"content-type", b"application/xml"), *answer.headers]
    if isinstance(error, RangeNotSatisfiable):
        headers.append((b"content-range", b"bytes */%d" % error.size_bytes))
    await _say(send, answer.status, headers, text.encode("utf-8", "replace"))


def _s3_code(error: HyphaError) -> str:
    """The name that S3 has for an error, else our own."""
    if isinstance(error, SignatureRefused):
        return error.s3_code
    for kind, name in (
        (ObjectNotFound, "NoSuchKey"),
        (UploadNotFound, "NoSuchUpload"),
        (RangeNotSatisfiable, "InvalidRange"),
        (FrameTooLarge, "EntityTooLarge"),
        (Corrupted, "BadDigest"),
    ):
        if isinstance(error, kind):
            return name
    return "".join(word.capitalize() for word in error.code.split("_"))
