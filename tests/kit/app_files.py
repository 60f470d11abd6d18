"""A server of app files, and what a worker is told to start."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "token-of-the-session"


class AppFiles:
    """Serves the files of one app to who has one of its tokens."""

    def __init__(self, url: str, files: dict[str, bytes]) -> None:
        self.url = url
        self.files = files
        self.tokens = {TOKEN}

    def config(self, number: int = 1, script: str | None = None, **more: Any) -> dict[str, Any]:
        """What `start` gets; with a script, it is put there first."""
        entry = f"main{number}.py"
        if script is not None:
            self.files[entry] = script.encode()
        client_id = f"_rapp_{number}__rlb"
        return {
            "id": f"w/{client_id}",
            "app_id": "app",
            "workspace": "w",
            "client_id": client_id,
            "server_url": self.url,
            "app_files_base_url": f"{self.url}/w/artifacts/app/files",
            "token": TOKEN,
            "entry_point": entry,
            "artifact_id": "w/app",
            "timeout": 120,
            "manifest": {"name": "App", "type": "python-eval"},
            "progress_callback": None,
            **more,
        }


@contextmanager
def app_files() -> Iterator[AppFiles]:
    """Serve files until the end of the block."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path).removeprefix("/w/artifacts/app/files/")
            is_known = (self.headers["Authorization"] or "").removeprefix("Bearer ") in served.tokens
            body = files.get(path, b"") if is_known else b""
            self.send_response(403 if not is_known else 200 if path in files else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    served = AppFiles(f"http://127.0.0.1:{server.server_port}", files)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
