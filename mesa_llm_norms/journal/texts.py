"""How texts and node ids are written down, and the digests that texts are found by."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Set
from functools import lru_cache
from hashlib import blake2b
from numbers import Integral
from typing import Any

from mesa_llm_norms.errors import SpecError


def storable(text: str) -> str:
    """Return ``text`` as UTF-8 can hold it: half of a surrogate pair is written as an escape.

    Servers' JSON may hold such halves, and a reply is kept whatever it is.
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def json_object(argument: str, value: Mapping[str, Any]) -> str:
    """Return a JSON object as text, keys in order; ``SpecError`` where JSON cannot hold it."""
    try:
        return json.dumps(dict(value), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise SpecError(
            argument, value, f"JSON cannot hold it ({error})", "Use plain values: text, numbers."
        ) from error


@lru_cache(4_096)
def text_digest(text: str) -> str:
    """Return 128 bits that stand for ``text``, in hexadecimal."""
    return blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def prompt_digest(system: str, user: str) -> str:
    """Return what stands for a whole prompt: equal for equal texts in the same two places."""
    return join_digests(text_digest(system), text_digest(user))


def join_digests(system: str, user: str) -> str:
    """Return the ``prompt_digest`` of the two texts that have these digests."""
    return blake2b((system + user).encode("ascii"), digest_size=16).hexdigest()


def node_text(node: Hashable) -> str:
    """Return a node id as text: in JSON where that can hold it, as its ``repr`` otherwise.

    Tuples are written as arrays, and the members of a set in the order of their texts, for the
    order in which a set shows them differs from process to process.
    """
    try:
        return json.dumps(_plain(node), allow_nan=False)
    except (TypeError, ValueError):
        return _shown(node)


def read_node(text: str) -> Hashable:
    """Return the node id that ``node_text`` wrote, or the text itself where that is no JSON."""
    try:
        node: Hashable = _frozen(json.loads(text))
    except ValueError:
        return text
    return node


def _plain(node: Any) -> Any:
    if isinstance(node, tuple):
        return [_plain(part) for part in node]
    if node is None or isinstance(node, (str, bool, float)):
        return node
    if isinstance(node, Integral):
        return int(node)
    raise TypeError


def _shown(node: Any) -> str:
    if isinstance(node, tuple):
        return f"({', '.join(map(_shown, node))})"
    if isinstance(node, Set):
        return f"{type(node).__name__}({{{', '.join(sorted(map(_shown, node)))}}})"
    return storable(repr(node))


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
