"""Reading a name out of a reply: it is there to the letter, or there is none.

Nothing is guessed, put into another case, or looked for inside a sentence. What is not exactly a
name of the pool is unusable, and whoever asked decides what becomes of that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

QUOTES = ('""', "''", "“”", "‘’", "«»", "``")  # noqa: RUF001  (these are meant)
"""The marks a model may put around a name: the opening one and the closing one."""


def name_schema(pool: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of an object with one property, ``name``, out of ``pool``.

    The names stand in the order of the pool, whatever order a prompt shows them in: servers compile
    a schema and keep it, so each order would cost a compilation of its own.
    """
    return {
        "type": "object",
        "properties": {"name": {"type": "string", "enum": list(pool)}},
        "required": ["name"],
        "additionalProperties": False,
    }


def read_json(text: str, pool: Sequence[str]) -> str | None:
    """Return the name in a JSON object that holds ``name`` and nothing else, or None."""
    try:
        # As tuples of pairs, which no array becomes and in which a key given twice is seen.
        content = json.loads(text, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    return next((name for name in pool if content == (("name", name),)), None)


def read_plain(text: str, pool: Sequence[str]) -> str | None:
    """Return the name that a reply in words consists of, or None.

    Space around it does not count. Nor do a pair of quotation marks and one full stop at the end,
    unless the name itself has them, or different names would remain.
    """
    bare = text.strip()
    if bare in pool:
        return bare
    rests = {
        _unquoted(bare),
        _unstopped(bare),
        _unquoted(_unstopped(bare)),
        _unstopped(_unquoted(bare)),
    }
    named = [name for name in pool if name in rests]
    return named[0] if len(named) == 1 else None


def _unstopped(text: str) -> str:
    return text.removesuffix(".")


def _unquoted(text: str) -> str:
    quoted = len(text) >= 2 and text[0] + text[-1] in QUOTES
    return text[1:-1] if quoted else text
