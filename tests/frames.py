"""Reading frames in tests."""

from __future__ import annotations

from typing import Any

from hypha.wire.frames import Buffer, EnvelopeParser, decode_body


def decode(data: Buffer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Envelope and body of a frame."""
    main, head, _ = EnvelopeParser().parse(data)
    return main, decode_body(data, head)
