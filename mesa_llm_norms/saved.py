"""A spec as JSON, whole: what is needed to play the same run again, on another day too."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx as nx

from mesa_llm_norms.errors import JournalError, SpecError
from mesa_llm_norms.minds.catalogue import load_mind, mind_names
from mesa_llm_norms.minds.live import LIVE, LiveMind, Template, live_mind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.pairing import PAIRINGS, read_pairing
from mesa_llm_norms.placement import PLACEMENTS, describe_committed
from mesa_llm_norms.spec import Spec
from mesa_llm_norms.topologies import names_file, read_graph, to_networkx

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
        shares = all(isinstance(share, (int, float)) for share in spec.mind.values())
        pairs = (
            [[_save_mind(mind), share] for mind, share in spec.mind.items()]
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
        "memory": spec.memory,
        "reward": spec.reward,
        "penalty": spec.penalty,
        "incumbent": spec.incumbent,
        "committed": describe_committed(spec.committed or {}),
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
        name: tuple(where) if _is_placement(where) else where
        for name, where in saved["committed"].items()
    }
    return arguments


def _save_graph(graph: Any) -> Any:
    if isinstance(graph, str) and not names_file(graph):
        return graph
    found = to_networkx(read_graph(graph, random.Random(0)))
    bare: nx.Graph[Any] = nx.DiGraph() if found.is_directed() else nx.Graph()
    bare.add_nodes_from(found)
    bare.add_edges_from(
        (u, v, {"weight": data["weight"]} if "weight" in data else {})
        for u, v, data in found.edges(data=True)
    )
    for node in bare:
        _save_node(node)
    return nx.node_link_data(bare, edges="edges")


def _save_node(node: Any) -> Any:
    if isinstance(node, str) or (isinstance(node, int) and not isinstance(node, bool)):
        return node
    raise SpecError(
        "graph",
        node,
        f"node {node!r} cannot be kept in a journal",
        "Use numbers or texts as node ids, or play without a folder.",
    )


def _restore_graph(saved: Any) -> Any:
    return saved if isinstance(saved, str) else nx.node_link_graph(saved, edges="edges")


def _save_mind(mind: Any) -> Any:
    loaded = load_mind(mind)
    if isinstance(loaded, LiveMind) and loaded.label.partition(":")[0] in LIVE:
        return {
            "kind": "live",
            "label": loaded.label,
            "options": dict(loaded.server.options),
            "template": [loaded.template.name, loaded.template.text],
        }
    if loaded.label in mind_names():
        return {"kind": "name", "name": loaded.label}
    if isinstance(mind, (str, Path)):
        return {"kind": "name", "name": str(Path(mind).absolute())}
    return {"kind": "unknown", "label": loaded.label}


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
        else [(node, once(mind)) for node, mind in saved["pairs"]]
    )
    return None if any(mind is None for pair in pairs for mind in pair) else dict(pairs)


def _restore_mind(saved: Mapping[str, Any]) -> Mind | str | None:
    if saved["kind"] == "live":
        name, text = saved["template"]
        return live_mind(saved["label"], Template(text, name), **saved["options"])
    if saved["kind"] == "name":
        return str(saved["name"])
    return None


def _is_placement(where: Any) -> bool:
    return (
        isinstance(where, list)
        and len(where) == 2
        and not isinstance(where[0], str)
        and where[1] in PLACEMENTS
    )
