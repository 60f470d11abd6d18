"""Failures of an S3 storage in our words: what it answers never reaches a client or a log as it is."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError
from obstore import exceptions as obstore

from hypha.errors import (
    AlreadyExists,
    BackendUnavailable,
    Conflict,
    HyphaError,
    InvalidRequest,
    ObjectNotFound,
    StorageFull,
    UploadNotFound,
)

_STATUS = re.compile(r"status code: (\d{3})\b")

logger = logging.getLogger(__name__)

UNAVAILABLE = "The storage of files does not answer as it should: nothing was changed. Try again later."
REFUSED = "The storage of files refuses the server: ask the server's operator to look at its key."
NO_ROOM = "The storage of files has no room: nothing was changed."
_REFUSALS = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "401", "403"}
)
_WRONG_PARTS = {
    "InvalidPart": "A part was not uploaded, or with another ETag.",
    "InvalidPartOrder": "The parts of an upload are given once each, in the order of their numbers.",
    "EntityTooSmall": "All parts but the last have at least 5 MiB in this storage.",
    "MalformedXML": "The parts of an upload are given once each, in the order of their numbers.",
    "InvalidRequest": "The parts of the upload are not as they should be.",
    "InvalidArgument": "The parts of the upload are not as they should be.",
}
_FULL = frozenset({"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "507"})
_CHANGED = frozenset({"PreconditionFailed", "412"})
_NOT_FOUND = frozenset({"NoSuchKey", "NotFound", "404"})


@contextmanager
def told(key: str = "", upload: str = "") -> Iterator[None]:
    """Raise what the clients of S3 raise as errors of ours.

    Raises:
        ObjectNotFound, AlreadyExists, Conflict, UploadNotFound, InvalidRequest, StorageFull,
            BackendUnavailable.
    """
    try:
        yield
    except FileNotFoundError:
        raise ObjectNotFound(f"File not found: {key[:200]}") from None
    except (obstore.AlreadyExistsError, obstore.PreconditionError):
        raise AlreadyExists(f"A file is at {key[:200]} already.") from None
    except (obstore.PermissionDeniedError, obstore.UnauthenticatedError):
        raise _refused("a request of data") from None
    except obstore.BaseError as error:
        raise _unavailable(_reason(error)) from None
    except ClientError as error:
        raise _of_code(code_of(error), error.operation_name, key, upload) from None
    except (BotoCoreError, aiohttp.ClientError, TimeoutError) as error:
        raise _unavailable(type(error).__name__) from None


def _reason(error: Exception) -> str:
    """What an operator needs of an error of the storage, and none of the words that came with it."""
    status = _STATUS.search(str(error)[:2000])
    return f"{type(error).__name__}, status {status[1]}" if status else type(error).__name__


def code_of(error: ClientError) -> str:
    """The word that S3 has for what went wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))[:60]


def _of_code(code: str, operation: str, key: str, upload: str) -> HyphaError:
    if code in _NOT_FOUND and not upload:
        return ObjectNotFound(f"File not found: {key[:200]}")
    if upload and code in ("NoSuchUpload", *_NOT_FOUND):
        return UploadNotFound(f"Upload ID {upload[:64]} not found or expired")
    if upload and code in _WRONG_PARTS:
        return InvalidRequest(_WRONG_PARTS[code])
    if code in _CHANGED:
        return Conflict(f"The file {key[:200]} was changed while it was copied: copy it again.")
    if code in _FULL:
        return StorageFull(NO_ROOM)
    return _refused(operation) if code in _REFUSALS else _unavailable(f"{operation}: {code}")


def _refused(what: str) -> BackendUnavailable:
    logger.error("S3 refuses the server's key (%s): look at --access-key-id and --secret-access-key", what)
    return BackendUnavailable(REFUSED)


def _unavailable(what: str) -> BackendUnavailable:
    logger.warning("S3 failed: %s", what)
    return BackendUnavailable(UNAVAILABLE)
