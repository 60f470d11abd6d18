"""The parent that holds the listening socket."""

from __future__ import annotations

import socket

from hypha.cli.supervisor import inherited_listener


def test_a_socket_handed_over_by_number_is_taken() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    taken = inherited_listener({"HYPHA_LISTENER_FD": str(listener.detach())})
    assert taken is not None
    with taken:
        assert taken.getsockname()[1] == port


def test_without_a_handed_over_socket_there_is_none() -> None:
    assert inherited_listener({}) is None
    assert inherited_listener({"LISTEN_FDS": "1", "LISTEN_PID": "1"}) is None
