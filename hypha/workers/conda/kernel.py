"""A Jupyter kernel of a session: a child process that runs code, and the sockets by which it is told to.

The sockets are files in the session's private folder, so nobody else reaches the kernel, and no port is
taken meanwhile. What the kernel sends is an app's: it is bounded, and may be anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypha.workers.base import WorkerError, WorkerNotAvailableError
from hypha.workers.children import Child, ProcessLimits, describe_code
from hypha.workers.conda.outputs import Output, Outputs, error_of, output_of
from hypha.workers.folders import SessionFolder

if TYPE_CHECKING:
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from zmq.asyncio import Context

logger = logging.getLogger(__name__)

MARK = "HYPHA_SESSION_DIR"
"""Its value is a name that nobody can guess, so it tells the processes of a session."""
MOST_OUTPUT_BYTES = 8 * 1_048_576
"""Of one execution."""
_MOST_MESSAGE_BYTES = 2 * MOST_OUTPUT_BYTES
"""Larger ones are not taken at all."""
_MOST_QUEUED = 8
"""Messages of a kernel that wait to be read; more wait in the kernel, as far as it has room for them."""
_READY_S = 120.0
_ASK_S = 0.2
"""Between two questions whether a kernel is there."""
_INTERRUPTED_S = 5.0
"""How long code that was interrupted may take to end."""
_IDLE_S = 2.0
"""How long outputs of code that has ended are waited for."""
_BUSY_S, _REST = 0.005, 3.0
"""After so many seconds with a kernel's messages, the reader rests for so many times as long."""
_MOST_SOCKET_CHARS = 100
"""Of the path of a socket: the system allows hardly more."""

_AS_ALWAYS: Mapping[str, Any] = {
    "silent": False,
    "store_history": True,
    "user_expressions": {},
    "allow_stdin": False,
    "stop_on_error": False,
}

Hear = Callable[[Output], None]


class Execution:
    """Code that runs: what it has given so far, and how it ended."""

    def __init__(self, hear: Hear | None) -> None:
        self.outputs = Outputs(MOST_OUTPUT_BYTES)
        self.is_idle = asyncio.Event()
        self.reply: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self.has_lost = False
        """Whether the message that ends its outputs has not come."""
        self._hear = hear

    def add(self, output: Output, size_bytes: int) -> None:
        """An output of it."""
        self.outputs.add(output, size_bytes)
        if self._hear is not None:
            self._hear(output)

    async def wait(self) -> None:
        """Wait until it has ended and all that it printed is here.

        Of a flood the kernel drops messages, and the one that says that there are no more may be among them.
        """
        reply = await self.reply
        try:
            await asyncio.wait_for(self.is_idle.wait(), _IDLE_S)
        except TimeoutError:
            self.outputs.is_cut = self.has_lost = True
        if self.outputs.error is None and reply.get("status") == "error":
            self.outputs.error = error_of(reply)


class Kernel:
    """A running kernel. `hear` is told of everything that it prints, whoever asked."""

    def __init__(self, child: Child, client: AsyncKernelClient, hear: Hear) -> None:
        self.child = child
        self._client = client
        self._outputs_url = f"ipc://{client.ip}-{client.iopub_port}"
        self._hear = hear
        self._running: dict[str, Execution] = {}
        self._turn = asyncio.Lock()
        self._has_spoken = asyncio.Event()
        self._reading = {name: asyncio.create_task(self._read(name)) for name in ("shell", "iopub")}
        self.ended = asyncio.create_task(self._await_end())
        """Its exit code, when it has one."""

    @classmethod
    async def start(
        cls,
        context: Context,
        python: Path,
        folder: SessionFolder,
        variables: Mapping[str, str],
        limits: ProcessLimits,
        hear: Hear,
    ) -> Kernel:
        """Start a kernel in a session's folder, with nothing but these variables, and wait until it is there.

        Raises:
            WorkerError: it ended, or said nothing for two minutes.
        """
        client, file = _new_client(context, folder)
        launch = ["-m", "ipykernel_launcher", "-f", str(file), "--HistoryManager.enabled=False"]
        child = await Child.start(
            [str(python), *launch],
            folder=folder.work,
            environment={**variables, MARK: str(folder.work)},
            marks=[MARK],
            limits=limits,
        )
        folder.record(child.pid, child.started, child.marks)
        kernel = cls(child, client, hear)
        try:
            await kernel._await_ready()
        except BaseException:
            await kernel.close()
            raise
        return kernel

    async def _await_word(self, within_s: float) -> None:
        """Wait until outputs of the kernel arrive here, or it has ended, or for so long."""

        async def ask() -> None:
            while not self._has_spoken.is_set():
                await self._send(self._client.session.msg("kernel_info_request", {}))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._has_spoken.wait(), _ASK_S)

        asking = asyncio.create_task(ask())
        try:
            await asyncio.wait([asking, self.ended], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()

    async def _await_ready(self) -> None:
        await self._await_word(_READY_S)
        if self.ended.done():
            lines = "\n".join(self.child.err.text().strip().splitlines()[-10:])[-2_000:]
            raise WorkerError(
                f"The kernel did not start, but ended with {describe_code(self.ended.result())}:\n{lines}"
            )
        if not self._has_spoken.is_set():
            raise WorkerError(f"The kernel did not answer for {_READY_S:.0f} seconds.")

    # -- code -------------------------------------------------------------------------------------

    async def run(
        self, code: str, timeout_s: float | None = None, hear: Hear | None = None
    ) -> dict[str, Any]:
        """Run code: `status`, `outputs`, and `error` where it failed.

        Code that runs longer than `timeout_s`, the wait for earlier code included, is interrupted.

        Raises:
            WorkerError: the kernel has ended, or ends meanwhile.
        """
        try:
            await asyncio.wait_for(self._turn.acquire(), timeout_s)
        except TimeoutError:
            return _timed_out([], f"Earlier code still runs after {timeout_s:g} seconds; this was not run.")
        try:
            self._check_lives()
            execution = Execution(hear)
            request = self._client.session.msg("execute_request", {"code": code, **_AS_ALWAYS})
            self._running[request["msg_id"]] = execution
            try:
                return await self._finish(request, execution, timeout_s)
            finally:
                del self._running[request["msg_id"]]
        finally:
            self._turn.release()

    async def _finish(
        self, request: Mapping[str, Any], execution: Execution, timeout_s: float | None
    ) -> dict[str, Any]:
        async def send_and_wait() -> None:
            await self._send(request)
            await execution.wait()

        ending = asyncio.create_task(send_and_wait())
        try:
            await asyncio.wait([ending, self.ended], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            is_late = not ending.done() and not self.ended.done()
            if is_late:
                self.interrupt()
                await asyncio.wait(
                    [ending, self.ended], timeout=_INTERRUPTED_S, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            ending.cancel()
        outputs = execution.outputs
        if execution.has_lost:
            await self._connect_again()
        if not ending.done():
            self._check_lives()
            text = f"The code ran longer than {timeout_s:g} seconds, and goes on though it was interrupted."
            return _timed_out(outputs.values(), text)
        if is_late:
            text = f"The code ran longer than {timeout_s:g} seconds and was interrupted."
            return _timed_out(outputs.values(), text)
        if outputs.error is None:
            return {"status": "ok", "outputs": outputs.values()}
        return {"status": "error", "outputs": outputs.values(), "error": outputs.error}

    async def _connect_again(self) -> None:
        """Listen anew: a message that was too large has cut the connection for outputs, for good."""
        from zmq import ZMQError

        socket = self._client.iopub_channel.socket
        with contextlib.suppress(ZMQError):  # it may be cut already
            socket.disconnect(self._outputs_url)
        self._has_spoken.clear()
        self._reading["iopub"].cancel()
        await asyncio.wait([self._reading["iopub"]])
        socket.connect(self._outputs_url)
        self._reading["iopub"] = asyncio.create_task(self._read("iopub"))  # it sees what has come meanwhile
        await self._await_word(_IDLE_S)

    def interrupt(self) -> None:
        """Interrupt the code that runs, and the programs that it runs in the kernel's group."""
        if self.child.code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGINT)

    async def close(self) -> None:
        """End it with all of its processes."""
        await self.child.end()
        await self.ended
        for task in self._reading.values():
            task.cancel()
        await asyncio.wait(self._reading.values())
        self._client.stop_channels()

    def _check_lives(self) -> None:
        if self.ended.done():
            raise WorkerError(
                f"The kernel has ended with {describe_code(self.ended.result())}: stop the session."
            )

    async def _await_end(self) -> int:
        return await self.child.wait()

    async def _send(self, request: Mapping[str, Any]) -> None:
        """Send a request by the socket itself.

        The client's functions send past it, and the socket would not learn of what has arrived just then.
        """
        await self._client.shell_channel.socket.send_multipart(self._client.session.serialize(request))

    # -- messages ---------------------------------------------------------------------------------

    async def _read(self, name: str) -> None:
        """Take what comes on a socket, whatever it is, until it is closed."""
        session = self._client.session
        socket = getattr(self._client, f"{name}_channel").socket
        loop, busy_s = asyncio.get_running_loop(), 0.0
        while True:
            frames = await socket.recv_multipart()
            since = loop.time()
            try:
                _, parts = session.feed_identities(frames)
                message = session.deserialize(parts)
                self._take(name, message, sum(map(len, frames)))
            except Exception as error:
                logger.debug("A message of a kernel is not understood: %s", error)
            busy_s += loop.time() - since
            if busy_s > _BUSY_S:
                await asyncio.sleep(_REST * busy_s)
                busy_s = 0.0

    def _take(self, name: str, message: Mapping[str, Any], size_bytes: int) -> None:
        kind, parent = message["header"]["msg_type"], message["parent_header"].get("msg_id")
        execution = self._running.get(parent) if isinstance(parent, str) else None
        if name == "shell":
            if execution is not None and not execution.reply.done():
                execution.reply.set_result(message["content"])
            return
        self._has_spoken.set()
        if execution is not None and kind == "status" and message["content"]["execution_state"] == "idle":
            execution.is_idle.set()
        output = output_of(message)
        if output is not None:
            self._hear(output)
            if execution is not None:
                execution.add(output, size_bytes)


def new_context() -> Context:
    """What sockets of kernels are made from: they take few messages ahead, and no endless ones.

    Raises:
        WorkerNotAvailableError: the package for it is missing.
    """
    try:
        import zmq
        import zmq.asyncio
    except ImportError:
        raise WorkerNotAvailableError(
            "The package jupyter_client is missing: install hypha-server[conda]."
        ) from None
    context = zmq.asyncio.Context()
    context.setsockopt(zmq.MAXMSGSIZE, _MOST_MESSAGE_BYTES)
    context.setsockopt(zmq.RCVHWM, _MOST_QUEUED)
    return context


def check_path(root: Path) -> None:
    """See that sockets of sessions below a folder will have names that the system takes.

    Raises:
        WorkerNotAvailableError: they would be too long.
    """
    longest = root / "worker-12345678" / "session-12345678" / "k-1"
    if len(str(longest)) > _MOST_SOCKET_CHARS:
        raise WorkerNotAvailableError(
            f"The path {root} is too long for sockets of kernels: name another folder."
        )


def _new_client(context: Context, folder: SessionFolder) -> tuple[AsyncKernelClient, Path]:
    """A client for a kernel that isn't there yet, and the file that tells the kernel of it."""
    try:
        from jupyter_client.asynchronous.client import AsyncKernelClient
        from jupyter_client.connect import write_connection_file
    except ImportError:
        raise WorkerNotAvailableError(
            "The package jupyter_client is missing: install hypha-server[conda]."
        ) from None
    file, told = write_connection_file(
        str(folder.path / "kernel.json"),
        transport="ipc",
        ip=str(folder.path / "k"),
        key=os.urandom(32).hex().encode(),
        shell_port=1,
        iopub_port=2,
        stdin_port=3,
        control_port=4,
        hb_port=5,
    )
    client = AsyncKernelClient(context=context)
    client.load_connection_info(told)
    return client, Path(file)


def _timed_out(outputs: list[Output], text: str) -> dict[str, Any]:
    error = {"ename": "TimeoutError", "evalue": text, "traceback": []}
    return {"status": "error", "outputs": outputs, "error": error}
