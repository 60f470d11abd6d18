"""Apps that are one file: elements with configs, scripts and files."""

from __future__ import annotations

import pytest

from hypha.errors import InvalidRequest
from hypha.features.apps.plugin_format import parse_plugin
from tests.kit.linear_time import N_BYTES, check_growth, check_reader_of_texts, repeated

PLUGIN = """<docs>About it</docs>
<config lang="yaml">
name: Calculator
type: web-python
tags: [first, second]
requirements: {first: [numpy], second: []}
env: {A: x}
</config>
<script lang="python"> </script>
<SCRIPT lang='python'>
import x
if 1 < 2 and "<b>&lt;":
    pass
</SCRIPT>
<script lang="javascript">second()</script>
<file name="a.txt">
&lt;b&gt; x < y
</file>
<file name="page.html"><html><script>own()</script><config lang="toml">x</config></html></file>
<file name="data.json" format="json">{"a": 1}</file>
<link rel="stylesheet" href="a.css">
<window lang="html"><p>&lt;</p></window>
<style>p { color: red }</style>
"""


@pytest.mark.spec("apps-12.2.2")
def test_a_plugin_is_taken_apart() -> None:
    found = parse_plugin(PLUGIN)
    assert found.config == {
        "name": "Calculator",
        "type": "web-python",
        "tags": ["first", "second"],
        "requirements": ["numpy"],
        "env": {"A": "x"},
        "docs": "About it",
    }
    assert found.script_name == "main.py"
    assert found.script == 'import x\nif 1 < 2 and "<b>&lt;":\n    pass'
    assert [(file["path"], file["format"], file["content"]) for file in found.files] == [
        ("a.txt", "text", "<b> x < y"),
        ("page.html", "text", '<html><script>own()</script><config lang="toml">x</config></html>'),
        ("data.json", "json", '{"a": 1}'),
    ]
    assert [(part.name, part.text) for part in found.parts] == [
        ("link", ""),
        ("window", "<p>&lt;</p>"),
        ("style", "p { color: red }"),
    ]
    assert found.parts[0].attributes == {"rel": "stylesheet", "href": "a.css"}
    assert found.rest == ""


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ('<script lang="javascript">', "main.js"),
        ("<script lang=js>", "main.js"),
        ("<script>", "main.js"),
        ("<script lang='Python' data-a=\"a>b\" defer>", "main.py"),
        ('<config lang="json">{"lang": "python"}</config><script>', "main.py"),
        ('<script lang="ruby">', "main.txt"),
    ],
)
def test_the_language_names_the_script(start: str, name: str) -> None:
    found = parse_plugin(f"{start} run() </script>")
    assert (found.script_name, found.script) == (name, "run()")


def test_the_first_tag_chooses_the_script() -> None:
    scripts = '<script tag="b">b()</script><script>any()</script><script tag="a">a()</script>'
    assert parse_plugin(scripts).script == "b()"
    assert parse_plugin(f'<config>{{"tags": ["a", "b"]}}</config>{scripts}').script == "a()"
    assert parse_plugin(f'<config>{{"tags": ["c"]}}</config>{scripts}').script == "any()"


def test_later_configs_win_and_configs_win_over_manifests() -> None:
    found = parse_plugin(
        '<config>{"a": 1, "b": 1}</config><config>{"b": 2}</config>'
        '<manifest lang="yaml">{a: 3, c: 3}</manifest>'
    )
    assert found.config == {"a": 1, "b": 2, "c": 3}


def test_what_is_no_element_is_the_rest() -> None:
    found = parse_plugin("<div><!-- <script>no()</script> --><scripts></scripts></div><config>{}</config> x")
    assert found.script == ""
    assert found.rest == "<div><!-- <script>no()</script> --><scripts></scripts></div> x"


def test_an_element_without_an_end_goes_to_the_end() -> None:
    assert parse_plugin("<script>run(); </scrip").script == "run(); </scrip"
    assert parse_plugin('<script lang="js').script == ""
    assert parse_plugin("<script").rest == "<script"
    assert parse_plugin('<file name="a" />rest').files[0]["content"] == ""


def test_of_several_files_with_one_name_the_last_counts() -> None:
    found = parse_plugin('<file name="a">1</file><file path="b">2</file><file name="a">3</file>')
    assert [(file["path"], file["content"]) for file in found.files] == [("a", "3"), ("b", "2")]


@pytest.mark.spec("apps-12.2.5")
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('<config lang="toml">a = 1</config>', "toml"),
        ('<config lang="json">{"name": }</config>', "no JSON"),
        ("<config>name: x</config>", "no JSON"),
        ("<file>x</file>", "needs a name"),
        ('<file name="a" format="hex">x</file>', "text, json, base64"),
        ("<docs>&#" + "9" * 5_000 + ";</docs>", "too large a number"),
        ("<link>" * 10_001, "at most 10000 elements"),
        ("<link " + "".join(f"a{n} " for n in range(60)) + ">", "at most 50 attributes"),
    ],
    ids=lambda text: text[:20],
)
def test_a_plugin_that_cannot_be_read_is_refused(source: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        parse_plugin(source)


SHAPES = (
    "<script", "<script ", "<script>", "<script a=\"", "<script a='", "<link a=\"'", "<link a=b ", "<file/>",
    "</script", "</script ", "<!--", "<!-- -->", "<link/ ", "<link a", "<config><", "&#", "&lt", "&amp;",
    "= ",
)  # fmt: skip


@pytest.mark.parametrize("start", ["", "<link ", "<link a=", '<link a="', "<docs>", "<script>", "<config>"])
def test_reading_is_linear(start: str) -> None:
    check_reader_of_texts(lambda text: parse_plugin(start + text))
    for shape in SHAPES:
        check_growth(parse_plugin, lambda n, shape=shape: start + repeated(shape, n), N_BYTES, start + shape)
