"""Files and artifacts on the workspace page: looked at, uploaded, changed and deleted in a real browser."""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import io
import wave
import zipfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, eventually
from tests.e2e.visit import AXE, Visit, click, upload
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ATTACK = '<img src=x onerror="window.complaints.push(1)"><script>window.complaints.push(2)</script>'


def content_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def sound() -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes(800))
    return target.getvalue()


def archive() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("inner/words.txt", "words inside")
    return target.getvalue()


def sheet() -> bytes:
    target = io.StringIO()
    csv.writer(target).writerows([["name", "said"], ["oak", 'so, "twice"'], ["two\nlines", "x"]])
    return target.getvalue().encode()


FILES = {
    "notes.md": b"# Leaves\n\n**oak** and [site](https://example.org)",
    "data.json": b'{"a":[1]}',
    "table.csv": sheet(),
    "pics/oak.png": PICTURE,
    "sound.wav": sound(),
    "page.html": ATTACK.encode(),
    "noise.bin": b"\0\1\2",
    "all.zip": archive(),
}


class Lab:
    """An owner's files, over HTTP."""

    def __init__(self, owner: Person, http: httpx.AsyncClient) -> None:
        self.owner, self.http = owner, http
        self.home = f"/{owner.workspace}"

    async def put(self, path: str, content: bytes) -> None:
        (await self.http.put(self.home + path, content=content)).raise_for_status()

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(self.home + path)

    async def call(self, function: str, **arguments: Any) -> Any:
        arguments = {"artifact_id": f"{self.owner.workspace}/leaves", **arguments}
        answer = await self.http.post(f"/public/services/artifact-manager/{function}", json=arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(module_connect: Connect, server: ServerProcess) -> AsyncIterator[Lab]:
    owner = make_person(server, "keeper")
    await module_connect(owner, client_id="keeper")
    headers = {"Authorization": f"Bearer {owner.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        made = Lab(owner, http)
        await made.call("create", manifest={"name": "Leaves"}, stage=True)
        for path, content in FILES.items():
            await made.put(f"/files/kept/{path}", content)
            await made.put(f"/artifacts/leaves/files/{path}", content)
        await made.call("commit", comment="first")
        yield made


async def test_files_are_found_shown_and_deleted(visit: Visit, lab: Lab) -> None:
    await visit.open(lab.owner.workspace, "#files", lab.owner.token)
    await visit.shows("used.", "#area")
    await click(visit, "kept/")
    await visit.shows("notes.md", "table")
    await click(visit, "page.html")
    await visit.shows(ATTACK, ".preview")
    assert await visit.complaints() == []
    await click(visit, "kept", ".crumbs")
    await click(visit, "noise.bin")
    await visit.shows("It is no text", ".preview")
    await click(visit, "Delete", ".file")
    await click(visit, "Really delete?", ".file")
    await visit.shows("notes.md", "table")
    assert (await lab.get("/files/kept/noise.bin")).status_code == 404
    await lab.put("/files/kept/noise.bin", FILES["noise.bin"])


SHAPES = ("[", "[a](http://", "**a*", "a  ", " ", "- a\n", "# a\n", "a\n \n", "`a`")
WRITTEN = (
    "# **T**\n## U\n- `a*`\n- b\n\n1. c\n\n[ [w](https://h/x) [w](ftp://h) [](http://h) **a*b** <i> ``\n"
    "```\n[x](http://h)\n```"
)
SHOWN = (
    '<p class="prose-title"><strong>T</strong></p><p class="prose-title">U</p>'
    "<ul><li><code>a*</code></li><li>b</li></ul><ol><li>c</li></ol>"
    '<p><a href="https://h/x" rel="noopener noreferrer" target="_blank"> [w</a> [w](ftp://h) [](http://h) '
    "**a*b** &lt;i&gt; ``</p>"
    '<pre class="schema" tabindex="0"><code>[x](http://h)</code></pre>'
)


async def test_what_others_write_is_shown_in_time_in_proportion_to_it(visit: Visit, lab: Lab) -> None:
    """At these lengths one look at all the rest from each place takes minutes."""
    await visit.open(lab.owner.workspace, "#files", lab.owner.token)
    script = """
        const { inline, prose } = await import(`${document.body.dataset.basePath}/static/workspace/prose.js`);
        for (const shape of args.shapes) {
          prose(shape.repeat(Math.ceil(400_000 / shape.length)) + ".", "docs", 1e9);
        }
        const long = "x".repeat(1e6);
        return [inline(long).join("").length, prose(long).textContent.length, prose(args.text, "").innerHTML];
    """
    told = await visit.page.run(script, text=WRITTEN, shapes=SHAPES)
    assert told == [10_001, 100_001, SHOWN]


async def test_readers_look_and_change_nothing(visit: Visit, lab: Lab) -> None:
    await visit.open(lab.owner.workspace, "#files/kept%2F", lab.owner.token_for("r"))
    await visit.shows("notes.md", "table")
    text = await visit.text("#area")
    assert "Upload" not in text and "Delete" not in text
    await visit.go("#artifacts/leaves")
    await visit.shows("Members of the workspace", "#area")
    text = await visit.text("#area")
    assert "Upload" not in text and "Delete" not in text and "New version" not in text


@pytest.mark.slow
@pytest.mark.parametrize("base", ["#files/kept%2F", "#artifacts/leaves/"])
async def test_every_kind_of_file_has_its_preview(visit: Visit, lab: Lab, base: str) -> None:
    await visit.open(lab.owner.workspace, "#files", lab.owner.token)
    await visit.shows("used.", "#area")
    for path, text in (
        ("notes.md", "oak and site"),
        ("data.json", '"a": [\n'),
        ("table.csv", 'so, "twice"'),
        ("page.html", ATTACK),
        ("noise.bin", "It is no text"),
    ):
        await visit.go(base + path)
        await visit.shows(text, ".preview")
    await visit.go(base + "pics%2Foak.png")

    async def width(selector: str = ".preview img", name: str = "naturalWidth") -> Any:
        return await visit.page.run(
            "const found = document.querySelector(args.selector); return found && found[args.name];",
            selector=selector,
            name=name,
        )

    async def has_picture() -> bool:
        return await width() == 1

    await eventually(has_picture, within_s=10)
    await visit.go(base + "sound.wav")

    async def has_sound() -> bool:
        return 0.05 < (await width(".preview audio", "duration") or 0) < 0.2

    await eventually(has_sound, within_s=10)
    assert await visit.complaints() == []


@pytest.mark.slow
async def test_what_is_in_a_zip_is_looked_at(visit: Visit, lab: Lab) -> None:
    await visit.open(lab.owner.workspace, "#artifacts/leaves/all.zip", lab.owner.token)
    await visit.shows("Inside the zip", ".preview")
    await click(visit, "inner/", ".preview")
    await click(visit, "words.txt", ".preview")
    await visit.shows("words inside", ".preview")


async def test_an_upload_that_is_cancelled_takes_no_file_with_it(visit: Visit, lab: Lab) -> None:
    await lab.call("edit", stage=True)
    await lab.put("/artifacts/leaves/files/data.json", b"staged")
    await visit.page.command("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000}
    try:
        await visit.open(lab.owner.workspace, "#artifacts/leaves", lab.owner.token)
        await visit.shows("1 file staged", ".staging")
        await visit.page.command("Network.emulateNetworkConditions", **slow)
        names = ("notes.md", "data.json", "new.bin")
        await upload(visit, ("notes.md", 17_000_000), ("data.json", 1_000_000), ("new.bin", 1_000_000))

        async def staged() -> list[str]:
            artifact = await lab.call("read", stage=True)
            return sorted(each["path"] for each in artifact["staging"] if "path" in each)

        async def are_announced() -> bool:
            return await staged() == sorted(names)

        async def is_as_before() -> bool:
            return await staged() == ["data.json"]

        await eventually(are_announced, within_s=10)
        for name in names:
            await visit.page.run(
                "document.querySelector(`.uploads [aria-label='Cancel ${args.name}']`).click();", name=name
            )
        await eventually(is_as_before, within_s=10)
        await visit.shows("1 file staged", ".staging")
        await lab.call("commit")
        assert (await lab.get("/artifacts/leaves/files/notes.md")).content == FILES["notes.md"]
        assert (await lab.get("/artifacts/leaves/files/data.json")).content == b"staged"
        assert await visit.page.run("return localStorage.length;") == 0
    finally:
        await visit.page.command("Network.emulateNetworkConditions", **{**slow, "uploadThroughput": -1})
        await lab.call("edit", stage=True)
        await lab.put("/artifacts/leaves/files/data.json", FILES["data.json"])
        await lab.call("commit")


async def test_what_is_kept_of_uploads_opens_nothing_and_goes_with_who_signs_out(
    visit: Visit, lab: Lab
) -> None:
    await visit.open(lab.owner.workspace, "#files", lab.owner.token)
    await visit.shows("used.", "#area")
    script = """
        const { Unfinished } = await import("/static/workspace/unfinished.js");
        const kept = new Unfinished("files/x");
        const upload = { id: "1", count: 2, partBytes: 3, size: 4, modified: 5, ends: 6, done: { 1: "tag" } };
        kept.set("a", { ...upload, parts: [{ url: "signed" }] });
        kept.set("b", upload);
        kept.remove("b");
        let reads = 0;
        const getItem = Storage.prototype.getItem;
        Storage.prototype.getItem = function (key) { reads += 1; return getItem.call(this, key); };
        for (let frame = 0; frame < 100; frame += 1) kept.all();
        Storage.prototype.getItem = getItem;
        const [stored] = Object.values({ ...localStorage });
        const old = "hypha.uploads.files/y";
        localStorage[old] = JSON.stringify({ a: { ...upload, parts: [{ url: "signed" }] }, b: null });
        if (new Unfinished("files/y").all().size || localStorage[old]) throw new Error("it was kept");
        return [reads, JSON.stringify({ a: upload }) === stored, new Unfinished("files/x").get("a").done];
    """
    assert await visit.page.run(script) == [0, True, {"1": "tag"}]
    await visit.page.run("window.isOld = true;")
    await click(visit, "Sign out", "#session")

    async def is_forgotten() -> bool:
        return bool(await visit.page.run("return !window.isOld && localStorage.length === 0;"))

    await eventually(is_forgotten, within_s=10)


async def test_what_was_loaded_to_be_shown_is_let_go_and_discarding_asks_twice(
    visit: Visit, lab: Lab
) -> None:
    await visit.open(lab.owner.workspace, "#files", lab.owner.token)
    await visit.shows("used.", "#area")
    script = """
        const { preview } = await import("/static/workspace/preview.js");
        const { stagingBar } = await import("/static/workspace/staging.js");
        const [made, gone] = [[], []];
        const make = URL.createObjectURL;
        URL.createObjectURL = (blob) => (made.push(make.call(URL, blob)), made.at(-1));
        URL.revokeObjectURL = (url) => gone.push(url);
        const source = { fetch: async () => new Response(new Uint8Array([0])) };
        const box = document.createElement("div");
        for (const name of ["a.png", "b.png", "c.mp3"]) await preview(box, source, name, 1);
        const before = [...gone];
        dispatchEvent(new Event("hashchange"));
        const nope = { id: "x/nope", staging: [{ _intent: "edit_version" }], versions: [1] };
        const bar = stagingBar(nope, () => {}, () => {});
        const discard = [...bar.querySelectorAll("button")].at(-1);
        discard.click();
        const asked = [discard.textContent, bar.textContent.includes("not exist")];
        discard.click();
        while (!bar.querySelector(".failure")) await new Promise((done) => setTimeout(done, 20));
        await new Promise((done) => setTimeout(done));
        const isGone = [before.join() === made.slice(0, 2).join(), gone.join() === made.join()];
        return [...isGone, asked, discard.disabled];
    """
    told = await visit.page.run(script)
    assert told == [True, True, ["Really discard?", False], False]


async def rows_of(visit: Visit, within: str, cell: int) -> list[str]:
    """One cell of each row, once all there is is shown."""

    async def is_whole() -> bool:
        await visit.page.run(
            "document.querySelectorAll(args.more).forEach((each) => each.click());",
            more=f"{within} .table ~ button:not(:disabled, [hidden])",
        )
        return bool(
            await visit.page.run(
                "return !!document.querySelector(args.end);", end=f"{within} .table + [hidden]"
            )
        )

    await eventually(is_whole, within_s=20)
    script = (
        "return [...document.querySelectorAll(args.rows)].map((row) => row.cells[args.cell].textContent);"
    )
    return list(await visit.page.run(script, rows=f"{within} tbody tr", cell=cell))


@pytest.mark.slow
async def test_long_lists_and_differences_come_page_by_page(visit: Visit, lab: Lab) -> None:
    added, kept, gone = ["a", "a-b/x", "a b/x"], ["kept", "b/x", "e/\U0001d4b3"], ["z", "e/\uffee"]
    added += [f"many/{number:04d}" for number in range(510)]
    long = {"artifact_id": f"{lab.owner.workspace}/long"}
    await lab.call("create", artifact_id=None, alias="long", manifest={"name": "Long"}, stage=True)
    for path in (*kept, "changed", *gone):
        await lab.put(f"/artifacts/long/files/{path}", b"x")
    await lab.call("commit", **long)
    await lab.call("edit", **long, version="new", stage=True)
    digest = hashlib.sha256(b"x").hexdigest()
    await lab.call("reuse_files", **long, files=dict.fromkeys([*kept, *added], digest))
    await lab.put("/artifacts/long/files/changed", b"y")
    await lab.call("commit", **long)
    await visit.open(lab.owner.workspace, "#artifacts/long", lab.owner.token)
    await click(visit, "Show differences")
    await visit.shows("added", ".differences")
    assert (await visit.text(".differences")).count("added") <= 100
    paths = await rows_of(visit, ".differences", 1)
    assert paths == sorted([*added, "changed", *gone], key=lambda path: path.rpartition("/")[::2])
    words = dict(zip(paths, await rows_of(visit, ".differences", 0), strict=True))
    assert {path: word for path, word in words.items() if word != "+ added"} == {
        "changed": "~ changed", **dict.fromkeys(gone, "− removed"),
    }  # fmt: skip
    await visit.go("#artifacts/long/many%2F")
    await visit.shows("0199", "#area")
    assert "0200" not in await visit.text("#area")
    assert await rows_of(visit, "section.part:first-of-type", 0) == [path[5:] for path in added[3:]]
    await visit.go("#artifacts/long/many%2F0509")
    await visit.shows("x", ".preview")
    await lab.call("delete", **long)
    assert await visit.complaints() == []


@pytest.mark.slow
async def test_several_files_go_up_at_a_time(visit: Visit, lab: Lab) -> None:
    await visit.open(lab.owner.workspace, "#files/many%2F", lab.owner.token)
    await visit.shows("Nothing is here yet", "#area")
    files = [(f"{number}.bin", 10_000 + number) for number in range(12)]
    await upload(visit, *files, ("large.bin", 20_000_000))
    await visit.shows("Uploaded: 13 of 13 files", ".uploads")
    await visit.shows("large.bin", "table")
    for name, size in (*files, ("large.bin", 20_000_000)):
        assert (await lab.get(f"/files/many/{name}")).content == content_of(size)
    assert await visit.page.run("return localStorage.length;") == 0
    assert await visit.complaints() == []


@pytest.mark.slow
async def test_a_folder_is_dropped_with_all_that_is_in_it(visit: Visit, lab: Lab, tmp_path: Path) -> None:
    for path in ("top/a.txt", "top/deep/er/b.txt", "top/ä ö.txt"):
        file = tmp_path / path
        await asyncio.to_thread(lambda file=file: file.parent.mkdir(parents=True, exist_ok=True))
        await asyncio.to_thread(file.write_text, path)
    await visit.open(lab.owner.workspace, "#files", lab.owner.token)
    await visit.shows("used.", "#area")
    data = {"items": [], "files": [str(tmp_path / "top")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        await visit.page.command("Input.dispatchDragEvent", type=kind, x=300, y=420, data=data)
    await visit.shows("Uploaded: 3 of 3 files", ".uploads")
    for path in ("top/a.txt", "top/deep/er/b.txt", "top/ä ö.txt"):
        assert (await lab.get(f"/files/{path}")).text == path


@pytest.mark.slow
async def test_an_upload_is_paused_and_goes_on_after_a_reload(visit: Visit, lab: Lab) -> None:
    size = 60_000_000
    await visit.page.command("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 10_000_000}
    await visit.page.command("Network.emulateNetworkConditions", **slow)
    try:
        await visit.open(lab.owner.workspace, "#files/paused%2F", lab.owner.token)
        await visit.shows("Nothing is here yet", "#area")
        await upload(visit, ("long.bin", size))

        async def parts() -> int:
            return int(
                await visit.page.run(
                    "return Object.values(localStorage).flatMap((text) => "
                    "Object.values(JSON.parse(text)).flatMap((kept) => Object.keys(kept.done))).length;"
                )
            )

        async def has_begun() -> bool:
            return await parts() >= 2

        await eventually(has_begun, within_s=30)
        await click(visit, "Pause", ".uploads")
        await visit.shows("paused at", ".uploads")
        there = await parts()
        assert 2 <= there < 8
        assert "/s3/" not in await visit.page.run("return JSON.stringify({ ...localStorage });")
        assert (await lab.get("/files/paused/long.bin")).status_code == 404
    finally:
        fast = {**slow, "uploadThroughput": -1}
        await visit.page.command("Network.emulateNetworkConditions", **fast)
    await visit.open(lab.owner.workspace, "#files/paused%2F", lab.owner.token)
    await visit.shows("these go on where they stopped", ".uploads")
    await visit.page.run(
        "window.sent = []; const send = XMLHttpRequest.prototype.send; XMLHttpRequest.prototype.send = "
        "function (body) { window.sent.push(body.size); send.call(this, body); };"
    )
    await upload(visit, ("long.bin", size))
    await visit.shows("Uploaded: 1 of 1 file", ".uploads")
    assert len(await visit.page.run("return window.sent;")) == 8 - there
    found = await lab.get("/files/paused/long.bin")
    assert zlib.crc32(found.content) == zlib.crc32(content_of(size))
    assert await visit.complaints() == []


@pytest.mark.slow
@pytest.mark.parametrize("way", ["Cancel", "Forget"])
async def test_parts_of_a_file_that_is_not_wanted_any_more_are_deleted(
    visit: Visit, lab: Lab, way: str
) -> None:
    async def used() -> int:
        await lab.put("/files/small", b"x")
        return int((await lab.get("/files/")).headers["x-storage-used"])

    await visit.page.command("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 10_000_000}
    before = await used()
    await visit.open(lab.owner.workspace, "#files/unwanted%2F", lab.owner.token)
    await visit.shows("Nothing is here yet", "#area")
    await visit.page.command("Network.emulateNetworkConditions", **slow)
    try:
        await upload(visit, ("unwanted.bin", 60_000_000))

        async def has_come() -> bool:
            return await visit.page.run("return localStorage.length;") and await used() > before + 8_000_000

        await eventually(has_come, within_s=30)
        if way == "Forget":
            await click(visit, "Pause", ".uploads")
            await visit.shows("paused at", ".uploads")
            await visit.open(lab.owner.workspace, "#files/unwanted%2F", lab.owner.token)
            await visit.shows("these go on where they stopped", ".uploads")
        label = f"{way} unwanted/unwanted.bin"
        await visit.page.run(
            "document.querySelector(`.uploads [aria-label='${args.label}']`).click();", label=label
        )

        async def is_as_before() -> bool:
            return await used() <= before  # the first artifact's drafts go meanwhile, too

        await eventually(is_as_before, within_s=10)
        assert await visit.page.run("return localStorage.length;") == 0
    finally:
        await visit.page.command("Network.emulateNetworkConditions", **{**slow, "uploadThroughput": -1})


@pytest.mark.slow
async def test_an_artifact_is_made_filled_committed_and_deleted(visit: Visit, lab: Lab) -> None:
    await visit.open(lab.owner.workspace, "#artifacts", lab.owner.token)
    await click(visit, "New artifact")
    await visit.fill(**{"new-name": "Sea shells", "new-description": "From the beach."})
    assert await visit.page.run("return document.getElementById('new-alias').value;") == "sea-shells"
    await visit.page.run("document.getElementById('new-public').click();")
    await click(visit, "Make a draft", "dialog[open]")
    await visit.shows("A draft: 0 files staged", "#area")
    await upload(visit, ("shell.bin", 5000))
    await visit.shows("1 file staged", ".staging")
    await visit.fill(comment="the first ones")
    await click(visit, "Commit", ".staging")
    await visit.shows("the first ones", "table")
    base = f"{lab.home}/artifacts/sea-shells"
    async with httpx.AsyncClient(base_url=lab.http.base_url) as stranger:
        assert (await stranger.get(f"{base}/files/shell.bin")).content == content_of(5000)
    await click(visit, "New version")
    await visit.shows("A new version", ".staging")
    await upload(visit, ("shell.bin", 5000), ("pearl.bin", 10))
    await visit.shows("2 files staged", ".staging")
    await click(visit, "Commit", ".staging")
    await visit.shows("v1", "table")
    await click(visit, "Show differences")
    await visit.shows("pearl.bin", ".differences")
    assert "shell.bin" not in await visit.text(".differences")
    await visit.page.run("document.getElementById('grants').value = '0';")
    await click(visit, "Change")

    async def is_closed() -> bool:
        async with httpx.AsyncClient(base_url=lab.http.base_url) as stranger:
            return (await stranger.get(base)).status_code == 403

    await eventually(is_closed, within_s=10)
    await click(visit, "Delete", ".artifact-actions")
    assert await visit.page.run("return document.querySelector('dialog[open] .danger').disabled;")
    await visit.page.run(
        "const field = document.getElementById('delete-alias'); field.value = 'sea-shells'; "
        "field.dispatchEvent(new Event('input'));"
    )
    await click(visit, "Delete for good", "dialog[open]")
    await visit.shows("Leaves", ".artifact-list")
    assert (await lab.http.get(base)).status_code == 404
    assert await visit.complaints() == []


@pytest.mark.slow
async def test_strangers_find_what_is_public(visit: Visit, lab: Lab) -> None:
    await visit.open(lab.owner.workspace)
    await visit.shows("Workspace")
    await visit.shows("Sign in", "#session")
    assert "Artifacts" not in await visit.text("#areas")
    await lab.call("edit", config={"permissions": {"*": "r"}})
    await visit.open(lab.owner.workspace, "#artifacts")
    await visit.shows("Leaves", ".artifact-list")
    await visit.go("#artifacts/leaves")
    await visit.shows("Everybody may read all of it.", "#area")
    await lab.call("edit", config={})


@pytest.mark.slow
@pytest.mark.skipif(not AXE.exists(), reason="the npm packages are missing: run `npm install` in tests/js")
@pytest.mark.parametrize("width", [360, 1280])
async def test_axe_finds_nothing_to_mend_in_files_and_artifacts(visit: Visit, lab: Lab, width: int) -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 800}
    await visit.page.command("Emulation.setDeviceMetricsOverride", **screen)
    try:
        await visit.open(lab.owner.workspace, "#files", lab.owner.token)
        await visit.shows("used.", "#area")
        await visit.page.command("Runtime.evaluate", expression=AXE.read_text("utf-8"))
        places = {
            "#files/kept%2F": "notes.md", "#files/kept%2Ftable.csv": "twice", "#artifacts": "Leaves",
            "#artifacts/leaves": "Everybody", "#artifacts/leaves/all.zip": "Inside the zip",
        }  # fmt: skip
        for place, text in places.items():
            await visit.go(place)
            await visit.shows(text, "#area")
            found = await visit.page.run(
                "return (await axe.run()).violations.map((v) => v.id + ': ' + v.nodes[0].html);"
            )
            assert found == [], place
            wide = await visit.page.run("return document.documentElement.scrollWidth;")
            assert wide <= width, place
    finally:
        await visit.page.command("Emulation.clearDeviceMetricsOverride")
