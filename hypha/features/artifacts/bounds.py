"""What bounds artifacts: how many there are, what one may be, and what is asked of them at once."""

from __future__ import annotations

from hypha.limits.bound import QUOTA, Bound, Section

_ROWS = (
    Bound(
        "artifacts",
        "Artifacts: number; bytes of manifests, configs, secrets of all versions",
        "workspace",
        QUOTA,
        ("max_artifacts_per_workspace", "max_artifact_record_bytes_per_workspace"),
    ),
    Bound(
        "artifact_files",
        "Committed files of artifacts: number; bytes",
        "workspace",
        f"{QUOTA}; the commit is refused",
        ("max_artifact_files_per_workspace", "max_artifact_bytes_per_workspace"),
    ),
    Bound(
        "one_artifact",
        "Manifest; config; levels in them; type; alias, its pattern and placeholders; path of a file",
        "artifact",
        "Refused",
        (
            "hypha.features.artifacts.checks.MAX_MANIFEST_BYTES",
            "hypha.features.artifacts.checks.MAX_CONFIG_BYTES",
            "hypha.features.artifacts.checks.MAX_NESTED",
            "hypha.features.artifacts.checks.MAX_TYPE_CHARS",
            "hypha.features.artifacts.ids.MAX_ALIAS_CHARS",
            "hypha.features.artifacts.ids.MAX_PATTERN_CHARS",
            "hypha.features.artifacts.ids.MAX_PLACEHOLDERS",
            "hypha.objects.paths.MAX_PATH_BYTES",
        ),
    ),
    Bound(
        "parts_of_an_artifact",
        "Grants, their names; download weights; secrets, their names, values; versions, their names, "
        "comments",
        "artifact",
        "Refused",
        (
            "hypha.features.artifacts.permissions.MAX_GRANTS",
            "hypha.features.artifacts.permissions.MAX_WHO_CHARS",
            "hypha.features.artifacts.checks.MAX_WEIGHTS",
            "hypha.features.artifacts.secrets.MAX_SECRETS",
            "hypha.features.artifacts.secrets.MAX_NAME_CHARS",
            "hypha.features.artifacts.secrets.MAX_SECRET_BYTES",
            "hypha.features.artifacts.committing.MAX_VERSIONS",
            "hypha.features.artifacts.artifact.MAX_VERSION_CHARS",
            "hypha.features.artifacts.checks.MAX_COMMENT_CHARS",
        ),
    ),
    Bound(
        "files_at_once",
        "Files staged at once; files that a call names; entries of a list of files; files of a zip; bytes of "
        "`read_file`, `write_file`; uploads in parts that are not complete",
        "artifact; call; workspace",
        "Refused",
        (
            "hypha.features.artifacts.file_records.MAX_STAGED_FILES",
            "hypha.features.artifacts.files.MAX_PATHS",
            "hypha.features.artifacts.functions_files.MAX_LISTED_FILES",
            "hypha.features.artifacts.http_zip.MAX_ZIPPED",
            "hypha.features.artifacts.contents.MAX_BYTES",
            "hypha.features.artifacts.file_records.MAX_UPLOADS",
        ),
    ),
    Bound(
        "insides_of_zips",
        "Directory of a zip that is looked into; files and folders in it; levels; length of a name",
        "zip",
        "Refused",
        (
            "hypha.features.artifacts.zip_index.MAX_DIRECTORY_BYTES",
            "hypha.features.artifacts.zip_index.MAX_NODES",
            "hypha.features.artifacts.zip_directory.MAX_DEPTH",
            "hypha.features.artifacts.zip_directory.MAX_NAME_BYTES",
        ),
    ),
    Bound(
        "artifact_pages",
        "Templates that are rendered, with what they are told; pages made of them; pages that wait for that, "
        "in all and of one workspace. Each may compute for a second",
        "request; all; workspace",
        "Refused",
        (
            "hypha.features.artifacts.renderer.MAX_TEMPLATE_BYTES",
            "hypha.features.artifacts.renderer.MAX_JOB_BYTES",
            "hypha.features.artifacts.rendering.MAX_PAGE_BYTES",
            "hypha.features.artifacts.renderer.MAX_ANSWER_BYTES",
            "hypha.features.artifacts.renderer.MAX_WAITING",
            "hypha.features.artifacts.renderer.MAX_WAITING_PER_PARTY",
        ),
    ),
    Bound(
        "verified_artifacts",
        "Calls of `verify` at once; of all; damaged files that one names; files of a page of `list_contents`",
        "person; server; call",
        "429; the rest is not named",
        (
            "hypha.features.artifacts.verifying.MAX_VERIFYING",
            "hypha.features.artifacts.verifying.MAX_VERIFYING_IN_ALL",
            "hypha.features.artifacts.verifying.MAX_DAMAGED",
            "hypha.features.artifacts.functions_integrity.MAX_CONTENTS",
        ),
    ),
    Bound(
        "artifact_filters",
        "Artifacts of a list; their bytes; staged files that it tells; conditions of a filter; levels; "
        "length of a text in it, of a pattern or keyword; `*` in a pattern; keywords; time of a search; "
        "searches of one person or address that wait",
        "call",
        "Refused",
        (
            "hypha.features.artifacts.listing.MAX_LIMIT",
            "hypha.features.artifacts.listing.MAX_ANSWER_BYTES",
            "hypha.features.artifacts.functions_lists.MAX_STAGED_SHOWN",
            "hypha.features.artifacts.filters.MAX_CONDITIONS",
            "hypha.features.artifacts.filters.MAX_DEPTH",
            "hypha.features.artifacts.filters.MAX_TEXT_CHARS",
            "hypha.features.artifacts.filters.MAX_SOUGHT_CHARS",
            "hypha.features.artifacts.filters.MAX_WILDCARDS",
            "hypha.features.artifacts.filters.MAX_KEYWORDS",
            "hypha.store.sql.SEARCH_S",
            "hypha.store.sql.MAX_SEARCHES_WAITING",
        ),
    ),
    Bound(
        "artifact_schemas",
        "Parts of a `collection_schema` with all that it refers to; references one behind the other; parts "
        "times bytes of the manifest",
        "collection",
        "Refused",
        (
            "hypha.features.artifacts.schemas.MAX_PARTS",
            "hypha.features.artifacts.schemas.MAX_CHAIN",
            "hypha.features.artifacts.schemas.MAX_WORK",
        ),
    ),
)

BOUNDS = {Section.STORED: _ROWS}
