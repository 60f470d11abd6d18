"""Constants and options that look like bounds and stand in no row of the table, and why."""

from __future__ import annotations

SAME = "the same bound as in a row of the table, checked here too"
PARTS = "a part of the bound on OpenAPI descriptions"
WORDS = "length of a text that the server itself writes"
FILES = "of objects (tests/contract/test_object_store.py)"
KEPT = "addresses of services that need not be read again, 300 kB at most"
PACE = "how often the server does something by itself"

INTERNAL = {
    "hypha.assembly.readings.MAX_LOOKS": "readings of the server's own load",
    "hypha.auth.hooks.MAX_TOKEN_CHARS": SAME,
    "hypha.auth.issued.COUNT_KEPT_S": PACE,
    "hypha.auth.keysets.MAX_AGE_S": PACE,
    "hypha.auth.keysets.MAX_SKEW_S": "how far a provider's clock may be off",
    "hypha.auth.keysets.MAX_STALE_S": "how long a provider may be away",
    "hypha.auth.minting._MAX_GUESSED_CHARS": "words for which a spelling is suggested",
    "hypha.auth.tokens.DEFAULT_MAX_LIFE_S": SAME,
    "hypha.auth.tokens._MAX_TOKEN_CHARS": SAME,
    "hypha.gateways.asgi_apps.cookies._MAX_DATE_BYTES": SAME,
    "hypha.gateways.asgi_apps.outgoing.MAX_REASON_BYTES": "RFC 6455",
    "hypha.gateways.asgi_apps.question.MAX_SHOWN": WORDS,
    "hypha.gateways.http.application.MAX_SHOWN_PATH": WORDS,
    "hypha.gateways.http.calls.MAX_KEPT_CHARS": KEPT,
    "hypha.gateways.http.calls.QUERIES_KEPT": KEPT,
    "hypha.gateways.http.openapi.operations.MAX_SUMMARY_CHARS": PARTS,
    "hypha.gateways.http.openapi.samples.MAX_DEPTH": PARTS,
    "hypha.gateways.http.openapi.samples.MAX_PARTS": PARTS,
    "hypha.gateways.http.openapi.schemas.MAX_CHECKED_CHARS": PARTS,
    "hypha.gateways.http.openapi.schemas.MAX_CHECKS_OF_VALUE": PARTS,
    "hypha.gateways.http.openapi.schemas.MAX_DEPTH": PARTS,
    "hypha.gateways.http.openapi.schemas.MAX_EXAMPLES": PARTS,
    "hypha.gateways.http.openapi.schemas.MAX_LISTED": PARTS,
    "hypha.gateways.http.openapi.schemas.MAX_OPTIONS": PARTS,
    "hypha.gateways.http.openapi.schemas.MAX_PATTERN_CHARS": PARTS,
    "hypha.gateways.http.openapi.schemas.MAX_PATTERNS_CHARS": PARTS,
    "hypha.gateways.http.openapi.schemas.MAX_TEXT_CHARS": PARTS,
    "hypha.gateways.http.parameters.MAX_JSON_CONTAINERS": "follows from the values of a call",
    "hypha.gateways.context.DEFAULT_MAX_BODY_BYTES": SAME,
    "hypha.hub.calls._STAMPS_KEPT": "packed identities, the oldest are packed anew",
    "hypha.hub.requests.MAX_INTERVAL_S": "pause of heartbeats",
    "hypha.hub.router.MAX_LOGGED_PER_S": "lines of the log",
    "hypha.observe.memory._KEPT_BYTES": "memory that the process keeps for itself",
    "hypha.options.MOST": "numbers that an option may be",
    "hypha.registry.applications.MAX_DECLARED": "what is beyond it in a manifest counts as not said",
    "hypha.registry.applications.MAX_PART_CHARS": "what is longer in a manifest counts as not said",
    "hypha.registry.balance.MAX_EXAMPLES": WORDS,
    "hypha.registry.described.MAX_DEPTH": PARTS,
    "hypha.registry.shown.MAX_NAMES": WORDS,
    "hypha.transports.descriptors.MAX_RESERVED": "follows from the limit of open files",
    "hypha.transports.descriptors.MAX_BACKLOG": "follows from the limit of open files",
    "hypha.transports.descriptors.MOST": "more is not asked of the system",
    "hypha.values._MAX_OFFSET": "numbers that a database takes",
    "hypha.objects.keys.MAX_KEY_BYTES": FILES,
    "hypha.objects.keys.MAX_WORD_BYTES": FILES,
    "hypha.objects.keys.MAX_WORDS": FILES,
    "hypha.objects.local.facts.MAX_FACTS_BYTES": FILES,
    "hypha.objects.s3.counting.MAX_COUNTED": "of times of counts; the oldest go",
    "hypha.objects.s3.facts.MAX_METADATA_BYTES": FILES,
    "hypha.objects.s3.signing.MAX_LIFE_S": "of signatures, as S3 has it",
    "hypha.objects.store.MAX_LISTED": FILES,
    "hypha.objects.store.MAX_PARTS": FILES,
    "hypha.objects.urls.MAX_BASE_CHARS": FILES,
    "hypha.presence.base.MAX_FOUND": "of replicas (tests/contract/test_presence.py)",
    "hypha.store.sql.MAX_SEARCHES_WAITING": "of features that search; each lists it with its own",
    "hypha.web.file_routes.MAX_PARTS_BYTES": "of features that take uploads in parts, which attack it",
    "hypha.web.ranges._MAX_DIGITS": "longer numbers name no place in a content",
    "hypha.workspaces.app_ids.MAX_SILENT": "clients that are left alone; the oldest are asked again",
    "hypha.wire.bounded.MAX_QUICK_VALUES": "more values are opened in a thread",
    "hypha.wire.frames.MAX_FRAME_BYTES": SAME,
    "hypha.wire.frames._MAX_KEY_VALUES": SAME,
    "hypha.wire.arriving._MAX_KEY_BYTES": "longer keys mean nothing to the libraries",
    "hypha.wire.arriving._MAX_NAME_BYTES": "longer than any address or path of a method",
    "hypha.wire.frames._PACKED_KEPT": "packed facts of users, the oldest are packed anew",
    "hypha.wire.handshake.MAX_CLOSE_REASON_BYTES": "RFC 6455",
    "hypha.wire.pieces._MAX_LOOKED_AT": "more values are packed the slow way",
    "hypha.workspaces.endings.HEARING_LIMIT_S": "how long a part may clean up after a workspace",
    "hypha.workspaces.membership.MAX_NAME_CHARS": SAME,
}

OLD = "accepted for older start scripts"

UNBOUNDED_OPTIONS = {
    "anonymous_quota_share": "a share of the quotas of the table",
    "malloc_trim_interval_s": PACE,
    "orphan_reap_concurrency": OLD,
    "orphan_reap_initial_delay_s": OLD,
    "orphan_reap_interval_s": OLD,
    "orphan_reap_ping_timeout_s": OLD,
    "stream_max_queue_drops": OLD,
    "workspace_unload_grace_period_s": PACE,
}
