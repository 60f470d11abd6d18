"""Requests by HTTP: what comes, what is answered."""

from __future__ import annotations

from hypha.limits.bound import Bound

REQUESTS = (
    Bound(
        "request_head",
        "Head of a request; its target; the target of an application; fields; cookies; offers of a "
        "handshake, their bytes; proxies named in it",
        "request",
        "431 or 414; further proxies are not looked at",
        (
            "hypha.web.heads.MAX_HEAD_BYTES",
            "hypha.web.heads.MAX_TARGET_BYTES",
            "hypha.transports.grammar.MAX_APP_TARGET_BYTES",
            "hypha.web.heads.MAX_HEAD_FIELDS",
            "hypha.web.heads.MAX_COOKIES",
            "hypha.web.heads.MAX_OFFERS",
            "hypha.web.heads.MAX_OFFERS_BYTES",
            "hypha.web.forwarded.MAX_HOPS",
        ),
    ),
    Bound("head_time", "Time for the head of a request", "request", "Closed", ("head_timeout_s",)),
    Bound("body", "Body of a request", "request", "413", ("max_body_bytes",)),
    Bound(
        "body_pace",
        "Pace of a body; how long it may be slower",
        "request",
        "400 and closed",
        ("least_body_rate", "body_patience_s"),
    ),
    Bound(
        "unfinished_bodies",
        "Bodies of requests that have not come to their end; what is in those of 1 to 64 KiB, while the "
        "function that is called runs",
        "in all, three quarters of it for strangers; of one address or signed-in user",
        "429, or the oldest of who has most is given up",
        ("unfinished_bodies_bytes", "unfinished_bodies_per_address_bytes"),
    ),
    Bound(
        "large_bodies",
        "Bodies and results above 64 KiB that are worked on: 192 MiB of one caller, 512 MiB of all "
        "strangers, 1 GiB of all, a quarter of a thread's time for a stranger; callers of whom that is known",
        "person or address",
        "Wait up to 20 s, then 429",
        ("hypha.web.workbench.MAX_TRACKED",),
    ),
    Bound(
        "large_answers_on_their_way",
        "Bytes of answers above 64 KiB, and of parts above 16 KiB of streamed ones and files, that their "
        "readers have not read",
        "of one person or address; of all strangers; of all",
        "Wait up to 20 s, then 429; of all together, the oldest of who has most is broken off",
        (
            "hypha.web.downloads.MAX_BYTES_OF_PARTY",
            "hypha.web.downloads.MAX_BYTES_OF_STRANGERS",
            "hypha.web.downloads.MAX_BYTES",
        ),
    ),
    Bound(
        "packed_bodies",
        "Codings of a body; members of gzip",
        "request",
        "400",
        ("hypha.gateways.http.codings.MAX_CODINGS", "hypha.gateways.http.codings.MAX_MEMBERS"),
    ),
    Bound(
        "fields_of_a_request",
        "Fields of a query or form; options of a call; ranges in `Accept`",
        "request",
        "400; further ranges are not looked at",
        (
            "hypha.gateways.http.parameters.MAX_FIELDS",
            "hypha.gateways.http.parameters.MAX_OPTIONS",
            "hypha.gateways.http.accept.MAX_RANGES",
        ),
    ),
    Bound(
        "requests_at_once",
        "Requests that run, and WebSockets of applications",
        "signed-in users together, and as many of strangers; one user; one address (IPv6: /64)",
        "429",
        ("max_running_requests", "max_running_requests_per_user", "max_running_requests_per_address"),
    ),
    Bound(
        "unread_of_applications",
        "Bytes that an application and its visitors have sent each other and that were not taken, of each "
        "request or WebSocket beyond 16 KiB",
        "of one signed-in user; of one address (IPv6: /64) of strangers; of all strangers; of all",
        "WebSockets are closed (1013), requests end with 429; of all together, the oldest of who has most",
        (
            "hypha.web.unread.MAX_BYTES_OF_PERSON",
            "hypha.web.unread.MAX_BYTES_OF_STRANGER",
            "hypha.web.unread.MAX_BYTES_OF_STRANGERS",
            "hypha.web.unread.MAX_BYTES",
        ),
    ),
    Bound(
        "requests_per_second",
        "Requests per second, and at once: without a credential; signed in; parties of whom that is known",
        "address; user",
        "429 with `Retry-After`; parties beyond share one rate",
        (
            "http_rate_limit",
            "http_burst_limit",
            "http_authenticated_rate_limit",
            "http_authenticated_burst_limit",
            "hypha.limits.buckets.MAX_TRACKED",
        ),
    ),
    Bound("answer_of_a_service", "Wait for the answer of a service", "call", "504", ("http_call_timeout_s",)),
    Bound(
        "unread_answers",
        "Time for which less than so much of an answer is read per second",
        "request",
        "Broken off",
        ("answer_stall_timeout_s", "hypha.transports.deadlines.LEAST_READ_BYTES_PER_S"),
    ),
    Bound(
        "numbers_in_json",
        "Numbers and lists of arrays in a JSON answer; bytes; dimensions; lists of an array without numbers",
        "answer",
        "Refused with advice; an array of more dimensions or empty lists stays base64",
        (
            "hypha.gateways.http.json_form.MAX_NUMBERS",
            "hypha.gateways.http.json_form.MAX_BYTES",
            "hypha.gateways.http.json_form.MAX_DIMENSIONS",
            "hypha.gateways.http.json_form.FEW_LISTS",
        ),
    ),
    Bound(
        "error_texts",
        "Text of an error, by HTTP and by RPC; what is read of a traceback; errors shown of a group",
        "answer",
        "Cut",
        (
            "hypha.gateways.http.errors.MAX_DETAIL_CHARS",
            "hypha.errors.MAX_TEXT_CHARS",
            "hypha.wire.tracebacks.MAX_READ_CHARS",
            "hypha.wire.tracebacks.MAX_GROUP_SHOWN",
        ),
    ),
    Bound(
        "listings",
        "A listing of services: bytes; services; a description in it",
        "answer",
        "Infos come in brief with `truncated`; `offset`, `limit` and `pagination` give the rest",
        (
            "hypha.registry.shown.LISTING_BYTES",
            "hypha.registry.shown.MAX_LISTED",
            "hypha.registry.shown.WHOLE_BYTES",
        ),
    ),
    Bound(
        "searches",
        "A search: results; text; words; values of a filter; fields; text of a service looked through; part "
        "of a query",
        "call",
        "Refused or cut",
        (
            "hypha.registry.search.MAX_LIMIT",
            "hypha.registry.search.MAX_QUERY_CHARS",
            "hypha.registry.search.MAX_WORDS",
            "hypha.registry.search.MAX_FILTER_VALUES",
            "hypha.registry.search.MAX_RETURN_FIELDS",
            "hypha.registry.search.MAX_DETAIL_CHARS",
            "hypha.registry.query.MAX_PART_CHARS",
        ),
    ),
    Bound(
        "openapi",
        "An OpenAPI description: functions; bytes; nodes of one schema; checks of examples",
        "answer",
        "The rest is left out",
        (
            "hypha.gateways.http.openapi.documents.MAX_FUNCTIONS",
            "hypha.gateways.http.openapi.documents.MAX_DOCUMENT_BYTES",
            "hypha.gateways.http.openapi.schemas.MAX_NODES",
            "hypha.gateways.http.openapi.schemas.MAX_CHECKS",
        ),
    ),
    Bound(
        "headers_of_applications",
        "Headers of an answer of an application; their bytes; bytes of a cookie; its attributes",
        "answer",
        "502; the cookie is left out",
        (
            "hypha.web.headers.MAX_FIELDS",
            "hypha.web.headers.MAX_FIELDS_BYTES",
            "hypha.gateways.asgi_apps.cookies.MAX_COOKIE_BYTES",
            "hypha.gateways.asgi_apps.cookies.MAX_ATTRIBUTES",
        ),
    ),
    Bound(
        "redirects",
        "Address to which a sign-in leads back",
        "request",
        "The front page instead",
        ("hypha.web.destinations.MAX_CHARS",),
    ),
    Bound(
        "kept_files",
        "Contents of static files in memory; rights of callers in memory",
        "in all",
        "The oldest are forgotten",
        ("hypha.web.files.KEPT_BYTES", "hypha.web.credentials.CONTEXTS_KEPT"),
    ),
)
