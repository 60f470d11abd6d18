"""What code in a kernel gives: its messages as plain values, and no more of them than is good."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_FIELDS = {
    "stream": ("name", "text"),
    "display_data": ("data", "metadata"),
    "update_display_data": ("data", "metadata"),
    "execute_result": ("data", "metadata", "execution_count"),
    "error": ("ename", "evalue", "traceback"),
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

Output = dict[str, Any]


def output_of(message: Mapping[str, Any]) -> Output | None:
    """An output as callers get it: `type` and the fields of its kind; None for other messages.

    The program that sent it is an app's: whatever it holds must not matter to us.
    """
    header, content = message.get("header"), message.get("content")
    if not isinstance(header, Mapping) or not isinstance(content, Mapping):
        return None
    kind = header.get("msg_type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        return None
    output = {"type": kind, **{name: content[name] for name in _FIELDS[kind] if name in content}}
    if kind == "stream":
        output["name"] = "stderr" if output.get("name") == "stderr" else "stdout"
        output["text"] = str(output.get("text", ""))
    return output


def error_of(output: Mapping[str, Any]) -> dict[str, Any]:
    """What went wrong: `ename`, `evalue`, `traceback`, without colours."""
    lines = output.get("traceback")
    return {
        "ename": str(output.get("ename", "Error")),
        "evalue": str(output.get("evalue", "")),
        "traceback": [_COLOURS.sub("", str(line)) for line in lines] if isinstance(lines, list) else [],
    }


def text_of_error(error: Mapping[str, Any]) -> str:
    """An error for a log: its traceback, or what there is."""
    return "\n".join(error["traceback"]) or f"{error['ename']}: {error['evalue']}"


class Outputs:
    """The outputs of one execution, up to a number of bytes; a last text says if there were more."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: list[Output] = []
        self.is_cut = False
        """Whether some of them, too many or too large at once, have not come."""
        self.error: dict[str, Any] | None = None
        """What the code raised."""

    def add(self, output: Output, size_bytes: int) -> None:
        """Append an output, as large as its message; texts of one stream become one."""
        if output["type"] == "error":
            self.error = error_of(output)
            return
        room = self._most_bytes - self._bytes
        self._bytes += min(size_bytes, room)
        if size_bytes <= room:
            self._append(output)
        else:
            self.is_cut = True
            if output["type"] == "stream" and room:
                self._append({**output, "text": output["text"][:room]})

    def _append(self, output: Output) -> None:
        last = self._kept[-1] if self._kept else None
        if last and last["type"] == output["type"] == "stream" and last["name"] == output["name"]:
            last["parts"].append(output["text"])
        elif output["type"] == "stream":
            self._kept.append({"type": "stream", "name": output["name"], "parts": [output["text"]]})
        else:
            self._kept.append(output)

    def values(self) -> list[Output]:
        """All that is kept; a last text says what is not."""
        found = [
            {"type": "stream", "name": each["name"], "text": "".join(each["parts"])}
            if each["type"] == "stream"
            else each
            for each in self._kept
        ]
        if self.is_cut:
            text = f"[more outputs are not kept: {self._most_bytes} bytes are the most]\n"
            found.append({"type": "stream", "name": "stderr", "text": text})
        return found
