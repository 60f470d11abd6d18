"""Signed addresses of the embedded store: `{base}/s3/{bucket}/{key}`, with a query that only it can make."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from hypha.errors import PermissionDenied
from hypha.objects.checks import check_number
from hypha.objects.keys import check_key
from hypha.objects.urls import AS_ANNOUNCED, Reach, SignedUrls

PATH = "/s3"
SIGNATURE, EXPIRES = "X-Hypha-Signature", "X-Hypha-Expires"
SIZE, SHA256, TTL = "X-Hypha-Max-Bytes", "X-Hypha-Sha256", "X-Hypha-Ttl"
FILENAME, UPLOAD, NUMBER = "X-Hypha-Filename", "uploadId", "partNumber"
_FIELDS = 16
_ACTIONS = {"GET": "GET", "HEAD": "GET", "PUT": "PUT"}


class SignatureRefused(PermissionDenied):
    """An address is not signed, was altered, or is of another time; `s3_code` says it in the words of S3."""

    def __init__(self, message: str, s3_code: str = "AccessDenied") -> None:
        super().__init__(message)
        self.s3_code = s3_code


@dataclass(frozen=True, slots=True)
class Permit:
    """What an address was signed for."""

    key: str
    filename: str = ""
    upload: str = ""
    number: int = 0
    max_bytes: int | None = None
    sha256: str | None = None
    ttl: float | None = None


async def _only_one(key: str) -> str:
    return ""


class LocalUrls(SignedUrls):
    """See `SignedUrls`.

    Args:
        secret: from which the key of the signatures is made; the same after a restart.
        base: the address that the server announces. local_base: the one within its own network.
        clock: Unix time in seconds.
        generation_of: tells those apart whom a key belonged to one after the other; an address is good for
            the one for whom it was made.
    """

    def __init__(
        self,
        bucket: str,
        secret: str,
        base: str,
        clock: Callable[[], float] = time.time,
        generation_of: Callable[[str], Awaitable[str]] = _only_one,
        local_base: str = "",
    ) -> None:
        self._bucket = bucket
        self._key = hashlib.sha256(f"signed addresses of objects\n{secret}".encode()).digest()
        self._base = base
        self._local_base = local_base or base
        self._clock = clock
        self.generation_of = generation_of

    async def get(
        self, key: str, *, expires_in: float, reach: Reach = AS_ANNOUNCED, filename: str = ""
    ) -> str:
        """See `SignedUrls`."""
        return await self._signed("GET", key, expires_in, reach, {FILENAME: filename})

    async def put(
        self,
        key: str,
        *,
        expires_in: float,
        reach: Reach = AS_ANNOUNCED,
        max_bytes: int | None = None,
        sha256: str = "",
        ttl: float | None = None,
    ) -> str:
        """See `SignedUrls`."""
        more = {SIZE: _text(max_bytes), SHA256: sha256.lower(), TTL: _text(ttl)}
        return await self._signed("PUT", key, expires_in, reach, more)

    async def part(
        self, key: str, upload: str, number: int, *, expires_in: float, reach: Reach = AS_ANNOUNCED,
        max_bytes: int | None = None,
    ) -> str:  # fmt: skip
        """See `SignedUrls`."""
        more = {UPLOAD: upload, NUMBER: str(check_number(number)), SIZE: _text(max_bytes)}
        return await self._signed("PUT", key, expires_in, reach, more)

    async def check(self, method: str, bucket: str, key: str, query: str) -> Permit:
        """What the address of a request was signed for.

        Raises:
            SignatureRefused: it is not signed for this method, this object and this time.
        """
        action = _ACTIONS.get(method)
        if action is None:
            raise SignatureRefused("Signed addresses are for GET, HEAD and PUT.", "MethodNotAllowed")
        fields = _fields(query)
        given, until = fields.pop(SIGNATURE, ""), fields.get(EXPIRES, "")
        if not given or not until:
            raise SignatureRefused("This address is open only with a signature of the server.")
        wanted = self._signature(action, bucket, key, fields, await self.generation_of(key))
        if not hmac.compare_digest(wanted.encode(), given.encode()):
            raise SignatureRefused(
                "The signature is not one for this method and address: use the address as it was given.",
                "SignatureDoesNotMatch",
            )
        if self._clock() >= int(until):
            raise SignatureRefused("Request has expired: ask for a new address.")
        return Permit(
            key,
            filename=fields.get(FILENAME, ""),
            upload=fields.get(UPLOAD, ""),
            number=int(fields.get(NUMBER, 0)),
            max_bytes=int(fields[SIZE]) if SIZE in fields else None,
            sha256=fields.get(SHA256),
            ttl=float(fields[TTL]) if TTL in fields else None,
        )

    async def _signed(
        self, action: str, key: str, expires_in: float, reach: Reach, more: Mapping[str, str]
    ) -> str:
        key = check_key(key)
        fields = {EXPIRES: str(math.ceil(self._clock() + expires_in))}
        fields.update((name, value) for name, value in more.items() if value)
        generation = await self.generation_of(key)
        fields[SIGNATURE] = self._signature(action, self._bucket, key, fields, generation)
        query = urlencode(fields, quote_via=quote)
        base = reach.base or (self._local_base if reach.is_local else self._base)
        return f"{base.rstrip('/')}{PATH}/{self._bucket}/{quote(key, safe='/~')}?{query}"

    def _signature(
        self, action: str, bucket: str, key: str, fields: Mapping[str, str], generation: str
    ) -> str:
        text = json.dumps([action, bucket, key, sorted(fields.items()), generation])
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def _text(number: float | None) -> str:
    return "" if number is None else str(number)


def _fields(query: str) -> dict[str, str]:
    """The fields of a query, all of which are signed.

    Raises:
        SignatureRefused: one comes twice, or there are too many.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS, errors="replace")
    except ValueError:
        pairs = []
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise SignatureRefused("The address names something twice.", "SignatureDoesNotMatch")
    return fields
