"""A spec as JSON, whole: what is needed to play the same run again, on another day too.

Reading what is typed: pools, minds, committed agents and nodes as text.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import networkx as nx

from mesa_llm_norms.core.files import read_json
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import FileFormatError, JournalError, MindError, SpecError
from mesa_llm_norms.llm.journal.tables import node_text, read_node
from mesa_llm_norms.llm.mind import LIVE, LiveMind, live_mind
from mesa_llm_norms.llm.prompt import Template
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import UniformMind
from mesa_llm_norms.minds.registry import DEFAULT_MIND, load_mind, mind_names
from mesa_llm_norms.networks.adjacency import to_networkx
from mesa_llm_norms.networks.graph_files import names_file, read_graph
from mesa_llm_norms.networks.placement import PLACEMENTS
from mesa_llm_norms.simulation.pairing import PAIRINGS, read_pairing
from mesa_llm_norms.simulation.spec import Spec, by_share

_UNKNOWN = {"kind": "unknown"}
"""Stands for what JSON cannot hold: a mind or a rule of the caller's own."""


def save(spec: Spec) -> dict[str, Any]:
    """Return the arguments of a spec as JSON can hold them; ``restore`` gives them back.

    A graph that is given, or read from a file, is kept edge by edge, and so is the wording of every
    prompt. Minds and rules of the caller's own are named and have to be given again.
    """
    mind: Any
    if not isinstance(spec.mind, Mapping):
        mind = {"kind": "all", "mind": _save_mind(spec.mind)}
    else:
        shares = by_share(spec.mind)
        pairs = (
            [[_save_mind(mind), float(share)] for mind, share in spec.mind.items()]
            if shares
            else [[_save_node(node), _save_mind(mind)] for node, mind in spec.mind.items()]
        )
        mind = {"kind": "shares" if shares else "nodes", "pairs": pairs}
    pairing = read_pairing(spec.pairing)
    return {
        "graph": _save_graph(spec.graph),
        "names": list(spec.game.pool),
        "mind": mind,
        "pairing": pairing.label if type(pairing) in PAIRINGS.values() else _UNKNOWN,
        "memory": int(spec.memory),
        "reward": _number(spec.reward),
        "penalty": _number(spec.penalty),
        "incumbent": spec.incumbent,
        "committed": _save_committed(spec.committed or {}),
        "rng": spec.seed,
    }


def restore(saved: Mapping[str, Any], path: Path, **given: Any) -> dict[str, Any]:
    """Return the arguments that were saved, as ``NamingGame`` and ``run_ensemble`` take them.

    ``given`` are minds and rules of the caller's own, which take the place of what could not be
    saved. Raises ``JournalError`` where they are missing.
    """
    if not set(given) <= {"mind", "pairing"}:
        raise SpecError(
            "resume",
            sorted(given),
            "only a mind and a pairing rule of your own can be given again",
            "The rest is in the journal.",
        )
    arguments = dict(saved)
    arguments["graph"] = _restore_graph(saved["graph"])
    for argument, found in (("mind", _restore_minds(saved["mind"])), ("pairing", saved["pairing"])):
        arguments[argument] = given.get(argument, found)
        if arguments[argument] in (None, _UNKNOWN):
            raise JournalError(
                path,
                f"it was begun with a {argument} that is no part of this package",
                f"Give it again: {argument}=...",
            )
    arguments["committed"] = {
        name: [read_node(node) for node in where[0]] if kind == "nodes" else _amount(where)
        for name, kind, *where in saved["committed"]
    }
    return arguments


def _save_graph(graph: Any) -> Any:
    if isinstance(graph, str) and not names_file(graph):
        return graph
    found = to_networkx(read_graph(graph, random.Random(0)))
    return {
        "directed": found.is_directed(),
        "nodes": [_save_node(node) for node in found],
        "edges": [
            [_save_node(u), _save_node(v), *([float(data["weight"])] if "weight" in data else [])]
            for u, v, data in found.edges(data=True)
        ],
    }


def _save_node(node: Any) -> str:
    text = node_text(node)
    if read_node(text) != node:
        raise SpecError(
            "graph",
            node,
            f"node {node!r} cannot be kept in a journal",
            "Use numbers, texts or tuples of them as node ids, or play without a folder.",
        )
    return text


def _restore_graph(saved: Any) -> Any:
    if isinstance(saved, str):
        return saved
    graph: nx.Graph[Any] = nx.DiGraph() if saved["directed"] else nx.Graph()
    graph.add_nodes_from(read_node(node) for node in saved["nodes"])
    for u, v, *weight in saved["edges"]:
        graph.add_edge(read_node(u), read_node(v), **({"weight": weight[0]} if weight else {}))
    return graph


def _save_committed(committed: Mapping[str, Any]) -> list[list[Any]]:
    """Return who is committed, in the order given, for in that order places are taken."""
    saved: list[list[Any]] = []
    for name, where in committed.items():
        if isinstance(where, Real):
            saved.append([name, "amount", _number(where)])
        elif isinstance(where, tuple) and len(where) == 2 and where[1] in PLACEMENTS:
            saved.append([name, "amount", _number(where[0]), where[1]])
        else:
            saved.append([name, "nodes", [_save_node(node) for node in where]])
    return saved


def _amount(where: list[Any]) -> Any:
    return where[0] if len(where) == 1 else tuple(where)


def _number(value: Any) -> int | float:
    number: int | float = value.item() if hasattr(value, "item") else value
    return number


def _save_mind(mind: Any) -> Any:
    loaded = load_mind(mind)
    if isinstance(loaded, LiveMind) and loaded.label.partition(":")[0] in LIVE:
        return {
            "kind": "live",
            "label": loaded.label,
            "options": dict(loaded.server.options),
            "template": [loaded.template.name, loaded.template.text],
        }
    if isinstance(mind, (str, Path)) and str(mind) not in mind_names():
        return {"kind": "name", "name": str(Path(mind).absolute())}
    if isinstance(mind, str) or _is_of_the_catalogue(loaded):
        return {"kind": "name", "name": loaded.label}
    return {"kind": "unknown", "label": loaded.label}


def _is_of_the_catalogue(mind: Mind) -> bool:
    """Whether a mind is the one that its label stands for, and not another of that label."""
    if mind.label not in mind_names():
        return False
    known = load_mind(mind.label)
    return known is mind or (type(mind) is UniformMind and type(known) is UniformMind)


def _restore_minds(saved: Mapping[str, Any]) -> Any:
    if saved["kind"] == "all":
        return _restore_mind(saved["mind"])
    # One object for equal minds, so that they share what a mind shares.
    made: dict[str, Any] = {}

    def once(mind: Any) -> Any:
        key = json.dumps(mind, sort_keys=True)
        if key not in made:
            made[key] = _restore_mind(mind)
        return made[key]

    pairs = (
        [(once(mind), share) for mind, share in saved["pairs"]]
        if saved["kind"] == "shares"
        else [(read_node(node), once(mind)) for node, mind in saved["pairs"]]
    )
    return None if any(mind is None for pair in pairs for mind in pair) else dict(pairs)


def _restore_mind(saved: Mapping[str, Any]) -> Mind | str | None:
    if saved["kind"] == "live":
        name, text = saved["template"]
        return live_mind(saved["label"], Template(text, name), **saved["options"])
    if saved["kind"] == "name":
        return str(saved["name"])
    return None


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
        graph = read_graph(topology, RandomStream(seed, 0).generator("graph"))
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
            amount = _typed_amount(found["amount"])
            committed[name] = (amount, found["where"]) if found["where"] else amount
    return committed


def _name_and_share(text: str) -> tuple[str, float | None]:
    name, equals, share = text.rpartition("=")
    try:
        return (name, float(share)) if equals else (text, None)
    except ValueError:
        return text, None


def _typed_amount(text: str) -> int | float:
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
