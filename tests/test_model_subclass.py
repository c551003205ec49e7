"""Subclasses as Mesa's users write them: their arguments, minds, agents and steps."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import mesa
import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mesa.discrete_space import CellAgent, Network
from mesa_steps import steps_of

from mesa_llm_norms import LLMSettings, NamingAgent, NamingGame, load_mind
from mesa_llm_norms.errors import JournalError, MindError, SpecError
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import LiveMind, Question, Reply
from mesa_llm_norms.minds.mind import Decision, Mind, Situation
from mesa_llm_norms.simulation.resuming import _plain, _read
from mesa_llm_norms.testing import FakeProvider, check_mind
from models.tipping_point.model import TippingPointModel


class Passing(NamingGame):
    """Passes on what it does not know, as the documentation has it."""

    def __init__(self, *args: Any, every: Any = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.every = every


class Deciding(NamingGame):
    """Takes no argument of the game by name, and makes its mind itself."""

    def __init__(
        self, size: int, spice: Any = None, seed_of_mine: int = 0, llm: Any = None
    ) -> None:
        self.provider = FakeProvider()
        super().__init__(f"ring(n={size})", "QM", self.provider.mind(), rng=seed_of_mine, llm=llm)
        self.size, self.spice = size, spice


class Rewiring(NamingGame):
    """Moves an edge after every other step."""

    def step(self) -> None:
        super().step()
        if steps_of(self) % 2:
            graph = self.network.G
            u, v = next(iter(graph.edges))
            far = [node for node in graph if node != u and node not in graph[u]]
            graph.remove_edge(u, v)
            graph.add_edge(u, far[steps_of(self) % len(far)])


# Resuming


def test_resume_gives_a_subclass_its_own_arguments(tmp_path: Path) -> None:
    provider = FakeProvider()
    given: dict[str, Any] = {
        "minority": 3,
        "placement": "hubs",
        "leave": False,
        "mind": provider.mind(),
        "rng": 4,
    }
    model = TippingPointModel("ring(n=10)", llm=LLMSettings(folder=tmp_path / "run"), **given)
    model.step()
    model.close()
    again = TippingPointModel.resume(tmp_path / "run", mind=provider.mind())
    assert isinstance(again, TippingPointModel)
    assert again.leave is False
    assert again.spec.committed == {"M": (3, "hubs")}
    assert again.spec.graph == "ring(n=10)"
    asked = len(provider.asked)
    again.step()
    assert len(provider.asked) == asked
    again.close()


@pytest.mark.parametrize("rng", [5, None, np.random.default_rng(3)])
def test_resume_knows_what_was_passed_on(tmp_path: Path, rng: Any) -> None:
    provider = FakeProvider()
    folder, every = tmp_path / "run", ((1, "a"), {2: [0.5, None]})
    model = Passing(
        "ring(n=8)",
        "QM",
        provider.mind(),
        "edge",
        every=every,
        rng=rng,
        run=2,
        llm={"folder": folder},
    )
    model.step()
    rows = model.rows
    model.close()
    again = Passing.resume(folder, mind=provider.mind())
    assert again.every == every
    again.step()
    assert again.rows == rows
    assert again.rows[0].run == 2
    again.close()


def test_resume_of_a_class_that_makes_its_mind_itself_needs_nothing(tmp_path: Path) -> None:
    model = Deciding(6, spice="mild", seed_of_mine=9, llm=LLMSettings(folder=tmp_path / "run"))
    model.step()
    rows = model.rows
    model.close()
    again = Deciding.resume(tmp_path / "run")
    assert (again.size, again.spice) == (6, "mild")
    again.step()
    assert again.rows == rows
    assert not again.provider.asked
    again.close()


def test_what_no_journal_can_hold_has_to_be_given_again(tmp_path: Path) -> None:
    spice = object()
    model = Deciding(6, spice, llm=LLMSettings(folder=tmp_path / "run"))
    model.step()
    model.close()
    with pytest.raises(JournalError, match=r"spice \(a object\).*resume\(folder, spice="):
        Deciding.resume(tmp_path / "run")
    again = Deciding.resume(tmp_path / "run", spice=spice)
    assert again.spice is spice
    again.close()
    with pytest.raises(JournalError, match=r"it is that of Deciding"):
        Passing.resume(tmp_path / "run")
    with pytest.raises(JournalError, match=r"graph was 'ring\(n=6\)'"):
        Deciding.resume(tmp_path / "run", size=7, spice=spice)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers() | st.text())
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner)
    ),
    max_leaves=8,
)


@given(plain)
def test_what_is_written_of_an_argument_is_read_as_it_was(value: Any) -> None:
    import json

    read = _read(json.loads(json.dumps(_plain(value))))
    assert read == value
    assert type(read) is type(value)


# Live minds


class Polite(LiveMind):
    """Adds a word to every prompt."""

    word = "please"

    def prompt(self, situation: Situation) -> Prompt:
        system, user = super().prompt(situation)
        return Prompt(system, f"{user} {self.word}")


def test_a_live_mind_of_ones_own_asks_its_own_question() -> None:
    provider = FakeProvider()
    mind = Polite(provider)
    mind.word = "kindly"
    model = NamingGame("ring(n=6)", "QM", mind, rng=1)
    model.step()
    assert all(question.prompt.user.endswith(" kindly") for question in provider.asked)
    assert mind.client is None
    assert isinstance(model.agent_on(0).mind, Polite)
    model.close()


def test_a_live_mind_of_ones_own_is_not_resumed_as_another(tmp_path: Path) -> None:
    mind = Polite(FakeProvider(label="claude:claude-test-1"))
    model = NamingGame("ring(n=6)", "QM", mind, rng=1, llm={"folder": tmp_path / "run"})
    model.step()
    model.close()
    with pytest.raises(MindError):
        NamingGame.resume(tmp_path / "run")


def test_a_run_that_rewires_makes_no_more_calls_than_its_steps() -> None:
    asked = []
    for stepping in (True, False):
        provider = FakeProvider()
        model = Rewiring("ring(n=12, k=4)", "QM", provider.mind(), rng=1)
        if stepping:
            for _ in range(6):
                model.step()
        else:
            model.run(6, until=None)
        asked.append(len(provider.asked))
        assert model.discarded == 0
        model.close()
    assert asked[0] == asked[1]


class Counting(Mind):
    label = "counting"

    def __init__(self) -> None:
        self.asked = 0

    async def decide(self, situation: Situation) -> Decision:
        self.asked += 1
        return Decision(situation.game.pool[self.asked // 7 % 2])


def test_a_mind_that_counts_breaks_the_contract() -> None:
    with pytest.raises(MindError, match="when asked again in the same situation"):
        check_mind(Counting())


# Who is where


class Leaving(NamingAgent):
    """Leaves after its first interaction."""

    def remember(self, own: str, partner: str) -> None:
        super().remember(own, partner)
        if not self.gone and len(self.model.players) > 3:
            self.remove()


class Dwindling(NamingGame):
    player_type = Leaving


@pytest.mark.parametrize("live", [False, True])
def test_who_leaves_in_a_round_plays_no_more_and_is_not_asked(live: bool) -> None:
    provider = FakeProvider()
    mind = provider.mind() if live else "uniform"
    model = Dwindling("complete(n=9)", "QM", mind, rng=1)
    model.step()
    played = [node for row in model.rows for node in (row.node_a, row.node_b)]
    left = set(model.network.G) - {agent.node for agent in model.players}
    assert len(left) == 6
    assert all(played.count(node) == 1 for node in left)
    assert model.skipped == 9 - len(model.rows)
    if live:
        assert len(provider.asked) == 2 * len(model.rows)
    model.step()
    assert not left & {node for row in model.rows for node in (row.node_a, row.node_b)}
    model.close()


def test_other_agents_may_stand_where_a_player_is() -> None:
    model = NamingGame("ring(n=6)", "QM", rng=1, capacity=2)
    guest: Any = CellAgent(model)
    model.agent_on(3).remove()
    guest.cell = model.cell_of(3)
    with pytest.raises(KeyError):
        model.agent_on(3)
    NamingAgent(model, 3, "uniform")
    assert isinstance(model.agent_on(3), NamingAgent)
    other: Any = CellAgent(model)
    other.cell = model.cell_of(0)
    model.step()
    assert len(model.names_held) == 6
    with pytest.raises(SpecError, match="taken"):
        NamingAgent(model, 3, "uniform")
    model.agent_on(0).remove()
    third: Any = CellAgent(model)
    third.cell = model.cell_of(0)
    with pytest.raises(SpecError, match="capacity=None"):
        NamingAgent(model, 0, "uniform")
    with pytest.raises(SpecError, match="there is no node 77"):
        NamingAgent(model, 77, "uniform")
    with pytest.raises(SpecError, match="capacity"):
        NamingGame("ring(n=6)", capacity=0)


class Gated(FakeProvider):
    """A model that says when it is asked, and waits until it may answer."""

    def __init__(self) -> None:
        super().__init__()
        self.was_asked, self.may_answer = threading.Event(), threading.Event()

    async def ask(self, question: Question) -> Reply:
        self.was_asked.set()
        while not self.may_answer.is_set():
            await asyncio.sleep(0.01)
        return await super().ask(question)


def test_two_threads_cannot_play_one_model() -> None:
    provider = Gated()
    model = NamingGame("ring(n=12)", "QM", provider.mind(), rng=1)
    problems = []

    def watch() -> None:
        provider.was_asked.wait()
        try:
            for play in (model.step, lambda: model.run(1, until=None), lambda: next(model.play())):
                with pytest.raises(SpecError, match="already playing") as problem:
                    play()
                problems.append(problem)
        finally:
            provider.may_answer.set()

    other = threading.Thread(target=watch)
    other.start()
    model.step()
    other.join()
    assert len(problems) == 3
    model.step()
    model.close()


# What is given


def test_a_mind_may_be_given_by_its_name_later_too() -> None:
    model = NamingGame("ring(n=6)", "QM", rng=1)
    model.agent_on(0).mind = "unbiased"
    assert model.agent_on(0).mind.label == load_mind("unbiased").label
    model.step()
    with pytest.raises(MindError, match="7 is not a mind"):
        model.agent_on(1).mind = 7
    with pytest.raises(MindError):
        model.agent_on(1).mind = "no such mind"


@pytest.mark.parametrize(
    "graph",
    [
        [(0, 1), (1, 2), (2, 3), (3, 0)],
        ((0, 1, 1), (1, 2, 1.0), (2, 3, 1), (3, 0, 1)),
        {0: [1, 3], 1: [0, 2], 2: [3], 3: []},
        np.array([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]]),
        nx.cycle_graph(4),
    ],
    ids=["edges", "weighted edges", "neighbors", "matrix", "networkx"],
)
def test_a_graph_may_be_given_in_any_form_that_has_one_meaning(graph: Any, tmp_path: Path) -> None:
    provider = FakeProvider()
    model = NamingGame(graph, "QM", provider.mind(), rng=1, llm={"folder": tmp_path / "run"})
    assert set(map(frozenset, model.network.G.edges)) == set(
        map(frozenset, nx.cycle_graph(4).edges)
    )
    model.step()
    model.close()
    again = NamingGame.resume(tmp_path / "run", mind=provider.mind())
    again.step()
    assert again.rows == model.rows
    again.close()


def test_the_network_of_mesa_is_a_graph_and_stays_as_it_is() -> None:
    network = Network(nx.cycle_graph(6), random=mesa.Model().random)
    model = NamingGame(network, "QM", rng=1)
    model.step()
    assert model.network is not network
    assert nx.utils.graphs_equal(network.G, nx.cycle_graph(6))


@pytest.mark.parametrize("graph", [[], [(0,)], [1, 2], {}, {0: 1}, [([], 1)], np.ones((2, 3)), 5])
def test_what_is_no_graph_is_refused_with_the_forms_there_are(graph: Any) -> None:
    with pytest.raises(SpecError, match=r"\[\(0, 1\), \.\.\.\]"):
        NamingGame(graph, "QM")


def test_settings_of_calls_may_be_a_mapping() -> None:
    model = NamingGame("ring(n=6)", "QM", FakeProvider().mind(), llm={"budget_calls": 7})
    assert model.client is not None
    assert model.client.llm == LLMSettings(budget_calls=7)
    model.close()
    with pytest.raises(SpecError, match="did you mean 'budget_calls'"):
        NamingGame(llm={"budget_call": 7})
    with pytest.raises(SpecError, match="is not settings of calls"):
        NamingGame(llm=7)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="called llm here"):
        NamingGame(calls={"budget_calls": 7})  # type: ignore[call-arg]


def test_a_step_without_a_round_is_warned_of_once_it_was_taken() -> None:
    class Shuffling(NamingGame):
        def step(self) -> None:
            self.agents.shuffle_do("step")

    with pytest.warns(UserWarning, match=r"Shuffling\.step played nothing.*super\(\)\.step\(\)"):
        Shuffling("ring(n=6)", "QM").step()


def test_the_goal_of_mesas_own_runs_is_an_argument() -> None:
    given: dict[str, Any] = {"graph": "complete(n=12)", "names": "QM", "rng": 5}
    model = NamingGame(**given, incumbent="Q", committed={"M": 5}, until="flipped")
    model.run_model()
    assert model.outcome.flipped
    assert not model.running
    endless = NamingGame(**given, until=None)
    for _ in range(40):
        endless.step()
    assert endless.converged
    assert endless.running
    with pytest.raises(SpecError, match="nobody is committed"):
        NamingGame(**given, until="flipped")
    with pytest.raises(SpecError, match="not a valid stopping rule"):
        NamingGame(**given, until="sometime")  # type: ignore[arg-type]


def test_mesa_finds_arguments_and_space() -> None:
    import inspect

    names = list(inspect.signature(Passing.__init__).parameters)
    assert names[:4] == ["self", "graph", "names", "mind"]
    assert "every" in names
    assert "kwargs" not in names
    assert Passing("ring(n=6)", "QM", every=3, rng=1).every == 3
    assert "reward" in inspect.signature(TippingPointModel.__init__).parameters
    model = NamingGame("ring(n=6)", "QM")
    assert model.grid is model.network
