"""Signed addresses as S3 understands them (signature version 4, in the query); no I/O."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from hypha.objects.s3.endpoint import Endpoint

MAX_LIFE_S = 7 * 86400
_ALGORITHM = "AWS4-HMAC-SHA256"


def presigned(
    endpoint: Endpoint,
    method: str,
    key: str,
    query: Mapping[str, str],
    *,
    expires_in: float,
    now: float,
    base: str = "",
) -> str:
    """The address for one request to an object, or with an empty key to the bucket.

    Args:
        query: goes with it, signed. expires_in: seconds, at most a week. now: Unix seconds.
        base: of the endpoint as whoever asks reaches it; by default as the server does. Its host and path
            are signed: it comes from the operator, never from a caller.
    """
    base = (base or endpoint.url).rstrip("/")
    parts = urlsplit(base)
    path = f"{parts.path}/{endpoint.bucket}" + (f"/{quote(key, safe='/~')}" if key else "")
    at = datetime.fromtimestamp(now, UTC)
    scope = f"{at:%Y%m%d}/{endpoint.region}/s3/aws4_request"
    fields = {
        **query,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{endpoint.access_key_id}/{scope}",
        "X-Amz-Date": f"{at:%Y%m%dT%H%M%SZ}",
        "X-Amz-Expires": str(max(1, min(math.ceil(expires_in), MAX_LIFE_S))),
        "X-Amz-SignedHeaders": "host",
        **({"X-Amz-Security-Token": endpoint.session_token} if endpoint.session_token else {}),
    }
    line = "&".join(
        sorted(f"{quote(name, safe='~')}={quote(text, safe='~')}" for name, text in fields.items())
    )
    asked = f"{method}\n{path}\n{line}\nhost:{parts.netloc.lower()}\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(asked.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{fields['X-Amz-Date']}\n{scope}\n{digest}"
    signature = hmac.new(_key(endpoint, at), text.encode(), hashlib.sha256).hexdigest()
    return f"{parts.scheme}://{parts.netloc}{path}?{line}&X-Amz-Signature={signature}"


def _key(endpoint: Endpoint, at: datetime) -> bytes:
    key = f"AWS4{endpoint.secret_access_key}".encode()
    for word in (f"{at:%Y%m%d}", endpoint.region, "s3", "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return key
