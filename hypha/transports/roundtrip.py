"""How long a packet takes to the other end of a TCP connection and back, as the system measures it."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

_TCP_INFO = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_RTT_AT = 68
"""Offset of `tcpi_rtt`, in microseconds, in Linux' `struct tcp_info`."""
_RTT = struct.Struct("=I")


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
