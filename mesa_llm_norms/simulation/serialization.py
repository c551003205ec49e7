"""A spec in writing: complete, as JSON, and as the text that people type.

``to_json`` writes all arguments as plain JSON data, from which ``from_json`` makes a spec that
plays the same rows on another day. It is what the ``spec.json`` of a run's folder and the journal
of live minds hold, and what the cells of a sweep are hashed by::

    {"graph": "ring(n=24)", "names": ["Q", "M"], "mind": "claude-3.5-sonnet", "pairing": "node",
     "memory": 5, "reward": 100, "penalty": -50, "incumbent": null,
     "committed": [["M", [5, "hubs"]], ["Q", {"nodes": [0, 1]}]], "seed": 7}

- Who is committed with noise, or for a time, is ``{"agents": [5, "hubs"], "noise": 0.1, "until":
  20}``, with those of the two that are given.
- A graph that is not a topology is written edge by edge:
  ``{"directed": false, "nodes": [...], "edges": [[u, v], [u, v, weight], ...]}``, with ``"pos"``,
  the positions of the nodes if they have any, ``"contacts"``, for each its time and the places in
  ``"nodes"`` of who met, ``"blocks"``, the number of each node's block where agents are placed by
  it, and ``"file"``, the name of the file it was read from. Of a file over a megabyte there are
  only ``{"file": name, "path": ..., "sha256": ...}``, and so of one in a topology, as in
  ``"rewired(friends.csv)"``, with the ``"topology"``.
- A mind that ships is its name. Any other is an object with its ``"label"`` and what it takes to
  make it again: ``"file"`` and ``"text"``, the name and contents of a mind file, ``"options"`` and
  ``"template"`` of a live mind, nothing for a mind of your own. Several are
  ``{"minds": [...], "shares": [...]}``, or
  ``{"minds": [...], "nodes": [[node, index of its mind], ...]}``.
- A game other than the naming game is ``{"class": ..., "fields": {...}}`` under ``"game"``, and the
  spec has no ``"names"``, ``"memory"``, ``"reward"`` and ``"penalty"`` then.
- ``"rewire"`` is ``[misses, rate]`` where the network changes, else absent.
- ``"persona"`` is there only if there is one: a text, or ``{"nodes": [[node, text], ...]}``, which
  a text that holds attributes becomes where the graph is written edge by edge, without them.
- ``"sees"`` is there only if minds are shown attributes: their names under ``"attributes"``, and
  under ``"nodes"``, where the graph is written edge by edge, ``[[node, {name: value}], ...]``.
- Tuples, as in node ids, are lists, and a frozenset is ``{"set": [...]}``.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields
from numbers import Integral
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from mesa_llm_norms.core.games import read_game, write_game
from mesa_llm_norms.errors import (
    DecisionError,
    MindError,
    NormsError,
    PairingError,
    SpecError,
    shown,
)
from mesa_llm_norms.llm.personas import attributes_in, literal, personas_of
from mesa_llm_norms.llm.prompt import Template
from mesa_llm_norms.llm.provider import LiveMind, live_mind
from mesa_llm_norms.minds.files import file_of, parse_mind_file
from mesa_llm_norms.minds.mind import Decision, Mind, Situation
from mesa_llm_norms.minds.mixtures import by_share, mind_key
from mesa_llm_norms.minds.policies import UniformMind
from mesa_llm_norms.minds.registry import (
    is_live,
    load_mind,
    recorded_names,
    ships,
)
from mesa_llm_norms.networks.adjacency import CONTACTS, Neighbors, to_networkx
from mesa_llm_norms.networks.contacts import Contacts
from mesa_llm_norms.networks.drawing import read_position
from mesa_llm_norms.networks.placement import (
    AGENTS,
    PLACEMENTS,
    needs_blocks,
    whereabouts,
)
from mesa_llm_norms.networks.reading import (
    GraphFile,
    file_within,
    graph_file,
    move_file_within,
    names_file,
    read_graph,
    refer_to,
    referred,
)
from mesa_llm_norms.simulation.pairing import PAIRINGS, read_pairing
from mesa_llm_norms.simulation.sight import Eyes
from mesa_llm_norms.simulation.spec import APART, NAMING, SOURCE_FILE, Spec

LARGE_FILE = 1_000_000
"""Bytes of a graph file from which on it is referred to, not written out."""


_MALFORMED = LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError


class LabeledMind(Mind):
    """Stands in for a mind of which only the label is known, and cannot play."""

    def __init__(self, label: str) -> None:
        self.label = label

    async def decide(self, situation: Situation) -> Decision:  # noqa: ARG002
        """Raise ``DecisionError``."""
        raise DecisionError(self.label, "only its label is known")


def to_json(
    spec: Spec,
    *,
    graph: Callable[[Any], Any] | None = None,
    mind: Callable[[Any], Any] | None = None,
    pairing: Callable[[Any], Any] | None = None,
) -> dict[str, Any]:
    """Return a spec as JSON data, from which ``from_json`` makes the same spec again.

    Parameters
    ----------
    spec : Spec
        The spec to write.
    graph, mind, pairing : callable, optional
        What writes the graph, each single mind, and the pairing rule, if not in full: a sweep
        writes digests.

    Returns
    -------
    dict
        A value for every field of ``Spec``, in the form described at the top of this module.

    Raises
    ------
    SpecError
        If a node id is not a number, a text, or a tuple or frozenset of these.
    """
    write_mind = mind or _write_mind
    minds: Any
    if not isinstance(spec.mind, Mapping):
        minds = write_mind(spec.mind)
    elif by_share(spec.mind):
        shares = [float(share) for share in spec.mind.values()]
        minds = {"minds": [write_mind(one) for one in spec.mind], "shares": shares}
    else:
        distinct = {mind_key(one): one for one in spec.mind.values()}
        each = {key: write_mind(one) for key, one in distinct.items()}
        unique = [
            it for place, it in enumerate(each.values()) if it not in [*each.values()][:place]
        ]
        minds = {
            "minds": unique,
            "nodes": [
                [_write_node(node), unique.index(each[mind_key(one)])]
                for node, one in spec.mind.items()
            ],
        }
    written = {
        "graph": (graph or _write_graph)(spec.graph),
        "names": list(spec.game.pool),
        "mind": minds,
        "pairing": (pairing or _write_pairing)(spec.pairing),
        "committed": [[name, _write_where(it)] for name, it in (spec.committed or {}).items()],
    }
    if isinstance(written["graph"], dict) and needs_blocks(spec.committed or {}):
        network = Neighbors(to_networkx(read_graph(spec.graph, random.Random(0))))
        if network.blocks is not None and "nodes" in written["graph"]:
            written["graph"]["blocks"] = network.blocks.tolist()
    names = [field.name for field in fields(Spec) if field.name not in APART]
    if spec.rewire is None:
        names.remove("rewire")
    else:
        written["rewire"] = list(spec.rewire)
    game: dict[str, Any] = {}
    if spec.persona is not None:
        names.append("persona")
        written["persona"] = _write_persona(spec, written["graph"])
    if spec.sees:
        names.append("sees")
        written["sees"] = _write_sees(spec, written["graph"])
    if spec.rules is not None:
        names = [name for name in names if name not in NAMING]
        game = {"game": write_game(spec.rules)}
    return game | {
        name: written[name] if name in written else _plain(getattr(spec, name)) for name in names
    }


def summary(spec: Spec) -> dict[str, Any]:
    """Return a spec as ``to_json`` does, but graph, minds and rule in words, to be compared."""
    return to_json(
        spec,
        graph=lambda _: spec.topology,
        mind=lambda one: load_mind(one).label,
        pairing=lambda rule: read_pairing(rule).label,
    )


def from_json(written: Any, *, display_only: bool = False, **given: Any) -> Spec:
    """Return the spec that ``to_json`` wrote.

    Parameters
    ----------
    written : dict
        What ``to_json`` returned.
    display_only : bool
        Whether the spec is only looked at, not played; False by default. If so, minds that do not
        ship with this package become ``LabeledMind``, and no file is opened.
    **given
        ``mind``, ``pairing`` and ``game``, where these are objects of your own.

    Raises
    ------
    SpecError
        If this is not what ``to_json`` writes, if a mind or a pairing rule of your own is not given
        (``MindError``, ``PairingError``), or if a file has changed since.
    """
    if not set(given) <= {"mind", "pairing", "game"}:
        problem = "only a mind and a pairing rule, and a game, can be given again"
        raise SpecError("spec", sorted(given), problem, "Leave out the rest; it is on record.")
    try:
        written = {"rewire": None, **written}
        given = dict(given)
        apart = {*APART, *(NAMING if "game" in written else ())}
        values = {one.name: written[one.name] for one in fields(Spec) if one.name not in apart}
        if "persona" in written and not display_only:
            values["persona"] = _read_persona(written["persona"])
        values["graph"] = _read_graph(values["graph"], display_only)
        if "sees" in written:
            values["sees"] = _read_sees(written["sees"], values["graph"])
        if "game" in written:
            own = given.pop("game", None)
            values["rules"] = own or read_game(written["game"], not display_only)
        else:
            values["names"] = tuple(values["names"])
        values["committed"] = {name: _read_where(it) for name, it in values["committed"]} or None
        if "mind" not in given:
            values["mind"] = _read_minds(values["mind"], _label if display_only else _read_mind)
        if isinstance(values["pairing"], dict):
            label = values["pairing"]["label"]
            if display_only:
                given = {"pairing": "node", **given}
            elif "pairing" not in given:
                raise PairingError("pairing", label, *_give_again("pairing", label))
        return Spec(**values | given)
    except NormsError:
        raise
    except _MALFORMED as error:
        problem = f"this is not a spec as this package writes it ({type(error).__name__}: {error})"
        raise SpecError("spec", written, problem, "Use a file that was not edited.") from error


# Graphs, minds, rules and committed agents as JSON data


def _write_graph(graph: Any) -> Any:
    file, given = None, graph_file(graph)
    if given is not None:
        path, file = given.path, given.path.name
        if path.stat().st_size >= LARGE_FILE:
            options = {"options": dict(given.options)} if given.options else {}
            return {**refer_to(path), **options}
    elif isinstance(graph, str):
        within = file_within(graph)
        return graph if within is None else {**refer_to(within.path), "topology": graph}
    read = to_networkx(read_graph(graph, random.Random(0)))
    written: dict[str, Any] = {
        "directed": read.is_directed(),
        "nodes": [_write_node(node) for node in read],
        "edges": [
            [
                _write_node(u),
                _write_node(v),
                *(_plain(data[key]) for key in data if key == "weight"),
            ]
            for u, v, data in read.edges(data=True)
        ],
    }
    positions = [read_position(pos) for _, pos in read.nodes(data="pos")]
    if all(positions):
        written["pos"] = positions
    if CONTACTS in read.graph:
        written["contacts"] = read.graph[CONTACTS].written(list(read))
    if file := file or read.graph.get(SOURCE_FILE):
        written["file"] = file
    return written


def _read_graph(written: Any, display_only: bool) -> Any:
    if isinstance(written, str):
        if names_file(written) or file_within(written):
            raise ValueError(f"{shown(written)} is not a topology")
        return written
    if "path" in written:
        if display_only:
            raise SpecError(
                "graph",
                written["file"],
                f"the network is in a file of its own, {written['file']}, which is not opened",
                "Read the folder's tables with pandas.",
            )
        path, options = referred(written), written.get("options", {})
        if "topology" in written:
            return move_file_within(written["topology"], path)
        return str(GraphFile(path, options)) if options else path
    graph: nx.Graph[Any] = nx.DiGraph() if written["directed"] else nx.Graph()
    graph.add_nodes_from(map(_read_node, written["nodes"]))
    for u, v, *weight in written["edges"]:
        graph.add_edge(_read_node(u), _read_node(v), **({"weight": weight[0]} if weight else {}))
    if len(graph) != len(written["nodes"]):
        raise ValueError("nodes are missing from the list, or twice in it")
    if "pos" in written:
        places = zip(graph, map(tuple, written["pos"]), strict=True)
        nx.set_node_attributes(graph, dict(places), "pos")
    if "contacts" in written:
        graph.graph[CONTACTS] = Contacts.read(list(graph), written["contacts"])
    if "blocks" in written:
        nx.set_node_attributes(graph, dict(zip(graph, written["blocks"], strict=True)), "block")
    if "file" in written:
        graph.graph[SOURCE_FILE] = str(written["file"])
    return graph


def _write_mind(mind: Any) -> Any:
    loaded = load_mind(mind)
    # What a class of a user's own does with a question, no journal holds.
    if type(loaded) is LiveMind and is_live(loaded.label):
        template = {"name": loaded.template.name, "text": loaded.template.text}
        options = dict(loaded.provider.options)
        return {"label": loaded.label, "options": options, "template": template}
    if isinstance(mind, str) and ships(mind):
        return mind
    if ships(loaded.label):
        named = load_mind(loaded.label)
        if loaded is named or type(loaded) is type(named) is UniformMind:
            return loaded.label
    if (file := file_of(loaded)) is not None:
        return {"label": loaded.label, "file": file.name, "text": file.text}
    return {"label": loaded.label}


def _read_mind(written: Any) -> Any:
    if isinstance(written, str) and ships(written):
        return written
    label = written["label"]
    if "template" in written:
        template = Template(written["template"]["text"], written["template"]["name"])
        return live_mind(label, template, given=False, **written["options"])
    if "text" in written:
        return parse_mind_file(Path(Path(written["file"]).name), written["text"])
    raise MindError("mind", label, *_give_again("mind", label))


def _label(written: Any) -> Mind:
    """Return a mind to look at: the one that ships, or else a label."""
    if isinstance(written, str) and written in (*recorded_names(), UniformMind.label):
        return load_mind(written)
    return LabeledMind(written if isinstance(written, str) else str(written["label"]))


def _write_persona(spec: Spec, graph: Any) -> Any:
    persona: Any = spec.persona
    texts = persona.values() if isinstance(persona, Mapping) else [persona]
    if "nodes" in graph and any(map(attributes_in, texts)):
        read = to_networkx(read_graph(spec.graph, random.Random(0)))
        personas = zip(read, personas_of(persona, list(read), read), strict=True)
        persona = {node: literal(text) for node, text in personas if text}
    if not isinstance(persona, Mapping):
        return persona
    return {"nodes": [[_write_node(node), text] for node, text in persona.items()]}


def _write_sees(spec: Spec, graph: Any) -> Any:
    """Return the names of the attributes and, of a graph on record, what its nodes have."""
    has: list[Any] = []
    if "nodes" in graph:
        read = to_networkx(read_graph(spec.graph, random.Random(0)))
        eyes = Eyes([], read, object)
        for node, given in read.nodes(data=True):
            shown_ = {it: eyes.value(it, object(), node) for it in spec.sees if it in given}
            has += [[_write_node(node), shown_]] if shown_ else []
    return {"attributes": list(spec.sees), "nodes": has}


def _read_sees(written: Any, graph: Any) -> Any:
    for node, has in written["nodes"]:
        graph.nodes[_read_node(node)].update(has)
    return written["attributes"]


def _read_persona(written: Any) -> Any:
    if isinstance(written, str):
        return written
    return {_read_node(node): text for node, text in written["nodes"]}


def _read_minds(written: Any, read: Callable[[Any], Any]) -> Any:
    if "minds" not in written or isinstance(written, str):
        return read(written)
    minds = [read(one) for one in written["minds"]]
    if "shares" in written:
        return dict(zip(minds, written["shares"], strict=True))
    return {_read_node(node): minds[index] for node, index in written["nodes"]}


def _write_pairing(pairing: Any) -> Any:
    rule = read_pairing(pairing)
    return rule.label if type(rule) in PAIRINGS.values() else {"label": rule.label}


def _write_where(where: Any) -> Any:
    """Return an amount, an amount with its placement, or nodes, and how firm they are."""
    if isinstance(where, Mapping):
        return {**where, AGENTS: _write_where(whereabouts(where))}
    if isinstance(where, tuple) and len(where) == 2 and where[1] in PLACEMENTS:
        return [_plain(where[0]), where[1]]
    if isinstance(where, np.ndarray):
        where = where.tolist()
    if isinstance(where, (set, frozenset)):
        return {"nodes": sorted(map(_write_node, where), key=json.dumps)}
    if isinstance(where, (list, tuple)):
        return {"nodes": [_write_node(node) for node in where]}
    return _plain(where)


def _read_where(written: Any) -> Any:
    if isinstance(written, dict) and AGENTS in written:
        return {**written, AGENTS: _read_where(written[AGENTS])}
    if isinstance(written, dict):
        return [_read_node(node) for node in written["nodes"]]
    return tuple(written) if isinstance(written, list) else written


def _write_node(node: Any) -> Any:
    if isinstance(node, tuple):
        return [_write_node(part) for part in node]
    if isinstance(node, frozenset):
        return {"set": sorted(map(_write_node, node), key=json.dumps)}
    if isinstance(node, (str, bool)) or node is None:
        return node
    if isinstance(node, Integral):
        return int(node)
    if isinstance(node, float) and math.isfinite(node):
        return float(node)
    raise SpecError(
        "graph",
        node,
        f"node {shown(node)} cannot be written down",
        "Use numbers, texts, or tuples of them as node ids, or play without a folder.",
    )


def _read_node(written: Any) -> Hashable:
    if isinstance(written, dict):
        return frozenset(map(_read_node, written["set"]))
    return tuple(map(_read_node, written)) if isinstance(written, list) else written


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; of numbers, numpy's become Python's, and fractions floats."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (int, float, str, type(None))) else float(value)


def _give_again(argument: str, label: str) -> tuple[str, str]:
    """Return the problem and the remedy of an error."""
    problem = (
        f"the {argument} {shown(label)} is not part of this package, so only its label was saved"
    )
    return problem, f"Pass it again: {argument}=..."
