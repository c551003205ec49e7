"""A population that plays: the ``NetworkGame`` of a setting, within what the server allows.

``ServerSettings`` are fixed when the server starts, and nothing in a link can change them: a link
can neither open a file nor choose a live mind that the server was not started with, and it never
starts calls that cost money.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Generator, Hashable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from inspect import signature, unwrap
from pathlib import Path
from typing import Any, NamedTuple

from mesa_llm_norms import compat
from mesa_llm_norms.agents import NamingAgent
from mesa_llm_norms.classroom.classroom import Classroom
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import RUNS
from mesa_llm_norms.core.game import Memory, Row, keep
from mesa_llm_norms.core.metrics import COLUMNS
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.llm.budget import Budget, read_limit
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Attempt
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.llm.weights import ready_models
from mesa_llm_norms.minds.mind import Mind, Situation
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.minds.registry import mind_names, safe_name
from mesa_llm_norms.model import NamingGame, NetworkGame
from mesa_llm_norms.networks.reading import file_within, names_file
from mesa_llm_norms.networks.registry import size_limit
from mesa_llm_norms.simulation.results import default_folder
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.simulation.typed import parse_mind
from mesa_llm_norms.web.explained import Answer, Encounter, Part, answer_of
from mesa_llm_norms.web.frames import AgentDetails, Exchange, History, Source, Usage
from mesa_llm_norms.web.setting import GAME, Commitment, Edit, Setting

LIVE_ROUNDS = 50
"""Rounds after which play with live minds stops, unless the setting says otherwise."""

FREE_ROUNDS = 100_000

COLLECTED_ROWS = 2_000_000
"""Rows of agents that a model's data collector may have collected when play stops."""

IDLE_STEPS = 1_000
"""Steps of a model's own, in a row, that may play nothing."""

_DRAWN = "mesa_llm_norms drawing"


class Invitation(NamedTuple):
    """Where others reach the server, ``http://192.168.1.20:8765``, and the token they need.

    ``private`` says that only this computer can reach it.
    """

    origin: str
    token: str
    private: bool


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What a server offers besides recorded minds and built-in topologies.

    ``replay`` is the folder of a recorded run to show, ``scenes`` one of additional scenes;
    ``minds`` are the live minds and mind files, ``topologies`` the graph files that may be chosen.
    Runs with live minds are saved in ``folder``. All viewers together make at most ``budget_calls``
    calls, which cost at most ``budget_usd`` US dollars, unlimited by default. ``classroom`` is the
    class whose phones are served, if there is one, and ``invitation`` what links that are shared
    contain.
    """

    replay: Path | None = None
    scenes: Path | None = None
    minds: tuple[str, ...] = ()
    topologies: tuple[str, ...] = ()
    folder: Path = RUNS
    budget_calls: int = 2_000
    budget_usd: float | None = None
    classroom: Classroom | None = None
    invitation: Invitation | None = field(default=None, compare=False)


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
    opens = names_file(setting.topology) or file_within(setting.topology)
    if opens and setting.topology not in allowed.topologies:
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


def takes_steps_of_its_own(model_type: type[NetworkGame]) -> bool:
    """Whether a model does more in a step than play a round, so that only whole steps show it."""
    return model_type.step is not NetworkGame.step


def usual_setting(model_type: type[NetworkGame]) -> Setting:
    """Return the setting of a model whose arguments all have the defaults that its class states."""
    given = {
        "topology" if name == "graph" else name: parameter.default
        for name, parameter in signature(model_type.__init__).parameters.items()
    }
    fitting: dict[str, Any] = {
        name: (given[name],) if isinstance(usual, tuple) else given[name]
        for name, usual in vars(Setting()).items()
        if isinstance(given.get(name), str if isinstance(usual, tuple) else type(usual))
    }
    return Setting(**{name: fitting[name] for name in GAME if name in fitting})


def model_arguments(model_type: type[NetworkGame], spec: Spec) -> dict[str, Any]:
    """Return the arguments with which a model plays a spec.

    What its class does not name, and is as usual in the spec, is left to the class.
    """
    code = unwrap(model_type.__init__).__code__  # whose signature tells what is passed on, too
    named, usual = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], Spec().arguments()
    return {
        name: value
        for name, value in spec.arguments().items()
        if name in named or name == "rng" or value != usual.get(name)
    }


def make_model(model_type: type[NetworkGame], spec: Spec, **given: Any) -> NetworkGame:
    """Return a model that plays a spec; ``SpecError`` if its class decides an argument itself."""
    try:
        return model_type(**model_arguments(model_type, spec), **given)
    except TypeError as error:
        raise SpecError(
            "model",
            model_type.__qualname__,
            f"{model_type.__qualname__} does not take these settings ({error})",
            "Leave those that it decides itself as they were.",
        ) from error


class ModelSource(Source):
    """A ``NetworkGame``, or a model of a subclass, that plays a setting from its start.

    A model with a step of its own is played step by step, by that step. Raises what
    ``check_setting`` and ``make_model`` raise. Edits and moment of the setting are for the player.
    """

    def __init__(self, setting: Setting, model_type: type[NetworkGame] = NamingGame) -> None:
        spec, agents, edges = check_setting(setting)
        self._edges = 0
        self._claim(setting, edges)
        try:
            self.model: NetworkGame = (
                _live_model(model_type, spec, agents) if spec.live else make_model(model_type, spec)
            )
        except BaseException:
            self._release()
            raise
        rounds = setting.rounds or (LIVE_ROUNDS if spec.live else FREE_ROUNDS)
        self.whole_steps: bool = takes_steps_of_its_own(model_type) or compat.has_events(self.model)
        usual = (*COLUMNS, *(f"share_{name}" for name in self.model.game.pool))
        self._own = [name for name in self.model.datacollector.model_vars if name not in usual]
        agents = len(self.model.players)
        if self.whole_steps or self._own:  # what is collected of every agent stays in memory
            rounds = min(rounds, max(1, COLLECTED_ROWS // agents))
        super().__init__(self.model.network.G, self.model.game, agents, rounds)
        self.free: bool = not spec.live
        self._standing: dict[Hashable, tuple[NamingAgent, Mind, Memory]] = {}
        """Every agent, with what decides for it and what it remembers before it plays."""
        self._left = 0
        """Interactions of the last step that were not handed over yet."""
        self._changed = False
        self._seen: tuple[list[Hashable], list[Any]] = [], []
        self._seats: dict[Hashable, str | None] = {}
        self._look()

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
        """Whether the last population round started is complete, or the last step shown."""
        return not self._left if self.whole_steps else self.model.between_rounds

    @property
    def measures(self) -> Mapping[str, Sequence[Any]]:
        """What the model's own reporters said after each round."""
        collected = self.model.datacollector.model_vars
        return {name: collected[name] for name in self._own}

    @property
    def usage(self) -> Usage | None:  # type: ignore[override]
        """Calls so far, where there are live minds."""
        if self.model.client is None:
            return None
        total = self.model.client.usage
        return Usage(total.calls, total.input_tokens + total.output_tokens, total.cost)

    def committed(self) -> dict[Hashable, str]:
        """Return the nodes of committed agents and their names."""
        # In the middle of a step of the model's own, agents may be coming and going.
        seats = self._seats if self.whole_steps else self._seated()
        return {node: name for node, name in seats.items() if name is not None}

    def remembered(self) -> dict[Hashable, str]:
        """Return the nodes whose agents have a memory before they play, and their own last name."""
        return {
            agent.node: agent.memory[-1][0]
            for agent in self.model.players
            if agent.memory and agent.name is None
        }

    def absent(self) -> Collection[Hashable]:
        """Return the nodes without an agent."""
        return self._index.keys() - self._seats.keys()

    def take_change(self) -> bool:
        """Return whether the network changed since this was last asked."""
        changed, self._changed = self._changed, False
        return changed

    def play(self) -> Generator[Row | None, None, None]:
        """Yield interactions as they are played; closing the generator stops play.

        None is a step in which nothing was played.
        """
        with closing(self._steps() if self.whole_steps else self._rows()) as rows:
            self._stand()
            for row in rows:
                encounter = None if row is None else self._met(row)
                if encounter is not None:
                    self._note(encounter)
                yield row

    def change(self, edit: Edit) -> bool:
        """Apply a change made by hand; raise ``SpecError`` if it cannot be made."""
        changed = self._make(edit)
        self._look()
        self._changed = False
        return changed

    def _stand(self) -> None:
        self._standing = {
            agent.node: (agent, agent.mind, agent.memory) for agent in self.model.players
        }

    def _met(self, row: Row) -> Encounter | None:
        """Return an interaction with how its agents stood, and what each remembers after it.

        None if one of them came and went within a step of the model's own.
        """
        parts = []
        for seat, node in enumerate(row.nodes):
            if node not in self._standing:
                try:
                    agent = self.model.agent_on(node)
                except KeyError:
                    return None
                self._standing[node] = agent, agent.mind, ()
            agent, mind, before = self._standing[node]
            if self.whole_steps:  # which are over: what agents remember now came later
                past = self.referee.experience(row.names, seat)
                after = keep(before, past, self.game.memory)
                until = mind.until if isinstance(mind, CommittedMind) else None
                if until is not None and row.round >= until:
                    mind = agent.uncommitted
            else:
                mind, after = agent.mind, agent.memory
            self._standing[node] = agent, mind, after
            parts.append(Part(self._index[node], node, mind, before, after))
        return Encounter(row, tuple(parts), bool(self.model.spec.sees))

    def _rows(self) -> Generator[Row, None, None]:
        """Play interaction by interaction; the model's own reporters are asked after each round."""
        model = self.model
        with closing(model.play()) as rows:
            for row in rows:
                if self._own and model.between_rounds:
                    model.datacollector.collect(model)
                if not model.network_unchanged:
                    self._look()
                yield row

    def _steps(self) -> Generator[Row | None, None, None]:
        """Play whole steps, which are over by the time their interactions are handed over."""
        idle = 0
        while True:
            rows: list[Row] = []
            failure = None
            self._stand()
            try:
                self.model.step_into(rows)
            except Exception as error:
                failure = error
            self._look()
            idle = 0 if rows else idle + 1
            if idle == IDLE_STEPS:
                raise SpecError(
                    "step",
                    type(self.model).__qualname__,
                    f"{IDLE_STEPS:,} steps in a row played no interaction",
                    "Have the model's step call super().step(), which plays a round.",
                )
            for place, row in enumerate(rows, 1):
                self._left = len(rows) - place
                yield row
            if failure is not None:
                raise failure
            if not rows:
                yield None

    def _look(self) -> None:
        """See who is where, and whether the network changed."""
        graph = self.model.network.G
        self._seats = self._seated()
        if not compat.is_marked(graph, _DRAWN):
            self.notice_nodes()
            compat.mark_graph(graph, _DRAWN)
            self._changed = True

    def _seated(self) -> dict[Hashable, str | None]:
        return {agent.node: agent.committed for agent in self.model.players}

    def _agent(self, index: int) -> NamingAgent:
        node = self.node(index)
        try:
            return self.model.agent_on(node)
        except KeyError:
            raise SpecError(
                "place", index, f"nobody is on node {shown(node)}", "Choose another node."
            ) from None

    def _make(self, edit: Edit) -> bool:
        if isinstance(edit, Commitment):
            agent = self._agent(edit.place)
            if edit.name is None:
                agent.release()
            else:
                agent.commit(edit.name)
            return False
        network = self.model.network
        u, v = self._agent(edit.place).node, self._agent(edit.other).node
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

    def details(self, index: int, history: History) -> AgentDetails | None:
        """Return what the page shows about an agent now; None where there is none."""
        try:
            agent = self._agent(index)
        except SpecError:
            return None
        return self.describe(
            index,
            history,
            mind=agent.uncommitted,
            committed=agent.mind if isinstance(agent.mind, CommittedMind) else None,
            memory=agent.memory,
            held=self.model.names_held.get,
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
        return "\n\n".join(agent.mind.sent(situation))

    def answers(self, encounter: Encounter) -> Sequence[Answer | None]:
        """Return what live minds answered in an interaction, by seat; may block for a moment."""
        client, number = self.model.client, encounter.row.interaction
        if client is None:
            return ()
        return [answer_of(client.journal, 0, number, seat) for seat in range(len(encounter.parts))]

    def _exchange(self, agent: NamingAgent) -> Exchange | None:
        client, last = self.model.client, self._encounters.get(agent.node)
        if client is None or last is None:
            return None
        number, seat = last.row.interaction, last.row.nodes.index(agent.node)
        calls = [call for call in client.journal.attempts_of(0, number) if call.seat == seat]
        return exchange(calls[-1], client.journal) if calls else None


def _live_model(model_type: type[NetworkGame], spec: Spec, agents: int) -> NetworkGame:
    """Return a model with a folder of its own, whose calls count in the budget of the page."""
    allowed = server_settings()
    with _folders:
        llm = LLMSettings(
            folder=default_folder(spec, agents, within=allowed.folder),
            budget_calls=allowed.budget_calls,
            budget_usd=allowed.budget_usd,
        )
        model = make_model(model_type, spec, llm=llm)
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
