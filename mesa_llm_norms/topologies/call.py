"""How a string such as ``"ring(n=12)"`` is read: a name, and numbers in parentheses.

No string is ever evaluated; what is not of this form is refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mesa_llm_norms.errors import TopologyError

MAX_TEXT = 500

_ARGUMENT = re.compile(
    r"\s*(?:([^\W\d]\w*)\s*=\s*)?(\[[^][()=]*\]|\([^][()=]*\)|[^\s,=()[\]]+)\s*(?:,|$)"
)


class Call(NamedTuple):
    """A topology string taken apart: a name, the values without and with a parameter's name."""

    name: str
    args: tuple[object, ...]
    kwargs: dict[str, object]


def parse(text: str) -> Call:
    """Return the name and the numbers of a topology string; whether it is known is not looked at.

    Values are whole numbers, decimal numbers, and lists of whole numbers in brackets or
    parentheses.
    """
    if len(text) > MAX_TEXT:
        raise _unreadable(text, f"a text of {len(text)} characters is no topology")
    name, opened, rest = (part.strip() for part in text.partition("("))
    if opened and not rest.endswith(")"):
        raise _unreadable(text, f"no closing parenthesis in {shown(text)}")
    args: list[object] = []
    kwargs: dict[str, object] = {}
    inside, position = rest[:-1], 0
    while inside[position:].strip():
        found = _ARGUMENT.match(inside, position)
        if not found:
            raise _unreadable(text, f"cannot read {shown(inside[position:].strip())}")
        key, value = found[1], _literal(text, found[2])
        if key in kwargs:
            raise _unreadable(text, f"{key} is given twice")
        if kwargs and not key:
            raise _unreadable(text, f"{shown(value)} without a name comes after a named value")
        if key:
            kwargs[key] = value
        else:
            args.append(value)
        position = found.end()
    return Call(name, tuple(args), kwargs)


def shown(value: object) -> str:
    """Return ``value`` as it would be written, cut short for a message."""
    text = repr(list(value)) if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _literal(text: str, value: str) -> object:
    try:
        if value[0] in "[(":
            items = value[1:-1].split(",")
            return tuple(int(item) for item in (items if items[-1].strip() else items[:-1]))
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        raise _unreadable(text, f"{shown(value)} is not a number") from None


def _unreadable(text: str, problem: str) -> TopologyError:
    return TopologyError(
        "graph", text, problem, 'Write a name and numbers: "watts_strogatz(n=24, k=4, p=0.1)".'
    )
