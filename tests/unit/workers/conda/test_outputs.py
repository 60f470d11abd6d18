"""Messages of kernels as outputs: their shapes, their bounds, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.workers.conda.outputs import Output, Outputs, error_of, output_of, text_of_error


def message(kind: Any, content: Any) -> dict[str, Any]:
    return {"header": {"msg_type": kind}, "content": content}


def stream(text: str, name: str = "stdout") -> Output:
    return {"type": "stream", "name": name, "text": text}


def test_texts_of_one_stream_become_one_until_something_else_comes() -> None:
    outputs = Outputs(1_000)
    for each in (stream("a"), stream("b"), stream("c", "stderr"), stream("d")):
        outputs.add(each, 1)
    picture = {"type": "display_data", "data": {"image/png": "iVBO"}, "metadata": {}}
    outputs.add(picture, 1)
    assert outputs.values() == [stream("ab"), stream("c", "stderr"), stream("d"), picture]


def test_outputs_beyond_the_bound_are_left_out_and_a_text_is_cut() -> None:
    outputs = Outputs(10)
    outputs.add(stream("x" * 8), 8)
    outputs.add({"type": "display_data", "data": {}, "metadata": {}}, 5)
    outputs.add(stream("late"), 4)
    outputs.add({"type": "error", "ename": "E", "evalue": "v", "traceback": []}, 50)
    note = stream("[more outputs are not kept: 10 bytes are the most]\n", "stderr")
    assert outputs.values() == [stream("x" * 8), note] and outputs.error is not None
    whole = Outputs(10)
    whole.add(stream("y" * 50), 50)
    assert whole.values()[0] == stream("y" * 10)


@pytest.mark.parametrize(
    "odd",
    [
        message("status", {"execution_state": "busy"}),
        message("stream", None),
        message(["stream"], {}),
        message(None, {}),
        {"header": None, "content": {}},
        {},
    ],
)
def test_what_is_no_output_is_none(odd: Any) -> None:
    assert output_of(odd) is None


def test_odd_outputs_are_what_callers_can_read() -> None:
    assert output_of(message("stream", {"name": 3, "text": 5})) == stream("5")
    assert error_of({"ename": 1, "traceback": "no list"}) == {"ename": "1", "evalue": "", "traceback": []}
    error = error_of({"ename": "E", "evalue": "v", "traceback": ["\x1b[0;31mE\x1b[0m: v", 3]})
    assert error["traceback"] == ["E: v", "3"] and text_of_error(error) == "E: v\n3"
    assert text_of_error(error_of({"ename": "E", "evalue": "v"})) == "E: v"
