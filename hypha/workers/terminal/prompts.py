"""How prompts of shells and other programs look: what waits for somebody to type."""

from __future__ import annotations

import re

from hypha.workers.terminal.sequences import plain

_PROMPT = re.compile(r"[^\n]{0,200}(?:[$#%>❯] ?|>>> |\.\.\. |In \[\d{1,9}\]: )\Z")
_TAIL_CHARS = 4_096


def is_prompt(line: str) -> bool:
    """Whether a line without control sequences is a prompt."""
    return _PROMPT.match(line) is not None


def prompt_of(printed: str) -> str:
    """The prompt with which an output ends; empty if there is none."""
    line = plain(printed[-_TAIL_CHARS:]).rpartition("\n")[2]
    return line if is_prompt(line) else ""


def without_prompt(line: str, prompt: str) -> str:
    """What stands in the last line of an output before its prompt, of which one like it came before."""
    if prompt and line.endswith(prompt):
        return line.removesuffix(prompt)
    return "" if is_prompt(line) else line
