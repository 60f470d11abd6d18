"""How much work the patterns of schemas are.

Whatever a pattern is, the time that it takes is linear in the text; for each letter of the text it is up to
as many steps as the pattern has states, and `[ab]{3000}` has 3000.
"""

from __future__ import annotations

import re

STEP = 4
"""What a state of a pattern counts, in parts of a schema."""
WIDE = 20
"""States of an escape that stands for many letters."""
TOO_MUCH = 10**9
"""Of patterns that are larger than can be, or read otherwise than here."""

_TOKEN = re.compile(r"\\.|\{([0-9]{1,9})(?:,([0-9]{0,9}))?\}|.", re.DOTALL)
_READ_OTHERWISE = re.compile(r"\(\?[a-zA-Z-]*x|\[\^?\]")
"""Comments in patterns, and classes that begin with their end."""


def work_of(pattern: str) -> int:
    """How many parts of a schema a pattern counts as."""
    if _READ_OTHERWISE.search(pattern):
        return TOO_MUCH
    groups = [0]
    last = 0
    in_class = False
    for found in _TOKEN.finditer(pattern):
        token = found[0]
        added = 0
        if in_class and token == "[":
            return TOO_MUCH
        if token == "[":
            in_class, last = True, 1
        elif found[1] is not None:
            added = last * (max(int(found[1]), int(found[2] or 0), 1) - 1)
            last += added
        elif in_class:
            in_class = token != "]"
            last = max(last, _states(token))
            added = 0 if in_class else last
        elif token == "(":
            groups.append(0)
            last = 0
        elif token == ")" and len(groups) > 1:
            added = last = groups.pop() + 1
        else:
            added = last = _states(token)
        groups[-1] += added
        if groups[-1] > TOO_MUCH:
            return TOO_MUCH
    return STEP * sum(groups)


def _states(token: str) -> int:
    return WIDE if token[0] == "\\" and token[1:] in _MANY else 1


_MANY = frozenset("pPwWsSD")
