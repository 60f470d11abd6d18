"""Templates of artifacts: what they see, what they are refused, and what they may cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hypha.errors import LimitReached
from hypha.features.artifacts import renderer as renderer_module
from hypha.features.artifacts.renderer import Renderer, TemplateFailed

pytestmark = pytest.mark.asyncio(loop_scope="module")

VALUES = {"artifact": {"manifest": {"name": "A & B"}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def renderer() -> AsyncIterator[Renderer]:
    made = Renderer(cpu_s=0.2)
    yield made
    await made.close()


async def rendered(renderer: Renderer, template: str, path: str = "index.html") -> str:
    return (await renderer.render(template, path, VALUES, "ws-a")).decode()


async def test_a_template_makes_a_page_of_its_values(renderer: Renderer) -> None:
    template = "{% for word in ['ä', 'b'] %}{{ word }}{% endfor %} {{ artifact.manifest.name }}"
    assert await rendered(renderer, template) == "äb A &amp; B"
    assert await rendered(renderer, template, "notes.txt") == "äb A & B"


@pytest.mark.spec("artifacts-C2.7")
@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__']['__mro__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ self._TemplateReference__context }}",
        "{{ artifact.update({'a': 1}) }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{% include '/etc/passwd' %}",
    ],
)
async def test_what_is_behind_a_value_is_refused(renderer: Renderer, template: str) -> None:
    with pytest.raises(TemplateFailed) as refusal:
        await rendered(renderer, f"first line\n{template}")
    assert "The template index.html makes no page: line 2: " in refusal.value.message
    assert refusal.value.status == 422
    assert "object at 0x" not in refusal.value.message


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "computes"),
        ("{{ 10 ** (10 ** 9) }}", "computes"),
        ("{{ 'a' * 10 ** 10 }}", "memory"),
        ("{{ '%9999999999d' % 1 }}", "memory"),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "calls itself"),
        ("{% for i in range(99999) %}{{ 'a' * 999 }}{% endfor %}", "larger than"),
        ("{% if %}", "line 1: Expected an expression"),
    ],
)
async def test_a_template_that_costs_too_much_is_ended_and_others_go_on(
    renderer: Renderer, template: str, reason: str
) -> None:
    with pytest.raises(TemplateFailed, match=reason):
        await rendered(renderer, template)
    assert await rendered(renderer, "next") == "next"


async def test_a_process_that_is_not_asked_ends(tmp_path: Path) -> None:
    made = Renderer(idle_s=0)
    assert await rendered(made, "one") == "one"
    process = made._process
    assert process is not None
    await asyncio.wait_for(process.wait(), 10)
    assert await rendered(made, "two") == "two"
    await made.close()


async def test_a_reader_who_leaves_stops_the_work(renderer: Renderer) -> None:
    slow = asyncio.create_task(rendered(renderer, "{{ 10 ** (10 ** 9) }}"))
    await asyncio.sleep(0)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert await rendered(renderer, "next") == "next"


async def test_too_many_that_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer_module, "MAX_WAITING", 0)
    with pytest.raises(LimitReached):
        await rendered(Renderer(), "x")
