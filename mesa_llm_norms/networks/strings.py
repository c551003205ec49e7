"""Topology strings taken apart: a name, and in parentheses numbers, words and other graphs.

No string is ever evaluated; anything that is not of this form is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from mesa_llm_norms.core import limits
from mesa_llm_norms.errors import TopologyError

_NAMED = re.compile(r"([^\W\d]\w*)\s*=\s*(.*)", re.DOTALL)
_LIST = re.compile(r"\[[^][()=]*\]|\([^][()=]*\)")
_WORDS = re.compile(r"[^\W\d]|[./~]")
"""What a word, a graph or the path of a file begins with."""

_CLOSING = {"(": ")", "[": "]"}


class Call(NamedTuple):
    """A topology string taken apart: a name, the values without and with a parameter's name."""

    name: str
    args: tuple[object, ...]
    kwargs: dict[str, object]


def parse(text: str) -> Call:
    """Return the name and the values of a topology string, known or not.

    Values are whole numbers, decimal numbers, lists of whole numbers in brackets or parentheses,
    and text, which is a word or another graph, perhaps in quotation marks; ``TopologyError`` for
    anything else.
    """
    if len(text) not in limits.TOPOLOGY_TEXT:
        raise _unreadable(text, f"a text of {len(text)} characters is not a topology")
    name, opened, rest = (part.strip() for part in text.partition("("))
    if opened and not rest.endswith(")"):
        raise _unreadable(text, f"no closing parenthesis in {cut(text)}")
    args: list[object] = []
    kwargs: dict[str, object] = {}
    for piece in _pieces(text, rest[:-1]):
        named = _NAMED.fullmatch(piece)
        key, value = (named[1], _literal(text, named[2])) if named else ("", _literal(text, piece))
        if key in kwargs:
            raise _unreadable(text, f"{key} is given twice")
        if kwargs and not key:
            raise _unreadable(text, f"{cut(value)} without a name comes after a named value")
        if key:
            kwargs[key] = value
        else:
            args.append(value)
    return Call(name, tuple(args), kwargs)


def write_call(
    name: str,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    write: Callable[[object], str] | None = None,
) -> str:
    """Return the string of a topology with these values, each written by ``written``."""
    write = write or written
    given = [*map(write, args), *(f"{key}={write(value)}" for key, value in kwargs.items())]
    return f"{name}({', '.join(given)})"


def written(value: object) -> str:
    """Return a value as ``parse`` reads it."""
    if not isinstance(value, str):
        return repr(list(value)) if isinstance(value, tuple) else repr(value)
    if re.fullmatch(r"[^\W\d]\w*(\(.*\))?", value, re.DOTALL):
        return value
    return f"'{value}'" if '"' in value else f'"{value}"'


def cut(value: object) -> str:
    """Return ``value`` as it would be written, cut short for a message."""
    text = repr(value) if isinstance(value, str) else written(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _pieces(text: str, inside: str) -> Iterator[str]:
    """Yield what is between the commas that are in no brackets and no quotation marks."""
    start, quote, open_ones = 0, "", list[str]()
    for at, mark in enumerate(f"{inside},"):
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "\"'":
            quote = mark
        elif mark in _CLOSING:
            open_ones.append(_CLOSING[mark])
        elif mark in ")]":
            if not open_ones or open_ones.pop() != mark:
                break
        elif mark == "," and not open_ones:
            piece, rest = inside[start:at].strip(), inside[at + 1 :].strip()
            if not piece:
                if rest or at < len(inside):
                    break
                return
            yield piece
            start = at + 1
    if start <= len(inside):
        raise _unreadable(text, f"cannot read {cut(inside[start:].strip())}")


def _literal(text: str, value: str) -> object:
    if value[:1] in ("[", "("):
        if not _LIST.fullmatch(value):
            raise _unreadable(text, f"cannot read {cut(value)}")
        items = value[1:-1].split(",")
        try:
            return tuple(int(item) for item in (items if items[-1].strip() else items[:-1]))
        except ValueError:
            raise _unreadable(text, f"{cut(value)} is not a list of whole numbers") from None
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            pass
    if value[:1] in ('"', "'") and len(value) > 2 and value.find(value[0], 1) == len(value) - 1:
        return value[1:-1]
    if not value:
        raise _unreadable(text, "cannot read a value that is missing")
    if not _WORDS.match(value):
        raise _unreadable(text, f"{cut(value)} is not a number")
    return value


def _unreadable(text: str, problem: str) -> TopologyError:
    return TopologyError(
        "graph", text, problem, 'Write a name and numbers: "watts_strogatz(n=24, k=4, p=0.1)".'
    )
