"""How calls end without an answer of their callee: the errors, and the frame that carries one."""

from __future__ import annotations

from hypha.errors import HyphaError, NotDelivered, OutcomeUnknown, UnreadableAnswer
from hypha.wire.frames import Frame, encode


def absent(address: str) -> NotDelivered:
    """For the caller of an absent client; programs look for the first words of its text.

    See docs/spec/wire-protocol.md#absent-peers.
    """
    return NotDelivered(
        f"Target peer {address} is not connected. The call was not delivered; it is safe to repeat it."
    )


def retired(address: str) -> NotDelivered:
    """For the caller of a client that is one of several, and stops, or did so."""
    return NotDelivered(
        f"Peer {address} takes no more calls, for it was not needed any more. The call was not delivered: "
        "look the service up again, and repeat it."
    )


def too_much_waits(address: str) -> NotDelivered:
    """For the caller of a client without a link for which no more is kept."""
    return NotDelivered(f"Too much is waiting for {address}, which is reconnecting; try again shortly.")


def outcome_unknown(address: str) -> OutcomeUnknown:
    """For a caller of whose call nobody can know whether it ran."""
    return OutcomeUnknown(
        f"The link to {address} broke while the call was on its way or running, and no answer came. "
        "It may have run; repeat it only if that does no harm."
    )


def unreadable(address: str, reason: str) -> UnreadableAnswer:
    """For the caller of a client whose answer breaks the wire format."""
    return UnreadableAnswer(f"the answer of {address} cannot be read: {reason}")


def reject_frame(session: str, source: str, to: str, error: HyphaError) -> Frame:
    """An error answer in the form that unmodified clients accept (docs/spec/wire-protocol.md#errors)."""
    text = error.rpc_text
    return encode(
        {"type": "method", "from": source, "to": to, "method": f"{session}.reject", "parent": session},
        {"args": [{"_rtype": "error", "_rvalue": text, "_rtrace": text}]},
    )
