"""The round trip of a socket as the system knows it."""

from __future__ import annotations

import socket
import struct
import sys

import pytest

from hypha.transports.roundtrip import has_hung_up, tcp_round_trip_s


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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it so")
@pytest.mark.parametrize("by_reset", [False, True])
def test_a_peer_that_hung_up_is_known_though_nothing_is_read(by_reset: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        with server.accept()[0] as accepted:
            client.sendall(b"x" * 1000)
            assert not has_hung_up(accepted)
            if by_reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            assert has_hung_up(accepted)
    assert not has_hung_up(None) and not has_hung_up(accepted)
