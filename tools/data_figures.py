"""Measure files and artifacts: CPU of the server per unit of work, and speeds beside those of the bare disk.

Usage: data_figures.py [workload ...] [--folder FOLDER] [--database-uri URI] [--rounds N]

Workloads: cycle, get_file, transfer, commit, zip, lists; all if none is named. Each starts a server of its
own with an empty data folder below FOLDER, which should lie on the disk that is meant. `--database-uri` needs
an empty database. Prints a table with the load of the machine: read nothing into figures of a busy one.
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from hypha_rpc import connect_to_server
from sqlalchemy import insert, text

MIB = 1024 * 1024
TRANSFER_BYTES = 256 * MIB
COMMITTED_FILES = 10_000
LISTED = (1_000, 100_000)
LISTS = {
    "as they come": {},
    "filter and order": {"filters": {"type": "x", "manifest": {"name": "n3"}}, "order_by": "created_at>"},
    "with total": {"pagination": True},
    "by manifest.name": {"order_by": "manifest.name"},
}


class Server:
    """A server process on a port of its own, and what it has used."""

    def __init__(self, folder, database_uri):
        self.folder, self.token = folder, secrets.token_hex(24)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "hypha.server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--data-dir", str(folder), "--root-token", self.token]
        if database_uri:
            command += ["--database-uri", database_uri]
        limits = {"HYPHA_HTTP_RATE_LIMIT": "0", "HYPHA_HTTP_AUTHENTICATED_RATE_LIMIT": "0"}
        limits |= {"HYPHA_MAX_ARTIFACTS_PER_WORKSPACE": "1000000"}
        self.process = subprocess.Popen(
            command, env={**os.environ, **limits}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def cpu_s(self):
        """Seconds of CPU so far, of the process and of the system for it."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, field):
        """`VmRSS` or `VmHWM` (the most so far)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        return 0.0

    def reset_peak(self):
        """Count the most memory anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@contextlib.asynccontextmanager
async def served(options, fill=None):
    """A server with a connected client: server, artifact manager, HTTP client."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if fill is not None:
            await fill(Path(folder))
        server = Server(Path(folder), options.database_uri)
        try:
            async with httpx.AsyncClient(timeout=300) as http:
                await ready(server, http)
                client = await connect_to_server({"server_url": server.url, "token": server.token})
                try:
                    yield server, await client.get_service("public/artifact-manager"), http
                finally:
                    await client.disconnect()
        finally:
            server.process.terminate()
            server.process.wait(30)


async def ready(server, http):
    """Wait until the server answers."""
    deadline = time.monotonic() + 60
    while server.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if (await http.get(f"{server.url}/health/readiness")).status_code == 200:
                return
        await asyncio.sleep(0.1)
    raise SystemExit("The server did not start.")


def row(workload, figure, told):
    """Print a line of the table."""
    print(f"| {workload} | {figure} | {told} | {os.getloadavg()[0]:.1f} |", flush=True)


async def cycle(options):
    """Create, address, PUT, commit, read, one after the other."""
    async with served(options) as (server, manager, http):

        async def once(alias):
            await manager.create(alias=alias, manifest={"name": alias}, stage=True)
            url = await manager.put_file(alias, "a.txt")
            (await http.put(url, content=b"x" * 100)).raise_for_status()
            await manager.commit(alias)
            await manager.read(alias)

        await once("warm")
        for number in range(options.rounds):
            before, count = server.cpu_s(), 50
            for each in range(count):
                await once(f"a{number}-{each}")
            row("cycle of a small artifact", "CPU ms", f"{(server.cpu_s() - before) / count * 1e3:.1f}")


async def get_file(options):
    """Addresses of one file."""
    async with served(options) as (server, manager, http):
        await manager.create(alias="one", manifest={"name": "one"}, stage=True)
        (await http.put(await manager.put_file("one", "a.txt"), content=b"x")).raise_for_status()
        await manager.commit("one")
        for _ in range(options.rounds):
            before, begin, count = server.cpu_s(), time.perf_counter(), 300
            for _ in range(count):
                await manager.get_file("one", "a.txt")
            cpu, wall = (server.cpu_s() - before) / count, (time.perf_counter() - begin) / count
            row("get_file", "CPU ms, ms", f"{cpu * 1e3:.2f}, {wall * 1e3:.2f}")


def bare_write(folder, data):
    """Seconds to write and flush a file as large as the uploaded one."""
    begin = time.perf_counter()
    with open(folder / "bare", "wb", buffering=0) as file:
        for at in range(0, len(data), MIB):
            file.write(data[at : at + MIB])
        os.fsync(file.fileno())
    return time.perf_counter() - begin


def bare_send(folder):
    """Seconds to send that file through a local connection with `sendfile`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = subprocess.Popen(
            [sys.executable, "-c", _READER, str(listener.getsockname()[1])], stdout=subprocess.DEVNULL
        )
        connection, _ = listener.accept()
        begin = time.perf_counter()
        with connection, open(folder / "bare", "rb") as file:
            connection.sendfile(file)
        reader.wait()
    return time.perf_counter() - begin


_READER = (
    "import socket,sys\n"
    "s=socket.create_connection(('127.0.0.1',int(sys.argv[1]))); b=bytearray(1<<20)\n"
    "while s.recv_into(b): pass"
)


async def transfer(options):
    """256 MiB up and down through signed addresses, in turn with the bare disk."""
    data = os.urandom(MIB) * (TRANSFER_BYTES // MIB)
    async with served(options) as (server, manager, _):
        await manager.create(alias="big", manifest={"name": "big"}, stage=True)
        for _ in range(options.rounds):
            bare = await asyncio.to_thread(bare_write, server.folder, data)
            url = await manager.put_file("big", "a.bin")
            server.reset_peak()
            before, rested = server.cpu_s(), server.memory_mib("VmRSS")
            took = await asyncio.to_thread(moved, ["-T", "-", url], data)
            told = f"{TRANSFER_BYTES / MIB / took:.0f}, {bare / took:.0%}, {server.cpu_s() - before:.2f}"
            row("256 MiB up", "MiB/s, of bare write, CPU s", told)
            bare = await asyncio.to_thread(bare_send, server.folder)
            url, before = await manager.get_file("big", "a.bin", stage=True), server.cpu_s()
            took = await asyncio.to_thread(moved, ["-o", os.devnull, url], b"")
            told = f"{TRANSFER_BYTES / MIB / took:.0f}, {bare / took:.0%}, {server.cpu_s() - before:.2f}"
            row("256 MiB down", "MiB/s, of bare sendfile, CPU s", told)
            row("both", "memory MiB: most above rest", f"{server.memory_mib('VmHWM') - rested:.1f}")


def moved(arguments, data):
    """Seconds that curl takes."""
    begin = time.perf_counter()
    subprocess.run(["curl", "-sSf", *arguments], input=data, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


async def filled(server, manager, alias):
    """An artifact with 10,000 staged files in 100 folders."""
    await manager.create(alias=alias, manifest={"name": alias}, stage=True)
    paths = [f"{n % 100}/{n}.txt" for n in range(COMMITTED_FILES)]
    urls = list((await manager.put_file(alias, paths)).values())
    limits = httpx.Limits(max_connections=16)
    async with httpx.AsyncClient(timeout=300, limits=limits) as http:
        for start in range(0, len(urls), 200):
            answers = await asyncio.gather(
                *(http.put(url, content=url[-20:].encode()) for url in urls[start : start + 200])
            )
            for answer in answers:
                answer.raise_for_status()


async def commit(options):
    """A commit of 10,000 files."""
    async with served(options) as (server, manager, _):
        for number in range(options.rounds):
            await filled(server, manager, f"many-{number}")
            before, begin = server.cpu_s(), time.perf_counter()
            await manager.commit(f"many-{number}")
            told = f"{time.perf_counter() - begin:.2f}, {server.cpu_s() - before:.2f}"
            row(f"commit of {COMMITTED_FILES:,} files", "s, CPU s", told)


async def packed(options):
    """The first byte of a zip of 10,000 files, and the whole."""
    async with served(options) as (server, manager, http):
        await filled(server, manager, "many")
        workspace = (await manager.commit("many"))["workspace"]
        url = f"{server.url}/{workspace}/artifacts/many/create-zip-file"
        for _ in range(options.rounds):
            server.reset_peak()
            before, begin, rested = server.cpu_s(), time.perf_counter(), server.memory_mib("VmRSS")
            headers = {"authorization": f"Bearer {server.token}"}
            async with http.stream("GET", url, headers=headers) as answer:
                answer.raise_for_status()
                first = None
                async for _ in answer.aiter_raw():
                    first = first or time.perf_counter() - begin
            grown = server.memory_mib("VmHWM") - rested
            told = (
                f"{first:.3f}, {time.perf_counter() - begin:.2f}, {server.cpu_s() - before:.2f}, {grown:.0f}"
            )
            row("zip of 10,000 files", "first byte s, all s, CPU s, memory MiB", told)


async def lists(options):
    """100 of many artifacts; each time the best of ten."""
    best = {}
    for count in LISTED:
        uri = options.database_uri

        async def fill(folder, count=count, uri=uri):
            await write_artifacts(uri or f"sqlite+aiosqlite:///{folder}/hypha.sqlite", count)

        async with served(options, fill) as (_, manager, _):
            for name, how in LISTS.items():
                times = []
                for _ in range(10):
                    begin = time.perf_counter()
                    await manager.list(**how)
                    times.append(time.perf_counter() - begin)
                best.setdefault(name, []).append((min(times), statistics.median(times)))
    for name, found in best.items():
        told = ", ".join(f"{least * 1e3:.1f} ({median * 1e3:.1f})" for least, median in found)
        row(f"list of 100, {name}", "ms of 1,000 and 100,000 (medians), ratio",
            f"{told}, {found[-1][0] / found[0][0]:.2f}")  # fmt: skip


async def write_artifacts(uri, count):
    """Put artifacts into the root user's workspace, without files, straight into the database."""
    from hypha.features.artifacts.tables import Artifact
    from hypha.store import Store
    from hypha.store.records import WorkspaceRecord
    from hypha.store.workspaces import ensure

    record = WorkspaceRecord("ws-user-root", "ws-user-root", persistent=True)
    same = {
        "workspace": record.id, "parent_id": None, "type": "x", "config": {}, "intent": None, "round": None,
        "staged": None, "staged_files": 0, "change": 0, "version_count": 1, "next_version": 1,
        "download_count": 0, "view_count": 0, "file_count": 0, "created_by": "root", "size": 400,
    }  # fmt: skip
    async with Store(uri) as store:
        async with store.writing() as connection:
            await connection.execute(text("DELETE FROM artifacts"))
            await ensure(connection, record, None)
        for start in range(0, count, 5_000):
            rows = [
                {
                    **same, "id": f"01900000-0000-7000-8000-{n:012d}", "alias": f"r{n}", "created_at": n,
                    "last_modified": n, "manifest": {"name": f"n{n % 7}", "description": "d" * 200},
                }
                for n in range(start, min(start + 5_000, count))
            ]  # fmt: skip
            async with store.writing() as connection:
                await connection.execute(insert(Artifact), rows)
        async with store.writing() as connection:
            await connection.execute(text("ANALYZE"))


WORKLOADS = {
    "cycle": cycle, "get_file": get_file, "transfer": transfer, "commit": commit, "zip": packed,
    "lists": lists,
}  # fmt: skip


async def main(options):
    """Run the workloads one after the other."""
    print(f"| workload | figure | {time.strftime('%d %B %Y, %H:%M')} | load |\n|---|---|---|---|")
    for name in options.workloads or WORKLOADS:
        await WORKLOADS[name](options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []])
    parser.add_argument("--folder", default=None)
    parser.add_argument("--database-uri", default=None)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(main(parser.parse_args()))
