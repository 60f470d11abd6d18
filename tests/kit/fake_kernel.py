"""A kernel that speaks Jupyter's protocol and runs Python: `fake_kernel.py CONNECTION`."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.session import Session


class Stream(io.TextIOBase):
    """Sends what is printed."""

    def __init__(self, name: str, send: Callable[..., None]) -> None:
        self._name, self._send = name, send

    def write(self, text: str) -> int:
        self._send("stream", {"name": self._name, "text": text})
        return len(text)


class FakeKernel:
    def __init__(self, connection: dict[str, Any]) -> None:
        self._session = Session(key=connection["key"].encode())
        context = zmq.Context()
        self._sockets = {
            name: context.socket(zmq.PUB if name == "iopub" else zmq.ROUTER)
            for name in ("shell", "iopub", "stdin", "control")
        }
        for name, socket in self._sockets.items():
            socket.bind(f"{connection['transport']}://{connection['ip']}-{connection[name + '_port']}")
        self._names: dict[str, Any] = {"display": self._display}
        self._parent: dict[str, Any] = {}
        self._count = 0

    def _publish(self, kind: str, content: dict[str, Any]) -> None:
        self._session.send(self._sockets["iopub"], kind, content, parent=self._parent)

    def _display(self, data: Any) -> None:
        self._publish("display_data", {"data": data, "metadata": {}})

    def serve(self) -> None:
        while True:
            try:
                ids, message = self._session.recv(self._sockets["shell"], mode=0)
            except KeyboardInterrupt:
                continue
            self._parent = message
            self._publish("status", {"execution_state": "busy"})
            kind = message["msg_type"].removesuffix("_request")
            answer = self._run(message["content"]["code"]) if kind == "execute" else {"status": "ok"}
            self._session.send(self._sockets["shell"], f"{kind}_reply", answer, parent=message, ident=ids)
            self._publish("status", {"execution_state": "idle"})

    def _run(self, code: str) -> dict[str, Any]:
        self._count += 1
        try:
            with (
                contextlib.redirect_stdout(Stream("stdout", self._publish)),
                contextlib.redirect_stderr(Stream("stderr", self._publish)),
            ):
                self._run_parts(ast.parse(code))
        except BaseException as error:
            lines = ["\x1b[31m" + line.rstrip("\n") + "\x1b[0m" for line in traceback.format_exception(error)]
            wrong = {"ename": type(error).__name__, "evalue": str(error), "traceback": lines}
            self._publish("error", wrong)
            return {"status": "error", **wrong}
        return {"status": "ok"}

    def _run_parts(self, tree: ast.Module) -> None:
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), self._names)
        if last is None:
            return
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), self._names)
        if value is not None:
            data = {"text/plain": repr(value)}
            self._publish("execute_result", {"data": data, "metadata": {}, "execution_count": self._count})


if __name__ == "__main__":
    FakeKernel(json.loads(Path(sys.argv[1]).read_text())).serve()
