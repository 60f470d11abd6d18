"""Calls and frames between clients, and what waits for them."""

from __future__ import annotations

from hypha.limits.bound import Bound

MESSAGES = (
    Bound("frame", "Frame", "frame", "Its sender's connection is closed (1009)", ("max_frame_bytes",)),
    Bound(
        "frame_to_a_client",
        "Frame to another client; name of its session",
        "frame",
        "That call ends with the reason",
        ("hypha.hub.router.MAX_PASSED_BYTES", "hypha.hub.router.MAX_SESSION_CHARS"),
    ),
    Bound(
        "event",
        "Event to other clients",
        "event",
        "Refused, its sender is told",
        ("hypha.hub.events.MAX_EVENT_BYTES",),
    ),
    Bound(
        "dense_frame",
        "Size from which a frame may hold few values only; those values",
        "frame",
        "That call ends with the reason",
        ("hypha.wire.frames.MAX_DENSE_BYTES", "hypha.wire.frames.MAX_WALKED_VALUES"),
    ),
    Bound(
        "values_of_a_call",
        "Values in a call to the server; in one to a client by HTTP; entries of one list or map",
        "call",
        "`TooManyValues`; by HTTP 400",
        (
            "hypha.wire.bounded.MAX_VALUES",
            "hypha.wire.bounded.MAX_PASSED_VALUES",
            "hypha.wire.bounded.MAX_ENTRIES",
        ),
    ),
    Bound(
        "nesting",
        "Levels of lists and maps within each other: arguments; JSON",
        "call",
        "Refused",
        ("hypha.wire.values.MAX_DEPTH", "hypha.wire.json_text.MAX_DEPTH"),
    ),
    Bound(
        "bytes_of_strangers",
        "What somebody without a credential sends to a function of the server",
        "call",
        "Refused; by HTTP 413. Some functions say otherwise",
        ("hypha.builtins.permission.STRANGER_BYTES",),
    ),
    Bound(
        "calls_without_an_answer",
        "Calls passed on to a client whose answers the server watches for",
        "client",
        "The oldest are watched no more; their callers' own timeouts end them",
        ("hypha.hub.client.MAX_PENDING_CALLS",),
    ),
    Bound(
        "all_calls_without_an_answer",
        "The same of several clients",
        "one person or address of anonymous users; all anonymous users; all",
        "The oldest of the client that gets one more are watched no more",
        ("hypha.hub.client.MAX_ALL_PENDING",),
    ),
    Bound(
        "all_calls_that_run",
        "Calls of the server's functions that run at once, of several clients",
        "one person or address of anonymous users; all anonymous users; all",
        "`LimitReached`",
        ("hypha.hub.running_calls.MAX_RUNNING",),
    ),
    Bound(
        "calls_that_run",
        "Calls of the server's functions that run at once; of those that it lent for one request",
        "client; request",
        "`LimitReached`",
        ("hypha.hub.running_calls.MAX_RUNNING_PER_CLIENT", "hypha.hub.callbacks.MAX_RUNNING_PER_SESSION"),
    ),
    Bound(
        "large_answers",
        "Answers of the server's functions that are being made or on their way in chunks",
        "client; one person or address of anonymous users; all anonymous users; all",
        "Calls that may have large answers begin later; so do all calls of a client that does not read",
        (
            "hypha.hub.large_answers.MAX_BYTES_OF_CLIENT",
            "hypha.hub.large_answers.MAX_BYTES_OF_PARTY",
            "hypha.hub.large_answers.MAX_BYTES_OF_STRANGERS",
            "hypha.hub.large_answers.MAX_BYTES",
        ),
    ),
    Bound(
        "frames_that_wait",
        "Frames that wait for a client whose link dropped; time for which calls do",
        "client",
        "Calls are refused (`NotDelivered`); who sends something else is read no more until it is back",
        ("held_limit_bytes", "hold_time_s"),
    ),
    Bound(
        "all_frames_that_wait",
        "The same of several clients, each frame with 256 bytes besides its own",
        "one person or address of anonymous users; all anonymous users; all",
        "As for one client",
        ("hypha.hub.waiting.MAX_HELD_BYTES",),
    ),
    Bound(
        "unread_frames",
        "Bytes that a client has not read; not proven to have read; time for which it reads nothing; for "
        "which it makes another workspace wait",
        "client",
        "Its senders are read no more; then it is closed (1013)",
        (
            "hypha.hub.flow.HIGH_WATER_BYTES",
            "hypha.hub.flow.UNPROVEN_HIGH_BYTES",
            "slow_reader_deadline_s",
            "foreign_pause_limit_s",
        ),
    ),
    Bound(
        "unproven_frames",
        "Bytes kept for a client that answers no PING",
        "client",
        "Its link is cut",
        ("hypha.hub.acknowledgement.UNPROVEN_LIMIT_BYTES",),
    ),
    Bound(
        "repeated_frames",
        "Answer that is sent again after a new link",
        "frame",
        "It is not sent again",
        ("hypha.hub.resume.MAX_REPEATED_BYTES",),
    ),
    Bound(
        "messages_in_chunks",
        "Messages to the server in chunks, unfinished or worked on: one; those and arguments above 1 KiB of "
        "its functions, while they run, of one person; of anonymous users of one address; of all; of all "
        "anonymous",
        "as said",
        "`LimitReached`, the message is dropped; of all together, the oldest unfinished one of who has most",
        (
            "hypha.wire.chunks.MAX_MESSAGE_BYTES",
            "hypha.wire.chunks.MAX_CACHE_BYTES",
            "hypha.wire.chunks.MAX_ANONYMOUS_CACHE_BYTES",
            "hypha.wire.chunks.MAX_TOTAL_BYTES",
            "hypha.wire.chunks.MAX_TOTAL_ANONYMOUS_BYTES",
        ),
    ),
    Bound(
        "unfinished_messages",
        "The same by number; letters of a key; age",
        "client",
        "`LimitReached`; old ones are dropped",
        (
            "hypha.wire.chunks.MAX_MESSAGES",
            "hypha.wire.chunks.MAX_KEY_CHARS",
            "hypha.wire.chunks.MAX_AGE_S",
        ),
    ),
    Bound(
        "chunks_between_clients",
        "Messages in chunks to other people's clients: unfinished ones; letters of a key; age; chunks that "
        "wait for earlier ones; bytes of those with many values, looked into at once; values of a "
        "chunk that are looked at one by one; levels of lists and maps",
        "client",
        "The message is refused; old ones are forgotten",
        (
            "hypha.hub.parcels.MAX_MESSAGES",
            "hypha.hub.parcels.MAX_KEY_CHARS",
            "hypha.hub.parcels.MAX_AGE_S",
            "hypha.hub.parcels.MAX_EARLY_CHUNKS",
            "hypha.hub.parcels.MAX_EARLY_DENSE_BYTES",
            "hypha.wire.arriving.MAX_STEPS",
            "hypha.wire.arriving.MAX_DEPTH",
        ),
    ),
    Bound(
        "all_chunks_that_wait",
        "Bytes of chunks that wait for earlier ones, of several clients",
        "one person or address of anonymous users; all anonymous users; all",
        "The message is refused",
        ("hypha.hub.parcels.MAX_EARLY_BYTES",),
    ),
    Bound(
        "rates",
        "Calls and bytes per second; what may come at once",
        "user; workspace",
        "Read more slowly; by HTTP 429",
        (
            "user_call_rate_limit",
            "user_byte_rate_limit",
            "workspace_call_rate_limit",
            "workspace_byte_rate_limit",
            "rate_burst_s",
            "hypha.limits.buckets.MAX_TRACKED",
        ),
    ),
    Bound(
        "frames_of_a_connection",
        "Frames per second; above that at once",
        "connection",
        "Read more slowly",
        ("ws_msg_rate_limit", "ws_msg_burst_limit"),
    ),
    Bound(
        "pings",
        "Time that `ping_client` waits; `select:` for loads; services asked; `timeout` of `get_service`",
        "call",
        "Refused or cut down to it",
        (
            "hypha.workspaces.functions_clients.MAX_PING_TIMEOUT_S",
            "hypha.registry.balance.MAX_SELECT_TIMEOUT_S",
            "hypha.registry.balance.MAX_ASKED",
            "hypha.registry.balance.MAX_ASKED_AT_ONCE",
            "hypha.registry.directory.MAX_TIMEOUT_S",
        ),
    ),
    Bound(
        "streams_asked",
        "HTTP streams that are asked for life at once; answers that one may miss",
        "in all; stream",
        "The others are asked later; it is closed",
        ("hypha.transports.stream_watch.MOST_AT_ONCE", "stream_max_ping_misses"),
    ),
)
