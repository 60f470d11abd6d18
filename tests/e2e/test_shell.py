"""The Python prompt of `--interactive`."""

from __future__ import annotations

import subprocess
import sys

TYPED = """
(await store.workspaces.load("public")).id
number = 41
number + 1
1 / 0
app is store.app, "after the error"
"""


def test_the_prompt_has_the_store_of_startup_functions_and_outlives_errors() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "hypha.server", "--interactive", "--data-dir", ":memory:"],
        input=TYPED,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    for shown in ("'public'", "42", "(True, 'after the error')"):
        assert shown in ended.stdout
    assert "ZeroDivisionError" in ended.stderr
