"""S3 servers from PyPI, as programs of their own: started, reached over HTTP, and ended by fixtures.

What each of them cannot do is in `GAPS`, by the names of the contract's cases.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypha.objects.s3.endpoint import Endpoint
from hypha.testing.server import free_port

KEY_ID, SECRET = "hypha-test-key", "hypha-test-secret"
START_S = 60.0
BIN = Path(sys.executable).parent

MOTO = {"S3_UPLOAD_PART_MIN_SIZE": "1", "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": "1048576"}
"""Parts as small as our cases have them; S3 wants 5 MiB."""
RANGE = "answers a range with the whole, or refuses one that ends behind the object"
NAMES = "does not take, or not list, such names"
PARTS = "does not check the parts of an upload as S3 does"
BOTH = "keeps plain files: no name is that of a file and of a folder"
LATE = "S3 shows no part before all are put together, and then the upload is over"
_OF_PLAIN_FILES = dict.fromkeys(
    (
        "test_a_name_may_be_a_file_and_a_folder",
        "test_a_list_is_in_the_order_of_keys",
        "test_one_level_shows_files_and_folders",
        "test_all_pages_of_a_folder_hold_each_object_and_folder_once",
        "test_deleting_a_folder_takes_all_below_and_nothing_else",
        "test_many_copies_are_as_single_ones",
    ),
    BOTH,
)
_OF_ALL = {
    "test_parts_that_are_together_not_what_was_said_are_refused_and_can_be_mended": LATE,
}
GAPS: dict[str, dict[str, str]] = {
    "moto": {
        **_OF_ALL,
        "test_an_upload_belongs_to_its_key": PARTS,
        "test_who_goes_on_with_an_upload_sees_which_parts_are_there": PARTS,
        "test_an_upload_that_is_given_up_is_gone": "answers 500 for an upload that it does not know",
        "test_parts_are_put_together_in_their_order": "answers 500 for an upload that it does not know",
    },
    "rclone": {
        **_OF_ALL,
        **_OF_PLAIN_FILES,
        "test_a_range_is_cut_at_the_end": RANGE,
        "test_old_uploads_are_found": "lists no uploads",
        "test_a_copy_is_independent_of_its_source": "adds metadata of its own to copies",
        "test_a_copy_onto_itself_and_onto_its_copy_changes_nothing": "adds metadata of its own to copies",
        "test_parts_are_put_together_in_their_order": "has other ETags for what is made of parts",
        "test_a_part_may_be_sent_again": "takes no empty part, and forgets an upload with the first mistake",
        "test_parts_that_are_missing_doubled_or_out_of_order_are_refused": PARTS,
    },
    "nanio": {
        **_OF_ALL,
        **_OF_PLAIN_FILES,
        "test_an_upload_belongs_to_its_key": PARTS,
        "test_who_goes_on_with_an_upload_sees_which_parts_are_there": PARTS,
        "test_odd_names_come_back_as_they_are[a%2Fb]": NAMES,
    },
}
"""Server -> case -> what is missing there. Beside that, `moto` looks at no signature."""


def program(kind: str, port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The command line of a server, and what it finds in its environment."""
    at = f"127.0.0.1:{port}"
    if kind == "moto":
        return [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], MOTO
    if kind == "rclone":
        flags = ["--auth-key", f"{KEY_ID},{SECRET}", "--addr", at, "--vfs-cache-mode", "off"]
        return [str(BIN / "rclone"), "serve", "s3", *flags, str(folder)], {"RCLONE_CONFIG": "/dev/null"}
    keys = {"NANIO_ACCESS_KEY": KEY_ID, "NANIO_SECRET_KEY": SECRET}
    flags = ["--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    return [str(BIN / "nanio"), "serve", *flags], keys


class S3Server:
    """One server; its address is `url`."""

    def __init__(self, kind: str, port: int = 0) -> None:
        self.kind = kind
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = tempfile.TemporaryDirectory(prefix=f"hypha-{kind}-")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> S3Server:
        """Start it, and wait until it answers."""
        line, more = program(self.kind, self.port, Path(self._folder.name))
        with open(Path(self._folder.name).with_suffix(".log"), "wb") as log:
            self._process = subprocess.Popen(line, env={**os.environ, **more}, stdout=log, stderr=log)
        until = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"The S3 server {self.kind} does not start.")
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def endpoint(self, bucket: str, *, secret: str = SECRET) -> Endpoint:
        """A bucket of it."""
        return Endpoint(self.url, bucket, KEY_ID, secret)

    def flags(self, bucket: str = "hypha-workspaces") -> list[str]:
        """Flags with which a server of ours keeps its files there."""
        keys = [f"--access-key-id={KEY_ID}", f"--secret-access-key={SECRET}"]
        return [f"--endpoint-url={self.url}", *keys, f"--workspace-bucket={bucket}"]

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        self._folder.cleanup()
        Path(self._folder.name).with_suffix(".log").unlink(missing_ok=True)


@contextmanager
def running(kind: str) -> Iterator[S3Server]:
    """A server, while the block runs."""
    server = S3Server(kind)
    try:
        yield server.start()
    finally:
        server.close()
