"""What bounds the use of Triton servers."""

from __future__ import annotations

from hypha.limits.bound import Bound, Section

BOUNDS = {
    Section.REQUESTS: (
        Bound(
            "triton",
            "What a stranger sends to a public model on a Triton server; connections to Triton servers",
            "call; server",
            "Refused; wait for one",
            (
                "hypha.features.triton.service.MAX_INPUT_BYTES",
                "hypha.features.triton.servers.MAX_CONNECTIONS",
            ),
        ),
    ),
}
