"""A visitor of the pages, in a browser that can reach no other host."""

from __future__ import annotations

import json
from typing import Any

from hypha.testing import ServerProcess, eventually
from tests.e2e.chromium import Page
from tests.kit.clients import JS_FOLDER

ONLY_HERE = ("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",)
AXE = JS_FOLDER / "node_modules" / "axe-core" / "axe.min.js"
# everything that a developer would see in red in the browser's console
WATCH = """
window.complaints = [];
const say = (text) => window.complaints.push(String(text));
const error = console.error;
console.error = (...words) => { say(words.join(" ")); error(...words); };
addEventListener("error", (event) => say(event.message || (event.target && event.target.src)), true);
addEventListener("unhandledrejection", (event) => say(event.reason));
addEventListener("securitypolicyviolation", (event) => say("refused: " + event.violatedDirective));
"""

# a file of the browser's own, as if it had been chosen
CHOOSE = """
const transfer = new DataTransfer();
for (const [name, size] of args.files) {
  const bytes = new Uint8Array(size).map((_, index) => index % 251);
  transfer.items.add(new File([bytes], name, { lastModified: 1700000000000 }));
}
const input = document.getElementById("pick-files");
input.files = transfer.files;
input.dispatchEvent(new Event("change"));
"""


class Visit:
    """One visitor's page."""

    def __init__(self, page: Page, server: ServerProcess) -> None:
        self.page, self.server = page, server
        self._script = ""

    async def open(self, workspace: str, place: str = "", token: str = "") -> None:
        """Open the page as the holder of a token, or as a stranger."""
        if self._script:
            await self.page.command("Page.removeScriptToEvaluateOnNewDocument", identifier=self._script)
        kept = (
            f"sessionStorage.setItem('hypha.token', {json.dumps(token)});"
            if token
            else "sessionStorage.clear();"
        )
        source = WATCH + f"if (location.protocol === 'http:') {{ {kept} }}"
        added = await self.page.command("Page.addScriptToEvaluateOnNewDocument", source=source)
        self._script = added["identifier"]
        await self.page.command("Page.navigate", url="about:blank")
        await self.page.open(f"{self.server.url}/{workspace}/{place}")

    async def text(self, selector: str = "main") -> str:
        return str(
            await self.page.run(
                "return (document.querySelector(args.selector) || {}).innerText || '';", selector=selector
            )
        )

    async def shows(self, text: str, selector: str = "main") -> None:
        """Wait until a part of the page shows a text."""

        async def is_there() -> bool:
            return text in await self.text(selector)

        try:
            await eventually(is_there, within_s=10)
        except AssertionError:
            raise AssertionError(f"{text!r} is not in: {await self.text(selector)}") from None

    async def go(self, place: str) -> None:
        await self.page.run("location.hash = args.place;", place=place)

    async def fill(self, **values: Any) -> None:
        """Type into fields, found by the end of their ids."""
        await self.page.run(
            """
            for (const [name, value] of Object.entries(args.values)) {
              const field = document.querySelector(`#area [id$="${name}"]`);
              field.value = value;
              field.dispatchEvent(new Event("input", {bubbles: true}));
            }
            """,
            values=values,
        )

    async def submit(self) -> None:
        await self.page.run('document.querySelector("#area details[open] form, #area form").requestSubmit();')

    async def complaints(self) -> list[str]:
        return list(await self.page.run("return window.complaints;"))


async def click(visit: Visit, text: str, within: str = "main") -> None:
    """Click what shows a text, as soon as it is there."""
    script = """
        const all = [...document.querySelector(args.within).querySelectorAll("button, a")];
        const found = all.find((each) => each.innerText.trim() === args.text && !each.disabled);
        if (found) found.click();
        return Boolean(found);
    """

    async def is_clicked() -> bool:
        return bool(await visit.page.run(script, text=text, within=within))

    await eventually(is_clicked, within_s=10)


async def upload(visit: Visit, *files: tuple[str, int]) -> None:
    """Choose files of these names and sizes to be uploaded."""
    await visit.page.run(CHOOSE, files=files)
