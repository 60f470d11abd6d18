"""What a storage can do and what it lets through: found out at the start, since it tells nobody."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import obstore
from obstore.store import S3Store

from hypha.errors import AlreadyExists
from hypha.ids import random_id
from hypha.objects.s3.control import Control
from hypha.objects.s3.facts import SHA256
from hypha.objects.s3.failures import told

logger = logging.getLogger(__name__)

PROBE = ".hypha-probe"
_COPY_SOURCE = "x-amz-copy-source"
_DIGEST = f"x-amz-meta-{SHA256}"


async def has_conditions(data: S3Store) -> bool:
    """Whether a second object of a name is refused where only a first one may come."""
    async with _probe(data) as key:
        try:
            with told(key):
                await obstore.put_async(data, key, b"2", mode="create")
            return False
        except AlreadyExists:
            return True


async def takes_unsigned(data: S3Store, control: Control) -> bool:
    """Whether who may write an object can say more of it than was signed: what is copied there, what it is.

    S3 refuses headers of its own that are not signed. A storage that lets them through copies with the rights
    of whoever signed, which are the server's, for all objects; and takes a digest that the bytes don't have.
    """
    endpoint = control.endpoint
    without_key = replace(endpoint, secret_access_key=random_id())
    async with _probe(data) as source, _probe(data) as target:
        if await control.writes(without_key, target, b"", {}):
            logger.warning("S3 looks at no signature: whoever reaches it reads and writes everything there")
            return False
        copying, lying = {_COPY_SOURCE: f"/{endpoint.bucket}/{source}"}, {_DIGEST: "0" * 64}
        for more in (copying, lying):
            if not await control.writes(endpoint, target, b"", more):
                continue
            with told(target):
                found = await obstore.get_async(data, target)
                if SHA256 in found.attributes or bytes(await found.bytes_async()) == source.encode():
                    return True
    return False


@asynccontextmanager
async def _probe(data: S3Store) -> AsyncIterator[str]:
    """The key of an object that is there meanwhile."""
    key = f"{PROBE}/{random_id()}"
    with told(key):
        await obstore.put_async(data, key, key.encode(), mode="create")
        try:
            yield key
        finally:
            await obstore.delete_async(data, key)
