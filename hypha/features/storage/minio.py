"""`--start-minio-server`: a MinIO server that begins and ends with ours, where its program is installed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from hypha.errors import ConfigurationError
from hypha.features.storage.options import DEFAULT_MINIO_KEY, StorageOptions
from hypha.networks import is_meant_here, reachable_host

logger = logging.getLogger(__name__)

PROGRAM = "minio"
START_S = 10.0
END_S = 5.0
VERSION_S = 5.0
_LOOK_EVERY_S = 0.1
_OF_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_OF_GO = ("GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT")
_OF_CERTIFICATES = ("SSL_CERT_DIR", "SSL_CERT_FILE")
_OF_SYSTEM = ("HOME", "LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TMPDIR", "TZ", "USER")
_PASSED = frozenset((*_OF_PROXIES, *_OF_GO, *_OF_CERTIFICATES, *_OF_SYSTEM))


def find_minio(where: str) -> str | None:
    """The `minio` executable at a path, in a folder, or on the `PATH`; None if there is none."""
    given = Path(where).expanduser()
    if given.is_file() and os.access(given, os.X_OK):
        return str(given.resolve())
    found = shutil.which(PROGRAM, path=str(given)) or shutil.which(PROGRAM)
    return None if found is None else str(Path(found).resolve())


def environment() -> dict[str, str]:
    """What a program that isn't ours sees of our environment: nothing of ours, which holds our secrets."""
    return {name: text for name, text in os.environ.items() if name in _PASSED or name.startswith("MINIO_")}


def without_minio(where: str) -> str:
    """The one line that says what is used instead."""
    return (
        f"--start-minio-server: no minio executable was found (in {where}, or on the PATH); files are kept "
        "in the embedded store, with the same functions."
    )


class MinioServer:
    """A MinIO server of ours.

    Args:
        program: its executable. host: that our own server listens on.
        data_folder: takes its files where no folder is named; without one they end with it.

    Attributes:
        url: where it is found. user, password: its root key.
    """

    def __init__(
        self, program: str, options: StorageOptions, host: str, data_folder: Path | None = None
    ) -> None:
        self._program = program
        self._options = options
        self._host = host
        self._process: asyncio.subprocess.Process | None = None
        self._temporary = ""
        self._folder = options.minio_workdir or str(data_folder / PROGRAM if data_folder else "")
        self.url = f"http://{reachable_host(host)}:{options.minio_port}"
        self.user, self.password = options.minio_root_user, options.minio_root_password
        self.is_new_password = not is_meant_here(host) and self.password == DEFAULT_MINIO_KEY
        if self.is_new_password:
            self.password = secrets.token_urlsafe(24)

    async def start(self) -> None:
        """Start it, and wait until it says that it is well.

        Raises:
            ConfigurationError: it does not come up.
        """
        options = self._options
        if options.minio_workdir and not Path(options.minio_workdir).is_absolute():
            raise ConfigurationError("--minio-workdir takes an absolute path.")
        port = options.minio_port
        if await _answers(reachable_host(self._host), port):
            raise ConfigurationError(
                f"MinIO cannot be started: another program answers at port {port}. Choose --minio-port."
            )
        await self._check_version()
        console = options.minio_console_port or port + 1
        env = {**environment(), "MINIO_ROOT_USER": self.user, "MINIO_ROOT_PASSWORD": self.password}
        if options.minio_file_system_mode:
            env["MINIO_STORAGE_CLASS_STANDARD"] = "EC:0"
        line = ["server", "--address", f"{self._host}:{port}", "--console-address", f"{self._host}:{console}"]
        folder = self._folder
        if not folder:
            folder = self._temporary = tempfile.mkdtemp(prefix="hypha-minio-")
        try:
            self._process = await asyncio.create_subprocess_exec(
                self._program, *line, folder, env=env, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            raise ConfigurationError(
                f"The minio executable cannot be run: {(error.strerror or 'unknown').lower()}."
            ) from None
        try:
            async with asyncio.timeout(START_S):
                await self._healthy(port)
        except BaseException as error:
            await self.stop()
            if isinstance(error, TimeoutError):
                raise ConfigurationError(
                    f"MinIO was started and does not answer at {self.url} within {START_S:.0f} s."
                ) from None
            raise
        logger.info("MinIO runs at %s", self.url)

    async def _healthy(self, port: int) -> None:
        """Wait until ours is well: what answers may be another one's, which took the port before ours."""
        assert self._process is not None
        is_live = False
        while not is_live:
            is_live = await _is_live(reachable_host(self._host), port)
            if self._process.returncode is not None:
                raise ConfigurationError(
                    f"MinIO ended at once, with the code {self._process.returncode}. Is port {port} free, "
                    "and the folder of --minio-workdir writable?"
                )
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _check_version(self) -> None:
        wanted = self._options.minio_version
        if not wanted:
            return
        try:
            process = await asyncio.create_subprocess_exec(
                self._program, "--version", env=environment(), stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        except OSError:
            process, said = None, b""
        if process is not None:
            try:
                said, _ = await asyncio.wait_for(process.communicate(), VERSION_S)
            except TimeoutError:
                process.kill()
                await process.wait()
                said = b""
        if wanted.encode() not in said:
            logger.warning(
                "--minio-version: the minio executable that was found is not of release %s", wanted
            )

    async def stop(self) -> None:
        """End it, and what it kept in a folder that nobody named."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), END_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._temporary:
            await asyncio.to_thread(shutil.rmtree, self._temporary, ignore_errors=True)


async def _answers(host: str, port: int) -> bool:
    """Whether anything listens there."""
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(host.strip("[]"), port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _is_live(host: str, port: int) -> bool:
    """Whether a MinIO server says that it is well."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host.strip("[]"), port)
            try:
                head = f"GET /minio/health/live HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close"
                writer.write(f"{head}\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
