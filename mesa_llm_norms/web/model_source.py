"""What whoever starts the page allows on it; nothing in a link can change that.

What a link may ask of the computer that serves the page: no files, no calls that cost.

A population that plays: a ``NamingGame`` of the setting on a page.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import networkx as nx

from mesa_llm_norms.agents import NamingAgent
from mesa_llm_norms.core.files import RUNS
from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.llm.journal.tables import Attempt
from mesa_llm_norms.llm.mind import LiveMind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Policy, Situation
from mesa_llm_norms.minds.registry import mind_names
from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.networks.graph_files import names_file
from mesa_llm_norms.networks.registry import parse
from mesa_llm_norms.simulation.results import default_folder
from mesa_llm_norms.simulation.serialization import read_mind
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.web.frames import Card, Choice, Exchange, Partner, Record, Usage
from mesa_llm_norms.web.setting import Commitment, Edit, Setting


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """What a page offers beside recorded minds and built-in topologies.

    ``replay`` is the folder of a run to be looked at, ``scenes`` one with scenes of one's own,
    ``minds`` the live minds and mind files that may be chosen, ``topologies`` the graph files.
    Runs with live minds are kept in ``folder``, and each makes at most ``budget_calls`` calls and
    costs at most ``budget_usd`` US dollars, if that is given.
    """

    replay: Path | None = None
    scenes: Path | None = None
    minds: tuple[str, ...] = ()
    topologies: tuple[str, ...] = ()
    folder: Path = RUNS
    budget_calls: int = 2_000
    budget_usd: float | None = None


_current = Hosting()


def hosting() -> Hosting:
    """Return what is allowed in this process."""
    return _current


def host(allowed: Hosting) -> None:
    """Allow this from now on."""
    global _current
    _current = allowed


def check_permission(setting: Setting) -> None:
    """Raise ``SpecError`` for files and live minds that whoever started the page did not name.

    To be called before anything of the setting is read.
    """
    allowed = hosting()
    if names_file(setting.topology) and setting.topology not in allowed.topologies:
        raise SpecError(
            "topology",
            setting.topology,
            "graph files are not opened from a link",
            "Start the page with it: mesa-llm-norms app --topology FILE.",
        )
    given = read_mind(setting.mind)
    for name in [given] if isinstance(given, str) else list(given):
        if name not in (*mind_names(), *allowed.minds):
            raise SpecError(
                "mind",
                name,
                f"{name!r} is not offered on this page",
                f"Start the page with it: mesa-llm-norms app --mind {name}.",
            )


MOST_AGENTS = 1_000
"""Larger populations are not shown, for nobody could tell their agents apart."""


LIVE_ROUNDS = 50
"""After how many rounds play with live minds stops by itself, where the setting does not say."""


FREE_ROUNDS = 100_000


class ModelSource:
    """The model of a setting, at its start; ``model_type`` is ``NamingGame`` or a subclass.

    Raises what ``check_setting`` raises.
    """

    def __init__(self, setting: Setting, model_type: type[NamingGame] = NamingGame) -> None:
        spec, agents = check_setting(setting)
        arguments = {field.name: getattr(spec, field.name) for field in fields(spec)}
        self.model = model_type(rng=arguments.pop("seed"), llm=_calls(spec, agents), **arguments)
        self.rounds = setting.rounds or (LIVE_ROUNDS if spec.live else FREE_ROUNDS)
        self.nodes: tuple[Hashable, ...] = tuple(self.model.network.G)
        self._place = {node: place for place, node in enumerate(self.nodes)}
        self._last: dict[Hashable, tuple[int, int]] = {}

    @property
    def graph(self) -> nx.Graph[Any]:
        """The network as it is now."""
        graph: nx.Graph[Any] = self.model.network.G
        return graph

    @property
    def pool(self) -> tuple[str, ...]:
        """The names that may be played."""
        return self.model.game.pool

    @property
    def agents(self) -> int:
        """How many agents play: N."""
        return len(self.model.players)

    @property
    def converged(self) -> bool:
        """Whether the population has converged."""
        return self.model.converged

    @property
    def free(self) -> bool:
        """Whether play costs nothing, so that a link may have it played."""
        return self.model.client is None

    @property
    def between_rounds(self) -> bool:
        """Whether the last population round that was begun is over."""
        return self.model.between_rounds

    @property
    def usage(self) -> Usage | None:
        """What calls came to, where there are live minds."""
        if self.model.client is None:
            return None
        total = self.model.client.usage
        return Usage(total.calls, total.input_tokens + total.output_tokens, total.cost)

    @property
    def length(self) -> int | None:
        """Nobody knows how long the run will be."""
        return None

    def committed(self) -> dict[Hashable, str]:
        """Return who is committed now, and to which name."""
        return {
            agent.node: agent.committed
            for agent in self.model.players
            if agent.committed is not None
        }

    def play(self) -> Generator[Interaction, None, None]:
        """Yield one interaction after the other; to stop asking is to stop playing."""
        with closing(self.model.play()) as rows:
            for row in rows:
                self._last[row.node_a] = row.interaction, 0
                self._last[row.node_b] = row.interaction, 1
                yield row

    def change(self, edit: Edit) -> bool:
        """Make a change by hand; raise ``SpecError`` for one that cannot be made."""
        if isinstance(edit, Commitment):
            agent = self.model.agent_on(self._node(edit.place))
            if edit.name is None:
                agent.release()
            else:
                agent.commit(edit.name)
            return False
        network = self.model.network
        u, v = self._node(edit.place), self._node(edit.other)
        if u == v or network.G.has_edge(u, v) is edit.there:
            return False
        cells = network[u], network[v]  # type: ignore[index]
        if edit.there:
            network.add_connection(*cells)
            return True
        network.remove_connection(*cells)
        if not all(network.G.degree(node) for node in (u, v)):
            network.add_connection(*cells)
            raise SpecError(
                "edit", edit.text, "an agent would be left alone", "Tie it to others first."
            )
        return True

    def card(self, place: int, record: Record) -> Card:
        """Return all there is to know about the agent in a place now."""
        agent = self.model.agent_on(self._node(place))
        game, memory, mind = self.model.game, agent.memory, agent.mind
        return Card(
            place=place,
            node=str(agent.node),
            mind=agent.uncommitted.label,
            committed=agent.committed,
            name=agent.name,
            score=agent.score,
            memory=tuple((own, partner, game.payoff(own, partner)) for own, partner in memory),
            choices=(
                tuple(map(Choice, game.pool, map(float, mind.distribution(memory, game.pool))))
                if isinstance(mind, Policy)
                else None
            ),
            asked=self._asked(agent) if isinstance(mind, LiveMind) else None,
            exchange=self._exchange(agent),
            partners=self._partners(place, agent, record),
        )

    def interrupt(self) -> None:
        """Have ``play`` stop where it waits for minds."""
        self.model.interrupt()

    def close(self) -> None:
        """Let go of the journal and the connections of live minds, once calls under way ended."""
        self.model.close()

    def _node(self, place: int) -> Hashable:
        if not 0 <= place < len(self.nodes):
            raise SpecError(
                "place", place, f"there is no agent {place}", f"Use 0 to {len(self.nodes) - 1}."
            )
        return self.nodes[place]

    def _partners(self, place: int, agent: NamingAgent, record: Record) -> tuple[Partner, ...]:
        found = []
        for node in list(self.graph.adj[agent.node]):
            other = self._place[node]
            met, matched = record.meetings.get((min(place, other), max(place, other)), (0, 0))
            name = self.model.agent_on(node).name
            found.append(Partner(other, str(node), name, met, matched))
        return tuple(found)

    def _asked(self, agent: NamingAgent) -> str:
        """Return the prompt the agent would get now; the order of names is drawn for each."""
        assert isinstance(agent.mind, LiveMind)
        stream = RandomStream(self.model.spec.seed, 0)
        situation = Situation(self.model.game, agent.memory, 0, stream, self.model.interactions, 0)
        return "\n\n".join(agent.mind.prompt(situation))

    def _exchange(self, agent: NamingAgent) -> Exchange | None:
        client, last = self.model.client, self._last.get(agent.node)
        if client is None or last is None:
            return None
        calls = [call for call in client.journal.attempts_of(0, last[0]) if call.seat == last[1]]
        return exchange(calls[-1]) if calls else None


def check_setting(setting: Setting) -> tuple[Spec, int]:
    """Return the spec of a setting, and how many agents there are.

    Raises an error of this package for what cannot be played, or may not be on this page.
    """
    check_permission(setting)
    spec = setting.spec()
    agents = _agents_at_least(setting.topology)
    if agents <= MOST_AGENTS:
        agents = len(spec.initial_state().neighbors)
    if agents > MOST_AGENTS:
        raise SpecError(
            "topology",
            setting.topology,
            f"{agents:,} agents are too many to look at",
            f"Show up to {MOST_AGENTS:,}; run_ensemble plays more.",
        )
    return spec, agents


def _agents_at_least(topology: str) -> int:
    """Return the largest whole number in a topology's text, for no graph has fewer nodes than that.

    So nothing huge is made, only to be refused.
    """
    if names_file(topology):
        return 0
    call = parse(topology)
    return max((n for n in (*call.args, *call.kwargs.values()) if isinstance(n, int)), default=0)


def exchange(call: Attempt) -> Exchange:
    """Return what is shown of a call on record."""
    return Exchange(
        call.system,
        call.user,
        call.reply,
        call.problem or "",
        (call.input_tokens or 0, call.output_tokens or 0),
        call.latency or 0.0,
    )


def _calls(spec: Spec, agents: int) -> LLMSettings | None:
    if not spec.live:
        return None
    return LLMSettings(
        folder=default_folder(spec, agents, within=hosting().folder),
        budget_calls=hosting().budget_calls,
        budget_usd=hosting().budget_usd,
    )
