"""Sockets, handshakes and connected clients."""

from __future__ import annotations

from hypha.limits.bound import Bound

CONNECTIONS = (
    Bound(
        "sockets",
        "Sockets",
        "in all; of one address or signed-in user",
        "Idle ones of who has most are closed; a newcomer without a place gets 503. A quarter of the "
        "system's limit of open files is kept for accepting, files and the database",
        ("max_sockets", "max_sockets_per_address"),
    ),
    Bound(
        "anonymous_clients",
        "Connected clients of anonymous users",
        "of one address (IPv6: /64); three quarters of all sockets together",
        "The newcomer is refused and told to sign in",
        ("max_anonymous_clients_per_address",),
    ),
    Bound(
        "handshakes",
        "Handshakes of WebSockets in progress",
        "in all; of one address (IPv6: /64); those with a valid token have as many of their own",
        "A silent one of the address with most of them gives way; else 503",
        ("max_concurrent_connections", "max_handshakes_per_address"),
    ),
    Bound(
        "handshake_time",
        "Time for the first message of a WebSocket",
        "socket",
        "Closed",
        ("handshake_timeout_s",),
    ),
    Bound(
        "first_message",
        "First message of a WebSocket, and other text messages",
        "message",
        "Closed; the others are ignored",
        ("hypha.wire.handshake.MAX_FIRST_MESSAGE_BYTES", "hypha.wire.handshake.MAX_CONTROL_CHARS"),
    ),
    Bound(
        "early_messages",
        "Messages before the handshake has ended",
        "socket: number; bytes",
        "Closed (1008)",
        ("hypha.transports.websocket.MAX_EARLY_FRAMES", "hypha.transports.websocket.MAX_EARLY_BYTES"),
    ),
    Bound(
        "connections_of_a_user",
        "Connections of a user",
        "user",
        "A client that is away gives way; else the newcomer is refused",
        ("max_connections_per_user",),
    ),
    Bound(
        "clients_of_a_workspace",
        "Clients of a workspace",
        "workspace",
        "A client that is away gives way to one of its user or of an admin; else the newcomer is refused",
        ("max_clients_per_workspace",),
    ),
    Bound(
        "clients_that_are_away",
        "Time for which a client without a link keeps its identity and services",
        "client",
        "Its services end, callers are told, events are sent",
        ("resume_window_s",),
    ),
    Bound(
        "idle_connections",
        "Time without anything from a client; without a request on a connection",
        "connection",
        "Closed",
        ("ws_idle_timeout_s", "keep_alive_s"),
    ),
    Bound(
        "subscriptions",
        "Event types that a client listens to; letters of one; named at once",
        "client",
        "`LimitReached`",
        (
            "hypha.hub.events.MAX_SUBSCRIPTIONS",
            "hypha.hub.events.MAX_EVENT_NAME",
            "hypha.workspaces.functions_events.MAX_NAMES_AT_ONCE",
        ),
    ),
    Bound(
        "all_subscriptions",
        "Event types that clients listen to, together",
        "one person or address of anonymous users; all anonymous users; all",
        "`LimitReached`; who comes back does so without them",
        ("hypha.hub.events.MAX_ALL_SUBSCRIPTIONS",),
    ),
    Bound(
        "subscriptions_left_behind",
        "Subscriptions kept for ended clients that may come back",
        "in all; of anonymous users",
        "The oldest are forgotten",
        (
            "hypha.workspaces.membership.MAX_LEFT_NAMES",
            "hypha.workspaces.membership.STRANGERS_LEFT_NAMES",
        ),
    ),
    Bound(
        "work_in_the_background",
        "Work that the server does after an answer",
        "in all, half of it for anonymous users; of one workspace; clients asked for an app id at once",
        "It is left undone and counted",
        (
            "hypha.background.MAX_TASKS",
            "hypha.background.MAX_TASKS_PER_PARTY",
            "hypha.workspaces.app_ids.MAX_ASKED_AT_ONCE",
        ),
    ),
)
