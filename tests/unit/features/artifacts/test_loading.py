"""What a server loads of this feature, and what only when it is needed."""

from __future__ import annotations

import codecs
import subprocess
import sys

from hypha.features.artifacts import renderer, rendering
from hypha.features.artifacts.contents import LINEAR_CODECS


def test_the_server_and_its_program_say_the_same() -> None:
    ours, its = renderer, rendering
    assert (ours.LENGTH.format, ours.ANSWER.format) == (its.LENGTH.format, its.ANSWER.format)
    assert ours.MAX_ANSWER_BYTES == its.MAX_PAGE_BYTES


def test_a_server_does_not_load_what_most_never_need() -> None:
    code = (
        "import sys\nimport hypha.features.artifacts.feature\n"
        "rare = {'jinja2', 'hypha.features.artifacts.adopting', 'httpx2', 'obstore', 'aiobotocore'}\n"
        "rare |= {'_codecs_jp'}\n"
        "sys.exit(str(rare & set(sys.modules)) if rare & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_encodings_are_named_as_python_names_them() -> None:
    assert {codecs.lookup(name).name for name in LINEAR_CODECS} == LINEAR_CODECS
