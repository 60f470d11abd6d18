"""What was raised, read from the texts in which clients report it.

The Python client sends a formatted traceback as the text, or the bare message with the traceback beside it;
JavaScript sends `Type: message` and the stack. Of all this only the type and the message are told, never the
files that a traceback names. A message may hold a traceback itself, such as that of a process that crashed:
it says nothing of what was raised here.
"""

from __future__ import annotations

import re

from hypha.errors import CallFailed, UnreadableAnswer

MAX_READ_CHARS = 128 * 1024
"""Of a longer text the two ends are read."""
MAX_GROUP_SHOWN = 5

_HEADER = "Traceback (most recent call last):"
_GROUP_HEADER = "+ Exception Group Traceback (most recent call last):"
_CHAIN = re.compile(r"\n\n[^\n]{1,200}:\n\nTraceback \(most recent call last\):\n")
_EXCEPTION = re.compile(r"([A-Za-z_][\w.]{0,199})(?::[ ]?(.*))?", re.DOTALL)
_PREFIXES = re.compile(r"(?:(?:[\w.]{0,99}\b)?(?:RemoteException|RemoteError|CallFailed):\s*)*+")
_RELAYED = frozenset({"RemoteException", "RemoteError", "CallFailed"})


def raised_in(error: CallFailed) -> tuple[str, str]:
    """Type name and message of a callee's error: as it reports it, or what the hub says of its answer."""
    if isinstance(error, UnreadableAnswer):
        return error.rpc_name, error.message
    return remote_error(error.message, error.trace)


def remote_error(text: str, trace: str = "") -> tuple[str, str]:
    """Type name and message of an error as a client reports it.

    The last exception of a chain is the one that was raised; of a group it is the group, with the first few
    errors in it. What a callee passes on from somebody else has the type that it had there. The type is
    empty when neither text names one.
    """
    text, trace = read_ends(text), read_ends(trace)
    if trace:
        kind = _type_beside(trace, text)
        if kind in _RELAYED:
            return _read(text)
        if kind:
            return kind, _without_traceback(text)
        if _HEADER not in text:
            kind, message = _read(trace)
            if kind and not text.startswith(f"{kind}: "):
                return kind, message if kind.endswith("ExceptionGroup") else _without_traceback(text)
    return _read(text)


def read_ends(text: str) -> str:
    """The text, or the two ends of a long one."""
    half = MAX_READ_CHARS // 2
    return text if len(text) <= MAX_READ_CHARS else f"{text[:half]} … {text[-half:]}"


def _type_beside(trace: str, message: str) -> str:
    """The type in a traceback that ends with this very message; empty if it ends otherwise."""
    trace, message = trace.rstrip(), message.rstrip()
    if not trace.startswith(_HEADER) or not trace.endswith(message):
        return ""
    before = trace[: len(trace) - len(message)].rpartition("\n")[2]
    match = _EXCEPTION.fullmatch(before.removesuffix(": "))
    return "" if match is None or match[2] is not None else match[1].rpartition(".")[2]


def _read(text: str) -> tuple[str, str]:
    if text.lstrip().startswith(_GROUP_HEADER):
        return _read_group(text)
    last = _last_raised(text).strip()
    if prefixes := _PREFIXES.match(last):
        relayed = last[prefixes.end() :]
        if prefixes.end() and _HEADER in relayed:
            relayed = _after_last_traceback(relayed)
        last = relayed
    match = _EXCEPTION.fullmatch(last)
    if match is None or not _names_a_type(match[1], match[2]):
        return "", _without_traceback(last)
    return match[1].rpartition(".")[2], _without_traceback(match[2] or "")


def _last_raised(text: str) -> str:
    """The exception at the end of a traceback, or of the last one of a chain; what else is no traceback."""
    at = text.find(_HEADER)
    if at < 0:
        return text.partition("\n    at ")[0]
    if at > 0 and text[at - 1] != "\n":
        return text  # inside a message
    for link in _CHAIN.finditer(text, at):
        at = link.end() - len(_HEADER) - 1
    return _behind_frames(text[at:])


def _behind_frames(block: str) -> str:
    lines = block.split("\n")[1:]
    start = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith(" ")), None)
    return "" if start is None else "\n".join(lines[start:])


def _after_last_traceback(text: str) -> str:
    """What a text that passed several programs ends with: each put a traceback in front."""
    return _behind_frames(_HEADER + text.rpartition(_HEADER)[2]).strip()


def _without_traceback(message: str) -> str:
    return message.partition(_HEADER)[0].strip()


def _read_group(text: str) -> tuple[str, str]:
    """The group and the errors in it: each line of a group's traceback stands behind `|`."""
    raised = []
    for line in text.split("\n"):
        bar, _, rest = line.partition("|")
        match = _EXCEPTION.fullmatch(rest[1:]) if not bar.strip() and rest[:1] == " " else None
        if match is not None and _names_a_type(match[1], match[2]) and not rest.strip().endswith(_HEADER):
            raised.append((match[1].rpartition(".")[2], (match[2] or "").strip()))
    if not raised:
        return "", ""
    (kind, message), *inner = raised
    shown = "; ".join(f"{name}: {said}" for name, said in inner[:MAX_GROUP_SHOWN])
    return kind, f"{message}: {shown}" if shown else message


def _names_a_type(name: str, message: str | None) -> bool:
    short = name.rpartition(".")[2]
    return short[:1].isupper() and (message is not None or short.endswith(("Error", "Exception", "Group")))
