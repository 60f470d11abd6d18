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
