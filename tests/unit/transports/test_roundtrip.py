"""The round trip of a socket as the system knows it."""

from __future__ import annotations

import socket
import sys

import pytest

from hypha.transports.roundtrip import tcp_round_trip_s


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it so")
def test_a_loopback_connection_has_a_short_round_trip() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client, server.accept()[0] as accepted:
            client.sendall(b"x")
            accepted.recv(1)
            accepted.sendall(b"y")
            client.recv(1)
            measured = tcp_round_trip_s(accepted)
    assert measured is not None and 0 < measured < 0.1


def test_what_is_no_tcp_socket_has_none() -> None:
    assert tcp_round_trip_s(None) is None
    with socket.socket(socket.AF_UNIX) as other:
        assert tcp_round_trip_s(other) is None
    closed = socket.socket()
    closed.close()
    assert tcp_round_trip_s(closed) is None
