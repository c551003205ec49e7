"""What a cell is, in writing: all that decides its runs, and the hash it is filed under.

**Two cells share a file only if their runs are the same.** So what is known by a label alone, a
mind or a graph, is in it by its contents; and order is kept where it matters, as among the names
that agents are committed to.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import pickle
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from mesa_llm_norms.contacts import Contacts
from mesa_llm_norms.course import Goal
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds import Mind, load_mind
from mesa_llm_norms.pairing import PAIRINGS, read_pairing
from mesa_llm_norms.placement import read_committed
from mesa_llm_norms.spec import Spec
from mesa_llm_norms.topologies import find_topology, names_file, read_graph

LENGTH = 24


class Digests:
    """Hashes of minds and graphs, each worked out once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}

    def of(self, thing: Any) -> str:
        """Return the hash of a mind, a pairing rule, a graph or a graph file."""
        known = self._known.get(id(thing))
        if known is None:
            known = self._known[id(thing)] = thing, _digest(thing)
        return known[1]


def describe(spec: Spec, goal: Goal, rounds: int, digests: Digests) -> dict[str, Any]:
    """Return all that decides the runs of a cell, but for how many there are, as plain data."""
    pairing = read_pairing(spec.pairing)
    rule: Any = pairing.label
    if type(pairing) is not PAIRINGS.get(rule):
        rule = [rule, digests.of(pairing)]
    return {
        "game": "naming game of minds",
        "graph": _graph(spec.graph, digests),
        "names": list(spec.game.pool),
        "mind": _minds(spec, digests),
        "pairing": rule,
        "memory": int(spec.memory),
        "reward": float(spec.reward),
        "penalty": float(spec.penalty),
        "incumbent": spec.incumbent,
        "committed": [[name, _where(it)] for name, it in read_committed(spec.committed).items()],
        "seed": spec.seed,
        "until": goal.until,
        "window": float(goal.window),
        "threshold": float(goal.threshold),
        "rounds": rounds,
        "versions": dict(versions()),
    }


def key_of(description: Mapping[str, Any]) -> str:
    """Return the hash of a description."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions that trajectories may depend on: ours, and those that draw graphs."""
    found = []
    for package, parts in (("mesa-llm-norms", 3), ("networkx", 2), ("numpy", 2), ("scipy", 2)):
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            version = "unknown"
        found.append((package, ".".join(version.split(".")[:parts])))
    return tuple(found)


def _graph(graph: Any, digests: Digests) -> Any:
    if isinstance(graph, (str, Path)) and names_file(graph):
        return {"file": digests.of(Path(graph))}
    if not isinstance(graph, str):
        return {"graph": digests.of(graph)}
    made = find_topology(graph)
    code = _code(made.function) if made else b""
    return {"topology": graph, "code": _hash(code)} if code else graph


def _minds(spec: Spec, digests: Digests) -> Any:
    def known(mind: Any) -> list[str]:
        loaded = load_mind(mind)
        return [loaded.label, digests.of(loaded)]

    if not isinstance(spec.mind, Mapping):
        return known(spec.mind)
    if all(isinstance(share, (int, float)) for share in spec.mind.values()):
        return [[*known(mind), float(share)] for mind, share in spec.mind.items()]
    return [[_node(node), *known(mind)] for node, mind in spec.mind.items()]


def _where(where: Any) -> Any:
    """Return who is committed as data; an amount and its place are told from two nodes."""
    where = where.tolist() if isinstance(where, np.ndarray) else where
    if isinstance(where, np.generic):
        where = where.item()
    if isinstance(where, tuple):
        return {"given": [_node(one) for one in where]}
    if isinstance(where, (list, set, frozenset)):
        nodes = [_node(one) for one in where]
        return {"nodes": nodes if isinstance(where, list) else sorted(nodes, key=str)}
    return _node(where)


def _node(node: Any) -> Any:
    return node if isinstance(node, (str, int, float)) else repr(node)


def _digest(thing: Any) -> str:
    if isinstance(thing, Path):
        try:
            return _hash(thing.read_bytes())
        except OSError:
            return "unreadable"
    if isinstance(thing, Mind) or hasattr(thing, "label"):
        return _hash(_pickled(thing))
    import random

    contacts = Contacts(read_graph(thing, random.Random(0)))
    strengths = b"" if contacts.strengths is None else contacts.strengths.tobytes()
    names = contacts.nodes
    nodes = repr(names) if isinstance(names, range) else "\n".join(map(repr, names))
    arrays = contacts.indptr.tobytes() + contacts.indices.tobytes() + strengths
    return _hash(nodes.encode("utf-8", "backslashreplace") + bytes([contacts.directed]) + arrays)


def _pickled(thing: Any) -> bytes:
    """Return an object as bytes that depend on its contents, not on which parts are one object."""
    written = io.BytesIO()
    pickler = pickle.Pickler(written, 4)
    pickler.fast = True
    try:
        pickler.dump(thing)
    except Exception as error:
        raise SpecError(
            "mind",
            thing,
            f"{getattr(thing, 'label', thing)!r} cannot be told from others ({error})",
            "Define it in a module, so that it can be pickled, and keep it free of what cannot be.",
        ) from error
    return written.getvalue() + _code(type(thing))


def _code(thing: Any) -> bytes:
    """Return the source of a function or class of the user's, and of its module; none for ours."""
    if thing.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return b""
    found = []
    for source in (thing, sys.modules.get(thing.__module__)):
        with suppress(OSError, TypeError):  # typed in somewhere, perhaps
            found.append(inspect.getsource(source).encode() if source is not None else b"")
    return b"\0".join(found)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:LENGTH]
