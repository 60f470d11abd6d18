"""Forms, results and code of the workspace page for every kind of schema, value and provider.

No postponed annotations here: the client library derives schemas from the real types.
"""

import asyncio
import json
import math
import struct
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import numpy
import pytest
import pytest_asyncio
from hypha_rpc.utils.schema import schema_function
from pydantic import BaseModel, Field

from hypha.testing import ServerProcess
from tests.e2e.visit import Visit
from tests.kit.clients import JS_FOLDER, Connect, require_node
from tests.kit.people import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

MARKUP = '<img src=x onerror="window.pwned=1"><script>window.pwned=2</script>'
DOCS = f"""# Using it

The stage must be **still**.
See [the manual](https://manual.example/a_b) and [this](javascript:window.pwned=3).

- first `one`
- then another

```
plain {MARKUP}
```
"""


class Point(BaseModel):
    x: float
    y: float = 0.0


class Shape(BaseModel):
    name: str
    points: list[Point]
    kind: Literal["open", "closed"] = "open"


@schema_function
def draw(
    shape: Shape = Field(..., description="What to draw"),  # noqa: B008
    scale: float | None = Field(None, description="Factor"),
    tags: list[str] | None = Field(None, description="Words"),  # noqa: B008
    mode: Literal["fast", "fine"] | None = Field(None, description="Speed"),
) -> dict[str, Any]:
    """Draw a shape."""
    plain = shape if isinstance(shape, dict) else shape.model_dump()
    return {"shape": plain, "scale": scale, "tags": tags, "mode": mode}


def png() -> bytes:
    """A picture of 2 x 2 points."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0\xff\0\0\0\xff")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def every_kind() -> dict[str, Any]:
    values = {"none": None, "yes": True, "small": -5, "big": 2**40, "half": 0.5, "text": "Ünïcode"}
    return {**values, "list": [1, [2]] * 10, "map": {"a": {}}, "bytes": b"12345", "long": "x" * 70000}


async def frames(n: int) -> AsyncIterator[Any]:
    """Pictures, one after another."""
    for number in range(n):
        yield {"number": number, "picture": png()}


def hostile(name: str = "a") -> str:
    return MARKUP


hostile.__schema__ = {  # type: ignore[attr-defined]
    "name": "hostile",
    "description": MARKUP,
    "parameters": {
        "type": "object",
        "properties": {
            MARKUP: {"type": "string", "description": MARKUP, "title": MARKUP},
            "choice": {"enum": [MARKUP, "a"], "default": MARKUP, "description": MARKUP},
            "loop": {"$ref": "#/$defs/Loop"},
            "constructor": {"type": "object", "default": {"a": 1}},
            "odd": 5,
        },
        "$defs": {
            "Loop": {
                "type": "object",
                "properties": {"again": {"$ref": "#/$defs/Loop"}},
                "required": ["again"],
            }
        },
        "required": ["loop", "missing"],
    },
}


def fail_with_markup(text: str = MARKUP) -> None:
    raise ValueError(text)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def owner(module_connect: Connect, server: ServerProcess) -> Person:
    owner = make_person(server, "owner")
    client = await module_connect(owner, client_id="lab")
    public = {"visibility": "public"}
    functions = {"draw": draw, "png": png, "every_kind": every_kind, "frames": frames}
    array = numpy.array([[0.1, math.nan, 2], [3, 4, 5]], "float32")
    arrays = {"array": lambda: {"data": array}}
    await client.register_service({"id": "lab", "docs": DOCS, "config": public, **functions, **arrays})
    words = {"name": MARKUP + "x" * 300, "description": MARKUP, "docs": MARKUP, "type": MARKUP[:40]}
    bad = {"hostile": hostile, "fail": fail_with_markup}
    await client.register_service({"id": "hostile", "config": public, **words, **bad})
    await client.register_service(
        {"id": "site", "type": "asgi", "config": public, "serve": lambda args: None}
    )
    return owner


async def test_a_form_shows_what_is_inside_references_and_optional_types(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, "#services/lab:lab/draw", owner.token)
    await visit.shows("What to draw")
    fields = await visit.page.run(
        """
        return [...document.querySelectorAll(".field")].map((field) => {
          const input = field.querySelector("input, select, textarea");
          const options = [...input.options || []].map((option) => option.text);
          return [field.querySelector(".type").innerText, input.type, options.join(" ") || input.value];
        });
        """
    )
    start = {"name": "text", "points": [{"x": 0}]}
    assert fields == [
        ["object", "textarea", json.dumps(start, indent=2)],
        ["number, optional", "number", ""],
        ["array of strings, optional", "textarea", ""],
        ['"fast" | "fine", optional', "select-one", "Not given fast fine"],
    ]
    await visit.fill(scale="1.5", tags='["a"]')
    await visit.submit()
    await visit.shows("Result in", ".output")
    result = json.loads(await visit.text(".result"))
    assert (result["scale"], result["tags"], result["mode"]) == (1.5, ["a"], None)
    assert result["shape"]["points"][0]["x"] == 0
    await visit.fill(scale="much")
    assert await visit.complaints() == []


async def test_results_with_bytes_are_shown_and_can_be_saved(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, "#services/lab:lab/png", owner.token)
    await visit.shows("Call", "form.call")
    await visit.submit()
    await visit.shows(f"{len(png())} bytes", ".result")
    await visit.shows(f"Save {len(png())} bytes", ".picture")
    size = """
      const picture = document.querySelector(".picture img");
      await picture.decode();
      return picture.naturalWidth;
    """
    assert await visit.page.run(size) == 2
    await visit.go("#services/lab:lab/every_kind")
    await visit.shows("every_kind", ".function[open]")
    await visit.submit()
    await visit.shows("Result in", ".output")
    shown = json.loads(await visit.text(".result"))
    assert shown == {**every_kind(), "bytes": "5 bytes"}
    await visit.go("#services/lab:lab/array")
    await visit.shows("array", ".function[open]")
    await visit.submit()
    await visit.shows('"data": "array of float32, shape [2,3]"', ".result")
    await visit.shows("data: array of float32, shape [2,3]", ".numbers figcaption")
    assert await visit.text(".numbers pre") == "[[0.1, NaN, 2],\n [3, 4, 5]]"
    assert await visit.complaints() == []


async def test_a_stream_with_bytes_is_shown(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, "#services/lab:lab/frames", owner.token)
    await visit.shows("Call", "form.call")
    await visit.fill(n="3")
    await visit.submit()
    await visit.shows("Stream ended: 3 items", ".output")
    lines = (await visit.text(".result")).split("\n")
    assert json.loads(lines[2]) == {"number": 2, "picture": f"{len(png())} bytes"}
    assert await visit.page.run("return document.querySelectorAll('.picture').length;") == 3


async def test_documentation_is_laid_out(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, "#services/lab:lab", owner.token)
    await visit.shows("Documentation")
    await visit.page.run("document.querySelector('.service-docs').open = true;")
    parts = await visit.page.run(
        """
        const docs = document.querySelector(".service-docs .docs");
        const texts = (selector) => [...docs.querySelectorAll(selector)].map((part) => part.innerText);
        const links = [...docs.querySelectorAll("a")].map((link) => [link.innerText, link.href, link.rel]);
        return [texts(".prose-title"), texts("strong"), texts("li"), texts("pre"), links];
        """
    )
    link = ["the manual", "https://manual.example/a_b", "noopener noreferrer"]
    assert parts == [["Using it"], ["still"], ["first one", "then another"], [f"plain {MARKUP}"], [link]]


@pytest.mark.parametrize("function", ["hostile", "fail"])
async def test_markup_of_a_hostile_client_stays_text(visit: Visit, owner: Person, function: str) -> None:
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    await visit.page.command("Emulation.setDeviceMetricsOverride", **size)
    try:
        await visit.open(owner.workspace, f"#services/lab:hostile/{function}", owner.token)
        await visit.shows(MARKUP, ".service-list")
        await visit.shows(MARKUP, ".service-head h2")
        await visit.page.run("document.querySelector('.service-docs').open = true;")
        await visit.shows(MARKUP, ".service-docs")
        await visit.shows("Call", "form.call")
        await visit.submit()
        if function == "fail":
            await visit.shows(MARKUP, ".failure")
        assert await visit.page.run("return document.documentElement.scrollWidth;") == 360
        assert await visit.page.run("return document.querySelectorAll('main img, main script').length;") == 0
        assert await visit.page.run("return window.pwned ?? null;") is None
        assert await visit.complaints() == []
    finally:
        await visit.page.command("Emulation.clearDeviceMetricsOverride")


async def test_an_application_is_opened_and_not_called(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, "#services/lab:site", owner.token)
    await visit.shows("Open the application")
    link = await visit.page.run(
        """
        const link = document.querySelector(".application a");
        return [link.pathname, link.target, link.rel];
        """
    )
    assert link == [f"/{owner.workspace}/apps/lab:site/", "_blank", "noopener"]
    assert await visit.page.run("return document.querySelectorAll('.function').length;") == 0


@pytest.mark.node
@pytest.mark.parametrize("kind", ["draw", "frames"])
async def test_the_code_shown_runs_as_it_stands(
    visit: Visit, owner: Person, tmp_path: Path, kind: str
) -> None:
    require_node()
    await visit.open(owner.workspace, f"#services/lab:lab/{kind}", owner.token)
    await visit.shows("Call", "form.call")
    if kind == "frames":
        await visit.fill(n="2")
    await visit.submit()
    await visit.shows("Stream ended" if kind == "frames" else "Result in", ".output")
    preload = "globalThis.WebSocket = require('ws').WebSocket;"
    (tmp_path / "preload.cjs").write_text(preload)
    (tmp_path / "node_modules").symlink_to(JS_FOLDER / "node_modules")
    programs = {
        "python": ("call.py", [sys.executable]),
        "javascript": ("call.mjs", ["node", "--require", "./preload.cjs"]),
        "curl": ("call.sh", ["sh"]),
    }
    for name, (file, program) in programs.items():
        await visit.page.run('document.querySelector(`[role=tab][id$="-${args.name}"]`).click();', name=name)
        code = await visit.text(".panel code")
        assert owner.token not in code
        if kind == "frames" and name == "curl":
            continue  # JSON cannot carry its bytes
        (tmp_path / file).write_text(code)
        process = await asyncio.create_subprocess_exec(
            *program,
            file,
            cwd=tmp_path,
            env={"HYPHA_TOKEN": owner.token, "PATH": "/usr/local/bin:/usr/bin:/bin"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        expected = b"points" if kind == "draw" else b"number"
        assert expected in out, (name, out, errors)
