"""What can be chosen on the page, and how it is worded."""

from __future__ import annotations

from collections.abc import Mapping

from mesa_llm_norms.minds import mind_names
from mesa_llm_norms.topologies import names_file
from mesa_llm_norms.topologies.call import parse
from mesa_llm_norms.topologies.registry import Topology, find_topology, topologies
from mesa_llm_norms.viz.hosting import hosting
from mesa_llm_norms.viz.work import FULL_SPEED

SPEEDS: Mapping[str, float] = {
    "very slow": 0.2,
    "slow": 0.5,
    "1 round a second": 1.0,
    "2 rounds a second": 2.0,
    "5 rounds a second": 5.0,
    "20 rounds a second": 20.0,
    "as fast as it goes": FULL_SPEED,
}
POOLS: Mapping[str, str] = {
    "QM": "two: Q M",
    "FJ": "two: F J",
    "QMXYFJPRCD": "ten: Q M X Y F J P R C D",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ": "26: A to Z",
}


def topology_names() -> list[str]:
    """Return the topologies that can be chosen: built in, and files the page was started with."""
    return [one.name for one in topologies()] + list(hosting().topologies)


def minds() -> list[str]:
    """Return the minds that can be chosen."""
    return [*mind_names(), *hosting().minds]


def topology_of(text: str) -> Topology | None:
    """Return the topology of a text, None for a file."""
    return None if names_file(text) else find_topology(text)


def parameters_of(text: str) -> dict[str, str]:
    """Return the parameters of a topology's text, each as it would be typed."""
    topology = topology_of(text)
    if topology is None:
        return {}
    call = parse(text)
    values = topology.read(call.args, call.kwargs)
    return {name: _typed(value) for name, value in values.items()}


def with_parameter(text: str, name: str, typed: str) -> str:
    """Return a topology's text with another value of one parameter."""
    values = {**parameters_of(text), name: typed.strip()}
    return f"{text.partition('(')[0].strip()}({', '.join(f'{k}={v}' for k, v in values.items())})"


def with_topology(text: str, name: str) -> str:
    """Return the text of another topology, of about as many agents if its parameter is ``n``."""
    topology = topology_of(name)
    if topology is None:
        return name
    n = parameters_of(text).get("n")
    usual = topology.signature
    if n is None or "n" not in topology.parameters:
        return usual
    changed = with_parameter(usual, "n", n)
    try:
        call = parse(changed)
        topology.read(call.args, call.kwargs)
    except ValueError:
        return usual
    return changed


def _typed(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else f"{value}"
