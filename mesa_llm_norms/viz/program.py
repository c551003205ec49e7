"""The lines of Python that make the very run that is on screen."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from mesa_llm_norms.spec import Spec
from mesa_llm_norms.viz.edits import Commitment, Edit
from mesa_llm_norms.viz.setting import Setting


def program(setting: Setting, nodes: Sequence[Hashable]) -> str:
    """Return a program that plays a setting to its moment; ``nodes`` are those of its graph."""
    spec = setting.spec()
    lines = ["from mesa_llm_norms import NamingGame", "", "model = NamingGame("]
    usual = Spec()
    for argument in _ARGUMENTS:
        value = getattr(spec, argument)
        if argument in _ALWAYS or value != getattr(usual, argument):
            lines.append(f"    {argument}={value!r},")
    lines += [f"    rng={setting.seed},", ")"]
    played = 0
    for edit in setting.edits:
        if edit.at > setting.at:
            break
        lines += _play(edit.at - played)
        played = edit.at
        lines.append(_change(edit, nodes))
    lines += _play(setting.at - played)
    lines.append("print(model.names_held)")
    return "\n".join(lines) + "\n"


_ARGUMENTS = (
    "graph",
    "names",
    "mind",
    "pairing",
    "memory",
    "reward",
    "penalty",
    "incumbent",
    "committed",
)
_ALWAYS = ("graph", "names", "mind")


def _play(interactions: int) -> list[str]:
    return [f"for _ in model.play({interactions}):", "    pass"] if interactions else []


def _change(edit: Edit, nodes: Sequence[Hashable]) -> str:
    node: Any = nodes[edit.place]
    if isinstance(edit, Commitment):
        agent = f"model.agent_on({node!r})"
        return f"{agent}.commit({edit.name!r})" if edit.name else f"{agent}.release()"
    verb = "add" if edit.there else "remove"
    cells = ", ".join(f"model.network[{end!r}]" for end in (node, nodes[edit.other]))
    return f"model.network.{verb}_connection({cells})"
