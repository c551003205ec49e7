"""Personas: who each agent is told to be, by live minds, at the head of the system prompt.

A persona is a text. It may hold attributes of the agent's node, ``"You are a {job} of {age}."``,
with ``{{`` and ``}}`` for braces. ``persona=`` is one for all, or a mapping of nodes to texts,
in which nodes may be missing. It is part of the spec, and so of the journal.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from string import Formatter
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.errors import SpecError, shown, some
from mesa_llm_norms.llm.prompt import check_text
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.minds.mind import Mind

_REMEDY = 'Write "You are a {job}.", with attributes of nodes in braces, or {node: "You are ..."}.'


def check_persona(persona: Any, *, live: bool) -> None:
    """Raise ``SpecError`` for anything but a text for live minds, or texts by node."""
    texts = persona.values() if isinstance(persona, Mapping) else [persona]
    if isinstance(persona, Mapping) and not persona:
        raise SpecError("persona", persona, "it is a mapping of no node", _REMEDY)
    for text in texts:
        check_text("persona", text)
        attributes_in(text)
    if not live:
        problem = "no mind is live, and others are told nothing"
        remedy = "Leave it out, or give a mind such as claude:claude-haiku-5-5."
        raise SpecError("persona", persona, problem, remedy)


def attributes_in(text: str) -> list[str]:
    """Return the attributes that a persona holds; ``SpecError`` for braces that hold none."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        problem = f"{shown(text)} cannot be filled in ({error})"
        raise SpecError("persona", text, problem, _REMEDY) from None
    for _, field, form, conversion in parts:
        if field is not None and (form or conversion or not field.strip()):
            problem = f"{shown(text)} has braces that hold no attribute alone"
            raise SpecError("persona", text, problem, f"{_REMEDY} {{{{ and }}}} stand for braces.")
    return [field for _, field, _, _ in parts if field is not None]


def personas_of(persona: Any, nodes: Sequence[Hashable], graph: Any) -> list[str]:
    """Return what is said to the agent on each node, nothing where it has no persona.

    Raises ``SpecError`` if a node of the mapping is not there, or one has not got an attribute.
    """
    if persona is None:
        return [""] * len(nodes)
    if not isinstance(persona, Mapping):
        return [_filled(persona, node, graph) for node in nodes]
    unknown = set(persona) - set(nodes)
    if unknown:
        problem = f"no node {some(sorted(unknown, key=repr))}"
        raise SpecError("persona", persona, problem, "Give personas to nodes of the graph.")
    return [_filled(persona[node], node, graph) if node in persona else "" for node in nodes]


def seated_with(
    texts: Sequence[str], minds: tuple[Mind, ...], indices: Sequence[NDArray[np.int32]]
) -> tuple[tuple[Mind, ...], list[NDArray[np.int32]]]:
    """Return the minds with one more for each persona of a live mind, and the indices of nodes."""
    found = list(minds)
    places: dict[tuple[int, str], int] = {}

    def place(index: int, persona: str) -> int:
        mind = minds[index]
        if not persona or not isinstance(mind, LiveMind):
            return index
        if (index, persona) not in places:
            places[index, persona] = len(found)
            found.append(mind.with_persona(persona))
        return places[index, persona]

    with_personas = [
        np.array([place(*both) for both in zip(one.tolist(), texts, strict=True)], np.int32)
        for one in indices
    ]
    return tuple(found), with_personas


def literal(text: str) -> str:
    """Return a persona that says exactly this."""
    return text.replace("{", "{{").replace("}", "}}")


def _filled(text: str, node: Hashable, graph: Any) -> str:
    has = graph.nodes[node] if isinstance(graph, nx.Graph) else {}
    said = ""
    for before, field, _, _ in Formatter().parse(text):
        said += before
        if field is None:
            continue
        value = has.get(field)
        if value is None or value != value:  # NaN, as tables have it for nothing
            problem = f"node {shown(node)} has no attribute {shown(field)}"
            known = f"It has {some(list(has), 10)}." if has else "No node of it has any."
            raise SpecError("persona", text, problem, f"{known} Or give {{node: text}}.")
        said += str(value)
    check_text("persona", said)
    return said
