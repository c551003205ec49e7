"""Reading what is typed: pools, minds, committed agents and nodes as text."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mesa_llm_norms.draws import Draws
from mesa_llm_norms.errors import FileFormatError, MindError, SpecError, some
from mesa_llm_norms.minds import DEFAULT_MIND
from mesa_llm_norms.placement import PLACEMENTS
from mesa_llm_norms.spec import Spec
from mesa_llm_norms.text_files import read_json
from mesa_llm_norms.topologies import read_graph

_COMMITTED = re.compile(
    r"(?P<name>.+?)=(?:(?P<amount>\d{1,9}%?|\d{0,9}\.\d{1,9}%?)(?::(?P<where>\w+))?"
    r"|\[(?P<nodes>.*)\])"
)

Nodes = Callable[[], Mapping[str, Hashable]]
"""Returns the nodes of the graph by how they are written."""


def read_spec(
    *,
    topology: str,
    names: str,
    mind: Sequence[str],
    minds_by_node: Path | None,
    committed: Sequence[str],
    seed: int,
    read: Callable[[str], Any] = str,
    **others: Any,
) -> Spec:
    """Return the spec that the options of ``run`` stand for; raise an error of this package.

    ``read`` makes a mind, or the name of one, of what was typed for it.
    """

    def nodes() -> Mapping[str, Hashable]:
        graph = read_graph(topology, Draws(seed, 0).generator("graph"))
        return {str(node): node for node in graph}

    if minds_by_node is not None and mind:
        raise SpecError("mind", mind, "minds are given twice", "Give --mind or --minds-by-node.")
    return Spec(
        graph=topology,
        names=read_names(names),
        mind=_minds(mind, minds_by_node, nodes, read),
        committed=read_committed(committed, nodes) or None,
        seed=seed,
        **others,
    )


def _minds(
    mind: Sequence[str], by_node: Path | None, nodes: Nodes, read: Callable[[str], Any]
) -> Any:
    if by_node is not None:
        return {node: read(name) for node, name in read_minds_by_node(by_node, nodes).items()}
    return read_mind(mind, read)


def read_names(text: str) -> str | list[str]:
    """Return a pool: names between commas, or else the letters of a text."""
    return [name.strip() for name in text.split(",")] if "," in text else text


def read_mind(given: Sequence[str], read: Callable[[str], Any] = str) -> Any:
    """Return one mind for all, or minds by share: ``NAME=SHARE``, or equal shares without any.

    ``read`` makes a mind, or the name of one, of each name.
    """
    if not given:
        return read(DEFAULT_MIND)
    typed = [_name_and_share(text) for text in given]
    shares = [share for _, share in typed if share is not None]
    if shares and len(shares) < len(typed):
        raise MindError("mind", list(given), "only some minds have a share", "Give all or none.")
    names = [name for name, _ in typed]
    if len(set(names)) < len(names):
        raise MindError("mind", list(given), "a mind is named twice", "Name each mind once.")
    if not shares and len(names) == 1:
        return read(names[0])
    return dict(zip(map(read, names), shares or [1.0] * len(names), strict=True))


def read_minds_by_node(path: Path, nodes: Nodes) -> dict[Hashable, str]:
    """Return the minds in a JSON file of one object, ``{"node": "mind", ...}``."""
    remedy = 'It holds one JSON object, {"node": "mind", ...}, every node in it once.'
    content = read_json(path, remedy)
    if not all(isinstance(mind, str) for mind in content.values()):
        raise FileFormatError(path, "it is not an object of minds by node", remedy)
    known = nodes()
    return {known.get(node, node): mind for node, mind in content.items()}


def read_committed(given: Sequence[str], nodes: Nodes) -> dict[str, Any]:
    """Return who is committed: ``NAME=COUNT``, ``NAME=COUNT:PLACEMENT`` or ``NAME=[NODE,...]``.

    Instead of a count there may be a share of the agents: ``0.1`` or ``10%``.
    """
    committed: dict[str, Any] = {}
    for text in given:
        found = _COMMITTED.fullmatch(text)
        if found is None or (found["where"] and found["where"] not in PLACEMENTS):
            raise SpecError(
                "committed",
                text,
                f"{text!r} does not say who is committed",
                "Write M=5, M=10%, M=5:hubs or M=[0,1,2]; placements are "
                + ", ".join(PLACEMENTS)
                + ".",
            )
        name = found["name"]
        if name in committed:
            raise SpecError("committed", text, f"{name!r} is given twice", "Give each name once.")
        if found["nodes"] is not None:
            known = nodes()
            committed[name] = [known.get(node, node) for node in _listed(found["nodes"])]
        else:
            amount = _amount(found["amount"])
            committed[name] = (amount, found["where"]) if found["where"] else amount
    return committed


def choose(argument: str, wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return those of ``known`` that are wanted, each once, and all where none is named."""
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            raise SpecError(
                argument,
                name,
                f"there is no {name!r}" + (f" (did you mean {close[0]!r}?)" if close else ""),
                f"Known are {some(known, 20)}.",
            )
    return tuple(dict.fromkeys(wanted)) or tuple(known)


def _name_and_share(text: str) -> tuple[str, float | None]:
    name, equals, share = text.rpartition("=")
    try:
        return (name, float(share)) if equals else (text, None)
    except ValueError:
        return text, None


def _amount(text: str) -> int | float:
    """Return a count, or a share where there is a decimal point or a percent sign."""
    if text.endswith("%"):
        return float(text[:-1]) / 100
    return float(text) if "." in text else int(text)


def _listed(text: str) -> list[str]:
    """Return the nodes between the brackets, quoted where they hold a comma."""
    try:
        items = json.loads(f"[{text}]")
    except (ValueError, RecursionError):
        items = [item.strip().strip("'\"") for item in text.split(",")]
    return [item if isinstance(item, str) else json.dumps(item) for item in items]
