"""One interaction explained: what is told of it is what was so when it was played."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.core.game import Remembered
from mesa_llm_norms.minds import CommittedMind
from mesa_llm_norms.simulation.engine import probabilities_of
from mesa_llm_norms.web.explained import Answer, explain, memory_change
from mesa_llm_norms.web.model_source import ModelSource
from mesa_llm_norms.web.setting import Commitment, Setting
from models.prisoners_dilemma.model import PrisonersDilemmaModel

PAIRS = st.builds(Remembered, st.sampled_from("QM"), st.sampled_from("QM"))


@given(st.lists(PAIRS, max_size=6).map(tuple), st.lists(PAIRS, max_size=6).map(tuple))
def test_what_is_forgotten_and_what_is_new_make_one_memory_of_the_other(
    before: Any, after: Any
) -> None:
    learned, forgot = memory_change(before, after)
    assert before[: len(forgot)] == forgot
    assert before[len(forgot) :] + learned == after


@pytest.mark.parametrize(
    "setting",
    [
        Setting(topology="complete(n=6)", names="QM", seed=3),
        Setting(topology="ring(n=8)", names="QMXYFJPRCD", committed=("M=2:noise=0.2",), memory=2),
        Setting(topology="ring(n=6)", names="yes,no", mind=("uniform",), incumbent="no"),
        Setting(topology="ring(n=6)", names="QM", committed=("M=3:until=1",), pairing="edge"),
    ],
)
def test_memories_chances_and_payoffs_are_those_of_that_moment(setting: Setting) -> None:
    source = ModelSource(setting)
    agents = {agent.node: agent for agent in source.model.players}
    before = {node: agent.memory for node, agent in agents.items()}
    for row in islice(source.play(), 30):
        encounter = source.encounter()
        assert encounter is not None
        assert row is not None
        assert encounter == source.encounter(source.nodes.index(row.nodes[0]))
        told = explain(encounter, source.referee)
        for seat, (part, agent) in enumerate(zip(encounter.parts, told["agents"], strict=True)):
            assert (part.node, part.before) == (row.nodes[seat], before[part.node])
            assert part.after == agents[part.node].memory
            assert len(agent["before"]) == len(part.before)
            assert agent["said"] == row.names[seat]
            if isinstance(part.mind, CommittedMind):
                assert "always says M" in agent["how"]
            else:
                chances = probabilities_of(part.mind, part.before, source.game)
                exact = dict(zip(source.pool, chances, strict=True))
                assert all(exact[name] == chance for name, _, chance in agent["probabilities"])
                assert row.names[seat] in [name for name, *_ in agent["probabilities"]]
            before[part.node] = part.after


def test_an_agent_committed_since_is_told_as_it_chose() -> None:
    source = ModelSource(Setting(topology="ring(n=6)", names="QM", seed=2))
    next(source.play())
    encounter = source.encounter()
    assert encounter is not None
    told = explain(encounter, source.referee)
    source.change(Commitment(1, encounter.parts[0].place, "M"))
    assert explain(encounter, source.referee) == told
    assert told["agents"][0]["how"] == ""


def test_other_games_are_told_with_their_moves_and_outcomes() -> None:
    source = ModelSource(Setting(topology="torus(rows=4, columns=4)"), PrisonersDilemmaModel)
    moves = set()
    for row in islice(source.play(), 40):
        encounter = source.encounter()
        assert encounter is not None
        assert row is not None
        told = explain(encounter, source.referee)
        moves |= set(row.names)
        for agent, name, payoff in zip(told["agents"], row.names, row.payoffs, strict=True):
            assert agent["said"] == name
            assert agent["payoff"] == f"{payoff:+g} points".replace("+0 ", "0 ")
        assert told["matched"] == source.referee.success(row.names)
        assert "chose" in told["summary"]
    assert moves == set(source.pool)


def encounter_of(names: str) -> tuple[Any, Any]:
    source = ModelSource(Setting(topology="ring(n=6)", names=names, mind=("uniform",)))
    next(source.play())
    encounter = source.encounter()
    assert encounter is not None
    mind: Any = object.__new__(type("LiveOne", (), {"label": "live"}))
    parts = tuple(part._replace(mind=mind) for part in encounter.parts)
    return encounter._replace(parts=parts), source.referee


def test_a_mind_that_gives_no_chances_is_told_so() -> None:
    encounter, referee = encounter_of("QMX")
    said = encounter.row.names
    told = explain(encounter, referee, [Answer(), None])["agents"]
    assert [it["probabilities"] for it in told] == [[], []]
    assert all("not known" in it["how"] for it in told)
    some, every = explain(encounter, referee, [Answer((), 0.6), Answer((0.5, 0.3, 0.2), 0.5)])[
        "agents"
    ]
    assert some["probabilities"] == [[said[0], "60%", 0.6]]
    assert some["how"] == "all other names together 40%"
    assert [name for name, *_ in every["probabilities"]] == ["Q", "M", "X"]
    encounter, referee = encounter_of("QM")
    (two, _) = explain(encounter, referee, [Answer((), 0.75), None])["agents"]
    assert sorted(two["probabilities"]) == sorted(
        [name, "75%", 0.75] if name == encounter.row.names[0] else [name, "25%", 0.25]
        for name in "QM"
    )
