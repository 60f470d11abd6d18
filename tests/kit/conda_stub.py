"""A stub of conda, and of the environments that it makes: nothing is installed, kernels are fakes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FAKE_KERNEL = Path(__file__).with_name("fake_kernel.py")
_PROGRAM = """#!{python}
import json, os, pathlib, sys
note = {{"argv": sys.argv, "env": dict(os.environ), "cwd": os.listdir()}}
with open({calls!r}, "a") as calls:
    calls.write(json.dumps(note) + "\\n")
if os.path.exists({failing!r}):
    print("before", {calls!r}, "https://host/a/b", file=sys.stderr)
    print("no such package", file=sys.stderr)
    sys.exit(3)
prefix = pathlib.Path(sys.argv[sys.argv.index("--prefix") + 1])
(prefix / "conda-meta").mkdir(parents=True)
(prefix / "bin").mkdir()
(prefix / "bin" / "python").write_text({inner!r})
(prefix / "bin" / "python").chmod(0o755)
"""
_INNER = """#!{python}
import json, os, sys
note = {{"argv": sys.argv, "env": dict(os.environ), "cwd": os.listdir()}}
with open({calls!r}, "a") as calls:
    calls.write(json.dumps(note) + "\\n")
if sys.argv[2] == "ipykernel_launcher":
    os.execv({python!r}, [{python!r}, {kernel!r}, sys.argv[4]])
"""


class CondaStub:
    """A program `conda` in the folder `path`; `calls` notes each run of it, of pip, and of a kernel."""

    def __init__(self, folder: Path, name: str = "conda") -> None:
        self.path = folder / "bin"
        self.path.mkdir()
        self._calls, self._failing = folder / "calls.jsonl", folder / "failing"
        words = {"python": sys.executable, "calls": str(self._calls), "failing": str(self._failing)}
        inner = _INNER.format(**words, kernel=str(FAKE_KERNEL))
        program = self.path / name
        program.write_text(_PROGRAM.format(**words, inner=inner))
        program.chmod(0o755)

    def fail(self, is_failing: bool = True) -> None:
        """Let it fail from now on, or no longer."""
        self._failing.touch() if is_failing else self._failing.unlink()

    def calls(self, word: str) -> list[dict[str, Any]]:
        """The runs so far whose command line has a word."""
        text = self._calls.read_text() if self._calls.exists() else ""
        return [note for line in text.splitlines() if word in (note := json.loads(line))["argv"]]
