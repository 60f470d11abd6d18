"""The sandbox in which browsers show pages of other people: an origin of its own, scripts without rights."""

from __future__ import annotations

SANDBOX = b"sandbox " + b" ".join(
    (
        b"allow-downloads", b"allow-forms", b"allow-modals", b"allow-orientation-lock", b"allow-pointer-lock",
        b"allow-popups", b"allow-popups-to-escape-sandbox", b"allow-presentation", b"allow-scripts",
    )
)  # fmt: skip
