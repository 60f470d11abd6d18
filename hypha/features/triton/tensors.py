"""Arrays between our values and the inference protocol: JSON head, then binary tensors."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import orjson

from hypha.errors import InvalidRequest, ServerFault
from hypha.wire.values import is_tagged

_TYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip
_NAMES = {kind: name for name, kind in _TYPES.items()}
BYTES = "BYTES"


def request_body(
    inputs: Sequence[tuple[str, str, Any]],
    outputs: Sequence[str] | None,
    parameters: Mapping[str, Any] | None,
) -> tuple[bytes, int]:
    """Body of an inference request and the length of its JSON head.

    `inputs` are (name, data type of the model, value); a value is an array as clients send it, or
    numbers, texts and lists of them.
    """
    described, parts = [], []
    for name, kind, value in inputs:
        tensor, data = _tensor(name, kind, value)
        described.append(tensor)
        parts.append(data)
    head: dict[str, Any] = {"inputs": described, "parameters": {**(parameters or {})}}
    if outputs is None:
        head["parameters"]["binary_data_output"] = True
    else:
        head["outputs"] = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    packed = orjson.dumps(head)
    return packed + b"".join(parts), len(packed)


def _tensor(name: str, kind: str, value: Any) -> tuple[dict[str, Any], bytes]:
    if is_tagged(value, "ndarray"):
        dtype, data = str(value.get("_rdtype")), value.get("_rvalue")
        if dtype not in _TYPES or not isinstance(data, bytes):
            raise InvalidRequest(
                f"The input {name[:80]} has the data type {dtype[:40]!r}, which is not known."
            )
        shape, kind = list(value.get("_rshape") or ()), _TYPES[dtype]
    else:
        shape = _shape(value)
        items = _flat(value)
        if len(items) != prod(shape):
            raise InvalidRequest(f"The lists of the input {name[:80]} differ in length.")
        if kind != BYTES:
            return {"name": name, "shape": shape, "datatype": kind, "data": items}, b""
        data = b"".join(_counted(item) for item in items)
    size = {"binary_data_size": len(data)}
    return {"name": name, "shape": shape, "datatype": kind, "parameters": size}, data


def _shape(value: Any) -> list[int]:
    return [len(value), *(_shape(value[0]) if value else ())] if isinstance(value, list) else []


def _flat(value: Any) -> list[Any]:
    return [item for part in value for item in _flat(part)] if isinstance(value, list) else [value]


def _counted(item: Any) -> bytes:
    data = item if isinstance(item, bytes) else str(item).encode()
    return struct.pack("<I", len(data)) + data


def answer_values(body: bytes, head_length: int | None) -> dict[str, Any]:
    """Outputs of an answer by name, arrays in the form that clients decode.

    Raises:
        ServerFault: the answer is not of the protocol.
    """
    try:
        head = orjson.loads(body[:head_length] if head_length else body)
        rest, values = memoryview(body)[head_length or len(body) :], {}
        for output in head["outputs"]:
            size = (output.get("parameters") or {}).get("binary_data_size")
            if size is None:
                values[output["name"]] = output.get("data")
                continue
            values[output["name"]] = _value(output, bytes(rest[:size]))
            rest = rest[size:]
    except (ValueError, KeyError, TypeError, struct.error):
        raise ServerFault("The Triton server answered with something that is no inference result.") from None
    return values


def _value(output: Mapping[str, Any], data: bytes) -> Any:
    kind, shape = output["datatype"], list(output["shape"])
    if kind != BYTES:
        return {"_rtype": "ndarray", "_rvalue": data, "_rshape": shape, "_rdtype": _NAMES[kind]}
    items, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        items.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return items
