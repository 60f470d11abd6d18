"""What bounds uploads in parts, and the calls that give addresses of files."""

from __future__ import annotations

from hypha.limits.bound import QUOTA, Bound, Section

BOUNDS = {
    Section.STORED: (
        Bound(
            "files",
            "Files, those of artifacts, parts of uploads and what is being written included: number; bytes",
            "workspace",
            QUOTA,
            ("max_files_per_workspace", "max_file_bytes_per_workspace"),
        ),
        Bound(
            "free_disk",
            "Disk that uploads leave free, and one in a hundred of the files that it can have",
            "all",
            "`StorageFull`",
            ("least_free_disk_bytes",),
        ),
        Bound(
            "uploads_in_parts",
            "Uploads of files in parts that are not complete",
            "workspace",
            "`QuotaExceeded`",
            ("hypha.features.storage.files.MAX_UPLOADS",),
        ),
        Bound(
            "files_of_a_call",
            "Files for which one call gets addresses; life of an address; time until a file ends; letters of "
            "the base of addresses; list of the parts of an upload over HTTP",
            "call",
            "Refused",
            (
                "hypha.features.storage.service.MAX_PATHS",
                "hypha.features.storage.files.MAX_URL_LIFE_S",
                "hypha.features.storage.expiries.MAX_TTL_S",
                "hypha.objects.urls.MAX_BASE_CHARS",
                "hypha.web.file_routes.MAX_PARTS_BYTES",
            ),
        ),
    ),
}
