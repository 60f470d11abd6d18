"""For how large answers of the artifact manager there must be room before they are made (`gives_bytes`).

A caller that takes no answers has then a few of them made, and not a thousand. Some answers can become
larger than is said here, such as an artifact with a thousand long comments: those count with their size once
they are made. Room is held while a function runs, so that what may run for minutes asks for little.
"""

from __future__ import annotations

KIB = 1024

BRIEF_BYTES = 1024 * KIB
"""Of addresses, and of functions that may run for long."""
ARTIFACT_BYTES = 4 * 1024 * KIB
"""Of an artifact with its manifest, settings and versions."""
FILES_BYTES = 8 * 1024 * KIB
"""Of lists of files, with or without addresses."""
CONTENT_BYTES = 14 * 1024 * KIB
"""Of a file's content, 10 MiB of bytes in base64."""
