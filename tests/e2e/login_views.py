"""The views of the login page, as tests in a browser drive them."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.e2e.chromium import Page

SUBMIT = """
const form = document.querySelector(`[data-form="${args.form}"]`);
for (const [name, text] of Object.entries(args.fields)) form.querySelector(`[name="${name}"]`).value = text;
form.requestSubmit();
"""


SEEN = """
const view = document.querySelector(".view:not([hidden])");
return view ? view.dataset.view : "";
"""

MAY_ALLOW = """
const button = document.querySelector("[data-act=approve]");
return Boolean(button && button.offsetParent && !button.disabled);
"""
ALLOW = "document.querySelector('[data-act=approve]').click();"


async def until(page: Page, script: str, expected: Any) -> None:
    """Wait until a script in the page gives a value."""
    found = None
    for _ in range(300):
        try:
            found = await page.run(script)
        except RuntimeError:
            found = None  # between two pages
        if found == expected:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{found!r} instead of {expected!r}")
