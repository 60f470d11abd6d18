"""Every kind of value survives the round trip (docs/spec/wire-protocol.md#values)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from tests.e2e.lab import Lab

VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "negative": -1,
    "smallest": -(2**63),
    "largest": 2**64 - 1,
    "above-int64": 2**63,
    "float": 3.141592653589793,
    "infinity": float("inf"),
    "tiny": 5e-324,
    "empty-text": "",
    "text": "naïve 🦉 \u0000 text",
    "bytes": bytes(range(256)),
    "empty-bytes": b"",
    "list": [1, "a", None, [2.5]],
    "map": {"a": {"b": {"c": [1, {"d": None}]}}, "": 1},
    "empty-list": [],
    "empty-map": {},
    "set": {1, 2, 3},
}


@pytest.mark.spec("wire-21")
@pytest.mark.parametrize("name", VALUES)
async def test_plain_value_survives_the_round_trip(lab: Lab, name: str) -> None:
    value = VALUES[name]
    for service in (lab.service, lab.public_service):
        result = await service.echo(value)
        assert result == value
        assert isinstance(result, type(value))


ARRAYS = {
    "float64": np.arange(12, dtype="float64").reshape(3, 4),
    "uint8-3d": np.arange(60, dtype="uint8").reshape(3, 4, 5),
    "int64": np.array([-1, 2**62], dtype="int64"),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j], dtype="complex128"),
    "float16": np.ones((2, 2), dtype="float16"),
    "0-d": np.array(7, dtype="int32"),
    "empty": np.zeros((0, 3), dtype="float32"),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "sliced": np.arange(20)[::3],
}


@pytest.mark.spec("wire-21")
@pytest.mark.parametrize("name", ARRAYS)
async def test_array_survives_the_round_trip(lab: Lab, name: str) -> None:
    array = ARRAYS[name]
    result = await lab.service.echo(array)
    assert result.dtype == array.dtype and result.shape == array.shape
    assert np.array_equal(result, array)


@pytest.mark.spec("wire-21")
async def test_tuple_becomes_a_list_and_numpy_scalar_a_0d_array(lab: Lab) -> None:
    assert await lab.service.echo((1, (2, 3))) == [1, [2, 3]]
    scalar = await lab.service.echo(np.float32(1.5))
    assert scalar.shape == () and float(scalar) == 1.5


@pytest.mark.spec("wire-21")
async def test_memoryview_survives_the_round_trip(lab: Lab) -> None:
    result = await lab.service.echo(memoryview(b"window"))
    assert isinstance(result, memoryview) and result.tobytes() == b"window"


@pytest.mark.spec("wire-21")
async def test_file_object_is_read_by_the_receiver(lab: Lab) -> None:
    assert await lab.service.read_stream(io.BytesIO(b"file content")) == b"file content"


@pytest.mark.spec("wire-21")
async def test_function_can_be_returned_and_called(lab: Lab) -> None:
    add_five = await lab.service.make_adder(5)
    assert await add_five(1) == 6
    assert await add_five(2) == 7


@pytest.mark.spec("wire-21")
async def test_pydantic_model_is_rebuilt_from_its_schema(lab: Lab) -> None:
    class Sample(BaseModel):
        name: str
        weight: float

    result = await lab.service.echo(Sample(name="probe", weight=1.5))
    assert (result.name, result.weight) == ("probe", 1.5)


@pytest.mark.spec("wire-21")
async def test_unknown_tags_pass_through(lab: Lab) -> None:
    value = {"_rtype": "unheard-of", "data": [1, 2], "more": {"x": 1}}
    assert await lab.service.echo(dict(value)) == value


@pytest.mark.spec("wire-22")
async def test_interface_object_is_callable_and_never_listed(lab: Lab) -> None:
    listed: list[list[str]] = []

    async def double(value: int) -> int:
        services = await lab.provider.list_services({"workspace": lab.workspace})
        listed.append([service["id"] for service in services])
        return value * 2

    assert await lab.service.use_interface({"_rintf": True, "double": double}) == [8, "gone"]
    assert listed and not [name for name in listed[0] if "_rintf_" in name]
