"""The requests to S3 that carry no bytes of objects: buckets, uploads in parts, deletion, credentials."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import IO, Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import ClientError

from hypha.errors import BackendUnavailable, ConfigurationError, StorageFull, UploadNotFound
from hypha.objects.checks import plain_etag
from hypha.objects.s3.endpoint import CONNECT_TIMEOUT_S, REQUEST_TIMEOUT_S, RETRIES, Endpoint
from hypha.objects.s3.facts import told_metadata
from hypha.objects.s3.failures import NO_ROOM, code_of, told
from hypha.objects.s3.requests import FULL, Requests, failed
from hypha.objects.store import ObjectInfo, Part

logger = logging.getLogger(__name__)

PER_DELETION = 1000
CORS = {
    "CORSRules": [
        {
            "AllowedMethods": ["GET", "HEAD", "PUT", "POST", "DELETE"],
            "AllowedOrigins": ["*"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag", "Accept-Ranges", "Content-Length", "Content-Range"],
        }
    ]
}
_THERE = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists", "BucketNameUnavailable"})
_UNKNOWN = frozenset({"NotImplemented", "NoSuchUpload", "MethodNotAllowed", "405", "501", "InvalidRequest"})


@dataclass(frozen=True, slots=True)
class LentKey:
    """A key that ends by itself, at `expires_at` in Unix seconds."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: float


def loaded_session() -> AioSession:
    """What several clients can be made of, quickly; takes a tenth of a second of a thread's time."""
    session = get_session()
    loader = session.get_component("data_loader")
    for kind in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model("s3", kind)
    for name in ("endpoints", "partitions", "_retry", "sdk-default-configuration"):
        loader.load_data(name)
    return session


class Control:
    """One client for the time of the server: making one takes as long as a hundred requests.

    Args:
        session: of which the client is made; one of its own where there is but this one.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Callable[[], float] = time.time,
        session: AioSession | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._clock = clock
        self._session = session
        self._open = AsyncExitStack()
        self._s3: Any = None
        self._sts: Any = None
        self._asking: Requests | None = None

    async def start(self) -> None:
        """Make the client."""
        self._s3 = await self._client("s3", self.endpoint.url)
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=REQUEST_TIMEOUT_S
        )
        session = aiohttp.ClientSession(timeout=limits, trust_env=self.endpoint.heeds_proxies)
        self._asking = Requests(await self._open.enter_async_context(session), self._clock)

    async def close(self) -> None:
        """Close its connections."""
        await self._open.aclose()

    async def _client(self, service: str, url: str) -> Any:
        endpoint = self.endpoint
        config = AioConfig(
            signature_version="s3v4" if service == "s3" else "v4",
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": RETRIES, "mode": "standard"},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=REQUEST_TIMEOUT_S,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            **({} if endpoint.heeds_proxies else {"proxies": {}}),
        )
        making = (self._session or get_session()).create_client(
            service, endpoint_url=url, region_name=endpoint.region, config=config,
            aws_access_key_id=endpoint.access_key_id, aws_secret_access_key=endpoint.secret_access_key,
        )  # fmt: skip
        return await self._open.enter_async_context(making)

    # -- the bucket

    async def ensure_bucket(self) -> None:
        """Make the bucket if it is missing.

        Raises:
            ConfigurationError: it can neither be made nor used. BackendUnavailable.
        """
        bucket, region = self.endpoint.bucket, self.endpoint.region
        where = {} if region in ("us-east-1", "EU", "") else {"LocationConstraint": region}
        more = {"CreateBucketConfiguration": where} if where else {}
        try:
            with told():
                try:
                    await self._s3.create_bucket(Bucket=bucket, **more)
                except ClientError as error:
                    if code_of(error) in _THERE:
                        return
                    await self._s3.head_bucket(Bucket=bucket)  # it may be used and not made
        except BackendUnavailable as error:
            raise ConfigurationError(
                f"The S3 endpoint cannot be used: the bucket {bucket} can neither be made nor opened. "
                "Look at --endpoint-url, --access-key-id, --secret-access-key and --workspace-bucket. "
                f"({error.message})"
            ) from None

    async def open_to_browsers(self) -> None:
        """Let pages of every origin use signed addresses; not every storage can be told that."""
        try:
            with told():
                await self._s3.put_bucket_cors(Bucket=self.endpoint.bucket, CORSConfiguration=CORS)
        except Exception as error:
            logger.info("S3 takes no CORS rules (%s): browsers may need --enable-s3-proxy", error)

    async def page(self, query: dict[str, str]) -> bytes:
        """The XML of a page of ListObjectsV2."""
        query = {"list-type": "2", "encoding-type": "url", **query}
        answer = await self._requests.ask(self.endpoint, "ListObjectsV2", "GET", "", query)
        if answer.status != 200:
            raise failed("ListObjectsV2", answer.status)
        return answer.content

    # -- uploads in parts

    async def begin(self, key: str, content_type: str, metadata: dict[str, str]) -> str:
        """Begin an upload."""
        with told(key):
            made = await self._s3.create_multipart_upload(
                Bucket=self.endpoint.bucket, Key=key, ContentType=content_type,
                Metadata=told_metadata(metadata),
            )  # fmt: skip
        if not made.get("UploadId"):
            raise failed("CreateMultipartUpload", 200)
        return str(made["UploadId"])

    async def put_part(self, key: str, upload: str, number: int, body: IO[bytes], size: int) -> str:
        """Send one part; returns its ETag."""
        query = {"partNumber": str(number), "uploadId": upload}
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        answer = await self._requests.ask(
            self.endpoint, "UploadPart", "PUT", key, query, body=lambda: _all_of(body), headers=headers
        )
        if answer.status == 404:
            raise UploadNotFound(f"Upload ID {upload[:64]} not found or expired")
        if answer.status == FULL:
            raise StorageFull(NO_ROOM)
        if answer.status != 200:
            raise failed("UploadPart", answer.status)
        return plain_etag(answer.etag)

    async def complete(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> None:
        """Put parts together."""
        told_parts = [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in parts]
        with told(key, upload):
            await self._s3.complete_multipart_upload(
                Bucket=self.endpoint.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": told_parts}
            )

    async def abort(self, key: str, upload: str) -> None:
        """Forget an upload."""
        with told(key, upload):
            await self._s3.abort_multipart_upload(Bucket=self.endpoint.bucket, Key=key, UploadId=upload)

    async def uploads(self, prefix: str = "") -> list[tuple[str, str, float]]:
        """Key, id and begin of all uploads to keys with a prefix; none where the storage lists none."""
        found: list[tuple[str, str, float]] = []
        more: dict[str, Any] = {}
        while True:
            with told():
                try:
                    page = await self._s3.list_multipart_uploads(
                        Bucket=self.endpoint.bucket, Prefix=prefix, **more
                    )
                except ClientError as error:
                    if code_of(error) in _UNKNOWN:
                        return found
                    raise
            for each in page.get("Uploads", ()):
                begun: datetime = each["Initiated"]
                if each["Key"].startswith(prefix):
                    found.append((each["Key"], each["UploadId"], begun.timestamp()))
            if not page.get("IsTruncated"):
                return found
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    async def parts(self, key: str, upload: str) -> list[Part]:
        """The parts of an upload that are there, in the order of their numbers."""
        found: list[Part] = []
        more: dict[str, Any] = {}
        while True:
            with told(key, upload):
                page = await self._s3.list_parts(
                    Bucket=self.endpoint.bucket, Key=key, UploadId=upload, **more
                )
            for each in page.get("Parts", ()):
                found.append(Part(each["PartNumber"], plain_etag(each["ETag"]), each["Size"]))
            if not page.get("IsTruncated"):
                return found
            more = {"PartNumberMarker": page["NextPartNumberMarker"]}

    async def copy_part(
        self, source: ObjectInfo, target: str, upload: str, number: int, start: int, stop: int
    ) -> str:
        """Let bytes of an object be a part of another one; returns its ETag.

        Raises:
            Conflict: another one has come in its place.
        """
        with told(source.key):
            made = await self._s3.upload_part_copy(
                Bucket=self.endpoint.bucket, Key=target, UploadId=upload, PartNumber=number,
                CopySource={"Bucket": self.endpoint.bucket, "Key": source.key},
                CopySourceIfMatch=f'"{source.etag}"',
                CopySourceRange=f"bytes={start}-{stop - 1}",
            )  # fmt: skip
        return plain_etag(made["CopyPartResult"]["ETag"])

    # -- deletion, credentials

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, whatever their names."""
        for start in range(0, len(keys), PER_DELETION):
            some = [{"Key": key} for key in keys[start : start + PER_DELETION]]
            with told():
                made = await self._s3.delete_objects(
                    Bucket=self.endpoint.bucket, Delete={"Objects": some, "Quiet": True}
                )
            if made.get("Errors"):
                raise failed("DeleteObjects", 500)

    async def lend(self, sts_url: str, role: str, policy: object, life_s: int, name: str) -> LentKey:
        """A key of narrower rights, from the STS of the storage."""
        with told():
            if self._sts is None:
                self._sts = await self._client("sts", sts_url or self.endpoint.url)
            made = await self._sts.assume_role(
                RoleArn=role, RoleSessionName=name, DurationSeconds=life_s, Policy=json.dumps(policy)
            )
        given = made["Credentials"]
        return LentKey(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"],
            given["Expiration"].timestamp(),
        )  # fmt: skip

    async def opens(self, key: LentKey, name: str) -> bool:
        """Whether a lent key reads an object."""
        lent = replace(
            self.endpoint, access_key_id=key.access_key_id, secret_access_key=key.secret_access_key,
            session_token=key.session_token,
        )  # fmt: skip
        return (await self._requests.ask(lent, "GetObject", "GET", name, {})).status == 200

    async def writes(self, endpoint: Endpoint, key: str, content: bytes, headers: dict[str, str]) -> bool:
        """Whether a signed address writes an object, with headers that are not signed."""
        answer = await self._requests.ask(
            endpoint, "PutObject", "PUT", key, {}, body=lambda: content, headers=headers
        )
        return answer.status == 200

    @property
    def _requests(self) -> Requests:
        assert self._asking is not None  # from `start` to `close`
        return self._asking


async def _all_of(body: IO[bytes]) -> AsyncIterator[bytes]:
    """The bytes of a file, read beside the event loop."""
    body.seek(0)
    while data := await asyncio.to_thread(body.read, 1024 * 1024):
        yield data
