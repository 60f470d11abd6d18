"""How connections are held, acknowledged, slowed down and closed."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import flag, variable

MIB = 1024 * 1024
A_MOMENT_S = 0.001
"""The least pause of what is done again and again."""


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Connecting:
    """Connections."""

    hold_time_s: float = variable(
        10.0, "How long calls wait for a client whose link dropped", "HYPHA_HOLD_TIME", unit="s"
    )
    resume_window_s: float = variable(
        90.0, "How long such a client keeps its identity and services", "HYPHA_RESUME_WINDOW", unit="s"
    )
    ack_interval_s: float = variable(
        2.0,
        "Pause between two acknowledging PINGs of a connection",
        "HYPHA_ACK_INTERVAL",
        unit="s",
        least=A_MOMENT_S,
    )
    held_limit_bytes: int = variable(
        32 * MIB, "Frames kept for one client whose link dropped", "HYPHA_HELD_LIMIT", unit="bytes"
    )
    slow_reader_deadline_s: float = variable(
        20.0,
        "A client that reads nothing for this long is closed (1013)",
        "HYPHA_SLOW_READER_DEADLINE",
        unit="s",
    )
    foreign_pause_limit_s: float = variable(
        2.0,
        "How long a slow reader may pause a sender of another workspace",
        "HYPHA_FOREIGN_PAUSE_LIMIT",
        unit="s",
    )
    max_frame_bytes: int = variable(16 * MIB, "Largest frame", "HYPHA_MAX_FRAME", unit="bytes")
    head_timeout_s: float = variable(
        20.0,
        "Wait for the head of a request, from its first byte to its last",
        "HYPHA_HEAD_TIMEOUT",
        unit="s",
    )
    answer_stall_timeout_s: float = variable(
        30.0,
        "An answer of which less than 1 KiB per second was read for this long is broken off",
        "HYPHA_ANSWER_STALL_TIMEOUT",
        unit="s",
    )
    handshake_timeout_s: float = variable(
        5.0, "Wait for a client's first message", "HYPHA_HANDSHAKE_TIMEOUT", unit="s"
    )
    ws_idle_timeout_s: float = variable(
        600.0, "A connection without inbound traffic is closed after this", "HYPHA_WS_IDLE_TIMEOUT", unit="s"
    )
    ws_msg_rate_limit: float = variable(
        0.0,
        "Frames per second that are read from a connection; 0: no limit",
        "HYPHA_WS_MSG_RATE_LIMIT",
        unit="/s",
    )
    ws_msg_burst_limit: float = variable(
        2000.0, "Frames above that rate that are read at once", "HYPHA_WS_MSG_BURST_LIMIT"
    )
    max_concurrent_connections: int = variable(
        200,
        "Handshakes in progress; when there are more, a silent one of the address with most of them ends",
        "HYPHA_MAX_CONCURRENT_CONNECTIONS",
    )
    max_handshakes_per_address: int = variable(
        150, "Handshakes in progress of one address (IPv6: /64 network)", "HYPHA_MAX_HANDSHAKES_PER_ADDRESS"
    )
    activity_check_interval_s: float = variable(
        10.0,
        "Pause between checks for inactivity",
        "ACTIVITY_CHECK_INTERVAL",
        unit="s",
        least=A_MOMENT_S,
    )
    streams_by_address: str = flag(
        "auto",
        "Know anonymous HTTP streams of clients without cookies by their address; auto: on loopback alone",
        choices=("auto", "on", "off"),
    )
    stream_ping_interval_s: float = variable(
        10.0,
        "Pause between pings on an HTTP stream",
        "HYPHA_STREAM_PING_INTERVAL",
        unit="s",
        least=A_MOMENT_S,
    )
    stream_idle_threshold_s: float = variable(
        60.0,
        "An HTTP stream this long without a POST is asked for life",
        "HYPHA_STREAM_IDLE_THRESHOLD",
        unit="s",
    )
    stream_sweep_interval_s: float = variable(
        30.0,
        "Pause between two looks for idle HTTP streams",
        "HYPHA_STREAM_SWEEP_INTERVAL",
        unit="s",
        least=A_MOMENT_S,
    )
    stream_ping_timeout_s: float = variable(
        5.0, "Wait for the answer of an idle HTTP stream's client", "HYPHA_STREAM_PING_TIMEOUT", unit="s"
    )
    stream_max_ping_misses: int = variable(
        3, "Missed answers after which an HTTP stream is closed", "HYPHA_STREAM_MAX_PING_MISSES"
    )
    stream_max_queue_drops: int = variable(
        200, "Accepted for older start scripts: nothing is dropped", "HYPHA_STREAM_MAX_QUEUE_DROPS"
    )
