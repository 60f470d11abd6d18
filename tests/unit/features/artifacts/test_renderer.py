"""Templates of artifacts: what they see, what they are refused, and what they may cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from hypha.errors import RateLimited
from hypha.features.artifacts import renderer as renderer_module
from hypha.features.artifacts import rendering
from hypha.features.artifacts.renderer import Renderer, Template, TemplateFailed

pytestmark = pytest.mark.asyncio(loop_scope="module")

VALUES = {"artifact": {"manifest": {"name": "A & B"}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def renderer() -> AsyncIterator[Renderer]:
    made = Renderer(cpu_s=0.2)
    yield made
    await made.close()


async def rendered(renderer: Renderer, template: str, path: str = "index.html") -> str:
    return (await renderer.render(path, "ws-a", bringing(template))).decode()


def bringing(template: str) -> Callable[[], Awaitable[Template]]:
    async def bring() -> Template:
        return Template(template, VALUES)

    return bring


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


@pytest.mark.parametrize("text", ["ä", "\ud800", "\U0001f98a"])
async def test_a_page_has_bytes_enough_for_no_more_than_it_may(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    size = len(text.encode("utf-8", "replace"))
    made = rendering.render("{{ text * count }}", "a.txt", {"text": text, "count": 7})
    assert isinstance(made, bytes) and len(made) == 7 * size
    monkeypatch.setattr(rendering, "MAX_PAGE_BYTES", 7 * size - 1)
    monkeypatch.setattr(renderer_module, "MAX_ANSWER_BYTES", 7 * size - 1)
    assert isinstance(rendering.render("{{ text * count }}", "a.txt", {"text": text, "count": 7}), dict)
    with pytest.raises(TemplateFailed):  # if the program would answer with more all the same
        await renderer.render("a.txt", "ws-a", bringing("a" * 99))
    assert await rendered(renderer, "next"[: size * 7 - 1]) == "next"[: size * 7 - 1]


async def test_what_a_template_is_told_is_bounded(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer_module, "MAX_JOB_BYTES", 150)
    assert await rendered(renderer, "a") == "a"
    with pytest.raises(TemplateFailed, match="150 bytes"):
        await rendered(renderer, "a" * 100)


async def test_whose_pages_are_many_waits_for_itself(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer_module, "MAX_WAITING", 5)
    monkeypatch.setattr(renderer_module, "MAX_WAITING_PER_PARTY", 3)
    made, brought, go_on = Renderer(), list[str](), asyncio.Event()

    async def page(party: str) -> bytes:
        async def bring() -> Template:
            brought.append(party)
            await go_on.wait()
            return Template(party, {})

        return await made.render("a.html", party, bring)

    async with asyncio.TaskGroup() as tasks:
        pages = [tasks.create_task(page(party)) for party in ("many", "many", "many", "many")]
        await asyncio.sleep(0)
        with pytest.raises(RateLimited):
            await page("many")
        pages += [tasks.create_task(page(party)) for party in ("few", "other")]
        await asyncio.sleep(0)
        with pytest.raises(RateLimited):
            await page("late")
        assert brought == ["many"]  # of those who wait nothing is in memory
        go_on.set()
    assert [await each for each in pages[-2:]] == [b"few", b"other"]
    assert brought == ["many", "many", "few", "other", "many", "many"]
    await made.close()
