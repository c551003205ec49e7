"""A population that plays: the ``NamingGame`` of a setting, within what the server allows.

``ServerSettings`` are fixed when the server starts, and nothing in a link can change them: a link
can neither open a file nor choose a live mind that the server was not started with, and it never
starts calls that cost money.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Hashable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mesa_llm_norms import compat
from mesa_llm_norms.agents import NamingAgent
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import RUNS
from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.llm.budget import Budget, read_limit
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Attempt
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.llm.weights import ready_models
from mesa_llm_norms.minds.mind import Situation
from mesa_llm_norms.minds.registry import mind_names, safe_name
from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.networks.reading import names_file
from mesa_llm_norms.networks.registry import size_limit
from mesa_llm_norms.simulation.results import default_folder
from mesa_llm_norms.simulation.serialization import parse_mind
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.web.frames import AgentDetails, Exchange, History, Source, Usage
from mesa_llm_norms.web.setting import Commitment, Edit, Setting

LIVE_ROUNDS = 50
"""Rounds after which play with live minds stops, unless the setting says otherwise."""

FREE_ROUNDS = 100_000


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What a server offers besides recorded minds and built-in topologies.

    ``replay`` is the folder of a recorded run to show, ``scenes`` one of additional scenes;
    ``minds`` are the live minds and mind files, ``topologies`` the graph files that may be chosen.
    Runs with live minds are saved in ``folder``. All viewers together make at most ``budget_calls``
    calls, which cost at most ``budget_usd`` US dollars, unlimited by default.
    """

    replay: Path | None = None
    scenes: Path | None = None
    minds: tuple[str, ...] = ()
    topologies: tuple[str, ...] = ()
    folder: Path = RUNS
    budget_calls: int = 2_000
    budget_usd: float | None = None


_settings = ServerSettings()
_budget = Budget()
"""What live minds may use on this page, over all populations."""
_folders = threading.Lock()
"""Held while a folder is chosen and made: two viewers may start the same setting at once."""
_claims = threading.Lock()
_edges_shown = 0


def server_settings() -> ServerSettings:
    """Return the settings of this process."""
    return _settings


def configure_server(settings: ServerSettings) -> None:
    """Replace the settings of this process; nothing of the budget is used then."""
    global _settings, _budget
    _settings = settings
    _budget = Budget(read_limit(calls=settings.budget_calls, usd=settings.budget_usd))


def check_setting(setting: Setting) -> tuple[Spec, int, int]:
    """Return the spec of a setting, and the number of agents and edges of its network.

    Raises an error of this package if the setting is invalid, too large to show, or names a file or
    live mind that the server was not started with; that is checked before anything is read or made.
    """
    check_permission(setting)
    spec = setting.spec()
    if len(spec.game.pool) not in limits.SHOWN_NAMES:
        raise SpecError(
            "names",
            setting.names,
            f"{len(spec.game.pool):,} names are too many for the page",
            f"Use {limits.SHOWN_NAMES.range}; run_ensemble plays larger pools.",
        )
    most_agents, most_edges = limits.SHOWN_AGENTS.high, limits.SHOWN_EDGES.high
    with size_limit(most_agents, most_edges):
        neighbors = spec.initial_state().neighbors
    agents, edges = len(neighbors), len(neighbors.indices) // (2 - neighbors.directed)
    if agents > most_agents or edges > most_edges:  # of a file
        raise SpecError(
            "topology",
            setting.topology,
            f"{agents:,} agents and {edges:,} edges are too many for the page",
            f"Show at most {most_agents:,} and {most_edges:,}; run_ensemble plays larger networks.",
        )
    return spec, agents, edges


def check_permission(setting: Setting) -> None:
    """Raise ``SpecError`` for a file or live mind that the server was not started with."""
    allowed = server_settings()
    if names_file(setting.topology) and setting.topology not in allowed.topologies:
        raise SpecError(
            "topology",
            setting.topology,
            "a link cannot open graph files",
            "Start the page with the file: mesa-llm-norms app --topology FILE.",
        )
    minds = parse_mind(setting.mind)
    for name in [minds] if isinstance(minds, str) else list(minds):
        if name not in (*mind_names(), *ready_models(), *allowed.minds):
            raise SpecError(
                "mind",
                safe_name(name),
                f"{safe_name(name)!r} is not available on this page",
                f"Start the page with it: mesa-llm-norms app --mind {safe_name(name)}.",
            )


class ModelSource(Source):
    """A ``NamingGame``, or a model of a subclass, that plays a setting from its start.

    Raises what ``check_setting`` raises. Edits and moment of the setting are for the player.
    """

    def __init__(self, setting: Setting, model_type: type[NamingGame] = NamingGame) -> None:
        spec, agents, edges = check_setting(setting)
        self._edges = 0
        self._claim(setting, edges)
        try:
            self.model = (
                _live_model(model_type, spec, agents)
                if spec.live
                else model_type(**spec.arguments())
            )
        except BaseException:
            self._release()
            raise
        rounds = setting.rounds or (LIVE_ROUNDS if spec.live else FREE_ROUNDS)
        super().__init__(self.model.network.G, self.model.game, len(self.model.players), rounds)
        self.free = not spec.live
        self._last: dict[Hashable, tuple[int, int]] = {}
        """The last interaction of each agent, and whether it was its first or second player."""

    @property
    def converged(self) -> bool:  # type: ignore[override]
        """Whether the population has converged."""
        return self.model.converged

    @property
    def agreed(self) -> bool:  # type: ignore[override]
        """Whether the population has agreed on a name."""
        return self.model.agreed

    @property
    def between_rounds(self) -> bool:  # type: ignore[override]
        """Whether the last population round started is complete."""
        return self.model.between_rounds

    @property
    def usage(self) -> Usage | None:  # type: ignore[override]
        """Calls so far, where there are live minds."""
        if self.model.client is None:
            return None
        total = self.model.client.usage
        return Usage(total.calls, total.input_tokens + total.output_tokens, total.cost)

    def committed(self) -> dict[Hashable, str]:
        """Return the nodes of committed agents and their names."""
        return {
            agent.node: agent.committed
            for agent in self.model.players
            if agent.committed is not None
        }

    def play(self) -> Generator[Interaction, None, None]:
        """Yield interactions as they are played; closing the generator stops play."""
        with closing(self.model.play()) as rows:
            for row in rows:
                self._last[row.node_a] = row.interaction, 0
                self._last[row.node_b] = row.interaction, 1
                yield row

    def change(self, edit: Edit) -> bool:
        """Apply a change made by hand; raise ``SpecError`` if it cannot be made."""
        if isinstance(edit, Commitment):
            agent = self.model.agent_on(self.node(edit.place))
            if edit.name is None:
                agent.release()
            else:
                agent.commit(edit.name)
            return False
        network = self.model.network
        u, v = self.node(edit.place), self.node(edit.other)
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
                "edit",
                edit.text,
                "removing this edge would isolate an agent",
                "Connect the agent to another one first.",
            )
        return True

    def details(self, index: int, history: History) -> AgentDetails:
        """Return what the page shows about an agent now."""
        agent = self.model.agent_on(self.node(index))
        return self.describe(
            index,
            history,
            mind=agent.uncommitted,
            committed=agent.committed,
            memory=agent.memory,
            held=lambda node: self.model.agent_on(node).name,
            asked=self._next_prompt(agent),
            exchange=self._exchange(agent),
        )

    def interrupt(self) -> None:
        """Stop ``play`` where it waits for minds."""
        self.model.interrupt()

    def close(self) -> None:
        """Release the journal and connections of live minds once calls under way have ended."""
        self._release()
        self.model.close()
        compat.forget_model(self.model)

    def _claim(self, setting: Setting, edges: int) -> None:
        global _edges_shown
        with _claims:
            if _edges_shown + edges not in limits.SHOWN_EDGES_TOGETHER:
                raise SpecError(
                    "topology",
                    setting.topology,
                    "the viewers of this page see as many large networks as it can show",
                    "Use a smaller network, or wait until others have left.",
                )
            _edges_shown += edges
            self._edges = edges

    def _release(self) -> None:
        global _edges_shown
        with _claims:
            _edges_shown, self._edges = _edges_shown - self._edges, 0

    def _next_prompt(self, agent: NamingAgent) -> str | None:
        """Return what a live mind would be asked now; names are shuffled for each call."""
        if not isinstance(agent.mind, LiveMind):
            return None
        stream = RandomStream(self.model.spec.seed, 0)
        situation = Situation(self.model.game, agent.memory, 0, stream, self.model.interactions, 0)
        return "\n\n".join(agent.mind.prompt(situation))

    def _exchange(self, agent: NamingAgent) -> Exchange | None:
        client, last = self.model.client, self._last.get(agent.node)
        if client is None or last is None:
            return None
        calls = [call for call in client.journal.attempts_of(0, last[0]) if call.seat == last[1]]
        return exchange(calls[-1], client.journal) if calls else None


def _live_model(model_type: type[NamingGame], spec: Spec, agents: int) -> NamingGame:
    """Return a model with a folder of its own, whose calls count in the budget of the page."""
    allowed = server_settings()
    with _folders:
        llm = LLMSettings(
            folder=default_folder(spec, agents, within=allowed.folder),
            budget_calls=allowed.budget_calls,
            budget_usd=allowed.budget_usd,
        )
        model = model_type(llm=llm, **spec.arguments())
    if model.client is not None:
        model.client.budget.join(_budget)
    return model


def exchange(call: Attempt, journal: Journal) -> Exchange:
    """Return what the page shows of a call in the journal."""
    return Exchange(
        call.system,
        call.user,
        call.reply,
        call.problem or "",
        (call.input_tokens or 0, call.output_tokens or 0),
        call.latency or 0.0,
        journal.distribution_of(call.attempt) or (),
    )
