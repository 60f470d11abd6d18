"""A bucket of S3 as what keeps the files: somebody's, or that of a MinIO server which we start."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypha.errors import BackendUnavailable, ConfigurationError
from hypha.features.storage.backing import Backing
from hypha.features.storage.credentials import Lender, policy_of
from hypha.features.storage.folders import StoredFolders
from hypha.features.storage.minio import MinioServer
from hypha.features.storage.options import MINIO, StorageOptions
from hypha.ids import random_id
from hypha.objects.local.urls import LocalUrls

if TYPE_CHECKING:
    from hypha.objects.s3.control import LentKey
    from hypha.objects.s3.endpoint import Endpoint
    from hypha.objects.s3.store import S3Objects

logger = logging.getLogger(__name__)

Close = Callable[[], Awaitable[None]]

LENT_FOR_S = 3600
ANY_ROLE = "arn:aws:iam::000000000000:role/hypha"
"""Storages that are their own STS don't look at it."""
MISSING = (
    "Files on S3 need further packages: pip install 'hypha-server[s3]', or leave --endpoint-url out for the "
    "embedded store."
)

TAKES_UNSIGNED = (
    "This S3 takes headers of its own that are not signed, as for a copy: whoever could write one file could "
    "read all. Addresses to write lead through this server."
)


async def open_remote(options: StorageOptions, own: LocalUrls) -> Backing:
    """Open the bucket at `--endpoint-url`.

    Raises:
        ConfigurationError: it cannot be used, or packages are missing.
    """
    try:
        from hypha.objects.s3.store import S3Objects
        from hypha.objects.s3.urls import DIRECT_LIFE_S, S3Urls, shown_place
    except ImportError:
        raise ConfigurationError(MISSING) from None
    endpoint = endpoint_of(options)
    store = S3Objects(endpoint)
    await store.start(takes_cors=options.s3_admin_type != MINIO)
    store.spool.least_free_bytes = options.least_free_disk_bytes
    if not store.is_conditional:
        logger.info("This S3 knows no conditional writes: no other server may write to its bucket")
    if store.takes_unsigned:
        logger.warning(TAKES_UNSIGNED)
    urls = S3Urls(
        endpoint, own, store.counting,
        is_proxied=options.enable_s3_proxy, is_read_only=store.takes_unsigned,
    )  # fmt: skip
    lender = await lender_of(options, store)
    return Backing(
        store, store.room, StoredFolders(store), urls, shown_place(endpoint), store.close, lender,
        late_s=DIRECT_LIFE_S,
    )  # fmt: skip


def endpoint_of(options: StorageOptions) -> Endpoint:
    """Where the options say that the files are."""
    from hypha.objects.s3.endpoint import Endpoint

    return Endpoint(
        options.endpoint_url or "",
        options.workspace_bucket,
        options.access_key_id or "",
        options.secret_access_key or "",
        options.region_name,
        options.endpoint_url_public or "",
        heeds_proxies=not options.s3_disable_proxy,
    )


async def open_own_minio(minio: MinioServer, options: StorageOptions, own: LocalUrls) -> Backing:
    """Start a MinIO server, and open the bucket there; it ends with the backing.

    Raises:
        ConfigurationError: one of both is not possible.
    """
    await minio.start()
    try:
        backing = await open_remote(
            replace(
                options, start_minio_server=False, endpoint_url=minio.url, access_key_id=minio.user,
                secret_access_key=minio.password, s3_admin_type=MINIO,
            ),
            own,
        )  # fmt: skip
    except BaseException:
        await minio.stop()
        raise
    return replace(backing, close=_both(backing.close, minio.stop))


def _both(first: Close, then: Close) -> Close:
    async def close() -> None:
        try:
            await first()
        finally:
            await then()

    return close


async def lender_of(options: StorageOptions, store: S3Objects) -> Lender | None:
    """Whoever lends keys, where the storage has an STS that keeps them to their prefix."""
    if options.s3_admin_type != MINIO and not options.s3_role_arn:
        return None
    lender = StsLender(store, options.s3_role_arn or ANY_ROLE, options.s3_sts_endpoint_url or "")
    try:
        if await lender.is_narrow():
            return lender
        logger.warning("S3 lends keys that open more than they should: generate_credential is not offered")
    except BackendUnavailable:
        logger.info("S3 lends no keys: generate_credential is not offered")
    return None


class StsLender(Lender):
    """Lends keys with `AssumeRole` and a policy for one prefix."""

    def __init__(self, store: S3Objects, role: str, sts_url: str) -> None:
        self._store = store
        self._role = role
        self._sts_url = sts_url

    async def lend(self, prefix: str, user_id: str) -> dict[str, Any]:
        """See `Lender`."""
        endpoint = self._store.endpoint
        self._store.counting.check(prefix)
        key = await self._lent(prefix, user_id)
        return {
            "endpoint_url": endpoint.public_url or endpoint.url,
            "access_key_id": key.access_key_id,
            "secret_access_key": key.secret_access_key,
            "session_token": key.session_token,
            "expires_at": key.expires_at,
            "region_name": endpoint.region,
            "bucket": endpoint.bucket,
            "prefix": prefix,
        }

    async def _lent(self, prefix: str, user_id: str) -> LentKey:
        name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in user_id)[:60]
        policy = policy_of(self._store.endpoint.bucket, prefix)
        session = f"hypha-{name}"[:64]
        return await self._store.control.lend(self._sts_url, self._role, policy, LENT_FOR_S, session)

    async def is_narrow(self) -> bool:
        """Try a lent key: it must open its own prefix, and no other.

        Raises:
            BackendUnavailable: none is lent.
        """
        own, foreign = f".hypha-probe/{random_id()}/", f".hypha-probe/{random_id()}/"
        for prefix in (own, foreign):
            await self._store.put(f"{prefix}x", b"1")
        try:
            key, control = await self._lent(own, "probe"), self._store.control
            return await control.opens(key, f"{own}x") and not await control.opens(key, f"{foreign}x")
        finally:
            for prefix in (own, foreign):
                await self._store.delete(f"{prefix}x")
