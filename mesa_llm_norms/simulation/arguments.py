"""The types of the game's arguments, as ``NamingGame``, ``run_ensemble`` and their like take them.

``Spec`` says what each means and checks it; here is what a type checker and an editor know.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

import networkx as nx
import numpy as np

from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.simulation.pairing import Pairing

if TYPE_CHECKING:
    from mesa.discrete_space import Network
    from numpy.typing import NDArray
    from scipy import sparse

    from mesa_llm_norms.llm.settings import LLMSettings
    from mesa_llm_norms.simulation.backends import SharedCalls

GraphArgument: TypeAlias = (
    "str | Path | nx.Graph[Any] | sparse.sparray | sparse.spmatrix | NDArray[Any] | Network"
    " | Sequence[Sequence[Any]] | Mapping[Any, Iterable[Any]]"
)
"""A topology, a graph file, or a graph, also as its edges or as the neighbors of each node."""

NamesArgument: TypeAlias = str | Sequence[str]
"""The letters of a string, or a sequence of names."""

MindArgument: TypeAlias = Mind | str | Path | Mapping[Any, Mind | str | Path | float]
"""A mind, its name or its file; one for each node, or the share of each."""

PairingArgument: TypeAlias = (
    Literal["node", "edge", "matching", "contacts", "neighborhood"] | Pairing
)
"""A rule by name, or an object."""

CommittedArgument: TypeAlias = Mapping[str, float | str | Iterable[Any]]
"""For each name a count, a share, either with a placement, or nodes."""

SeedArgument: TypeAlias = int | np.integer[Any] | np.random.Generator | random.Random
"""A seed, or a generator to draw one from."""

RewireArgument: TypeAlias = int | tuple[int, float] | str
"""After how many misses an edge is dropped, perhaps with a probability; as text ``3:0.5``."""

Until: TypeAlias = Literal["converged", "agreed", "flipped"] | None
"""When a run stops."""

EngineArgument: TypeAlias = Literal["auto", "python", "kernel"]
"""What plays; the rows are the same."""


class GameArguments(TypedDict, total=False):
    """The arguments of ``NamingGame`` besides reporters, for the signature of a subclass.

    ``NamingGame`` says what each is::

        class Patient(NamingGame):
            def __init__(self, patience: int = 3, **game: Unpack[GameArguments]) -> None:
                super().__init__(**game)
                self.patience = patience
    """

    graph: GraphArgument
    names: NamesArgument
    mind: MindArgument
    pairing: PairingArgument
    memory: int
    reward: float
    penalty: float
    incumbent: str | None
    committed: CommittedArgument | None
    rng: SeedArgument | None
    rewire: RewireArgument | None
    run: int
    llm: LLMSettings | SharedCalls | Mapping[str, Any] | None
    capacity: int | None
    until: Until
    persona: str | Mapping[Any, str] | None
