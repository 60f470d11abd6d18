"""What the system knows of a TCP connection: how long a packet takes to its end and back, who has hung up."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

_TCP_INFO = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_RTT_AT = 68
"""Offset of `tcpi_rtt`, in microseconds, in Linux' `struct tcp_info`."""
_RTT = struct.Struct("=I")
_HUNG_UP = frozenset({7, 8, 9})
"""`tcpi_state`, the first byte: TCP_CLOSE, TCP_CLOSE_WAIT, TCP_LAST_ACK."""


def tcp_round_trip_s(sock: Any) -> float | None:
    """The smoothed round trip time of a socket, in seconds; None where the system tells none."""
    if sock is None or _TCP_INFO is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _RTT_AT + _RTT.size)
    except OSError:
        return None
    if len(info) < _RTT_AT + _RTT.size:
        return None
    microseconds: int = _RTT.unpack_from(info, _RTT_AT)[0]
    return microseconds / 1e6


def has_hung_up(sock: Any) -> bool:
    """Whether the other end has closed a socket, which a reader that pauses does not see.

    False where the system does not tell.
    """
    if sock is None or _TCP_INFO is None:
        return False
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0] in _HUNG_UP
    except OSError:
        return False
