"""Games other than the naming game as Mesa models: rows, memories, prompts, journals, engines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from mesa_llm_norms import (
    LLMSettings,
    MatrixGame,
    NamingGame,
    NetworkGame,
    NormsError,
    Policy,
    TableMind,
    run_ensemble,
)
from mesa_llm_norms.core.formatting import signed
from mesa_llm_norms.core.game import Experience, GameRules
from mesa_llm_norms.core.games import (
    AntiCoordination,
    BattleOfTheSexes,
    PrisonersDilemma,
    PublicGoods,
)
from mesa_llm_norms.simulation.run import interaction_table
from mesa_llm_norms.testing import FakeProvider

DILEMMA = PrisonersDilemma(memory=3)
PAIRS: list[tuple[GameRules, Any]] = [
    (DILEMMA, "node"),
    (BattleOfTheSexes(), "edge"),
    (AntiCoordination(), "matching"),
    (MatrixGame({"SS": 4, "SH": 0, "HS": 3, "HH": 2}), "node"),
]
ENGINES: list[Any] = ["python", "kernel"]
EVERY = [*PAIRS, (PublicGoods(), "neighborhood")]


def called(value: Any) -> str:
    return type(value[0]).__name__ if isinstance(value, tuple) else str(value)


class Reinforcing(Policy):
    """Leans to the moves that paid, as far as it remembers: looks at nothing but own payoffs."""

    label = "reinforcing"

    def distribution(self, memory: Any, pool: Sequence[str]) -> Sequence[float]:
        weights = [2.0 ** sum(past.payoff for past in memory if past.own == name) for name in pool]
        return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("played", EVERY, ids=called)
def test_what_agents_remember_is_what_the_game_paid(played: tuple[GameRules, Any]) -> None:
    game, pairing = played
    model = NetworkGame("ring(n=8, k=4)", game, Reinforcing(), pairing, rng=1)
    remembered: dict[Any, list[Any]] = {node: [] for node in model.network.G}
    for _ in range(3):
        model.step()
        for row in model.rows:
            assert row.payoffs == tuple(map(float, game.payoffs(*row.names)))
            for seat, node in enumerate(row.nodes):
                others = row.names[:seat] + row.names[seat + 1 :]
                at = 0 if game.symmetric else seat
                past = Experience(row.names[seat], others, row.payoffs[seat], at)
                remembered[node] = [*remembered[node], past][-game.memory :]
    for agent in model.players:
        assert agent.memory == tuple(remembered[agent.node])
        assert agent.score == sum(past.payoff for past in remembered[agent.node])


@pytest.mark.parametrize("played", PAIRS, ids=called)
def test_the_kernel_plays_the_same_rows(played: tuple[GameRules, Any]) -> None:
    game, pairing = played
    shared: dict[str, Any] = {
        "graph": "ring(n=8, k=4)",
        "game": game,
        "mind": Reinforcing(),
        "pairing": pairing,
        "rng": 5,
        "runs": 4,
        "rounds": 12,
        "threshold": 0.8,
        "window": 1,
    }
    plain, kernel = (
        run_ensemble(**shared, engine=engine, keep_interactions=True)
        for engine in ("python", "kernel")
    )
    together = run_ensemble(**shared, engine="kernel")
    assert plain.interactions is not None
    assert kernel.interactions is not None
    assert plain.interactions.equals(kernel.interactions)
    assert list(plain.interactions.columns[-3:]) == ["payoff_a", "payoff_b", "outcome"]
    for other in (kernel, together):
        assert plain.runs.equals(other.runs)
        assert plain.rounds.equals(other.rounds)
    pairs = plain.interactions[["name_a", "name_b"]].itertuples(index=False)
    successes = sum(game.success(*pair) for pair in pairs)
    counted = plain.rounds["interactions"].diff().fillna(plain.rounds["interactions"])
    counted = counted.where(plain.rounds["round"] > 0, plain.rounds["interactions"])
    assert round(float((counted * plain.rounds["success_rate"]).sum())) == successes


@pytest.mark.parametrize("played", PAIRS, ids=called)
def test_a_model_goes_on_compiled_where_it_was_in_python(played: tuple[GameRules, Any]) -> None:
    game, pairing = played
    first, second = (
        NetworkGame("ring(n=8, k=4)", game, Reinforcing(), pairing, rng=2) for _ in range(2)
    )
    for model, engines in ((first, ENGINES[:1] * 2), (second, ENGINES)):
        for engine in engines:
            model.run(rounds=4, until=None, engine=engine)
    assert first.rows == second.rows
    memories = [[agent.memory for agent in model.players] for model in (first, second)]
    assert memories[0] == memories[1]


@pytest.mark.parametrize("played", EVERY, ids=called)
def test_live_play_is_the_same_at_every_concurrency_and_after_a_kill(
    played: tuple[GameRules, Any], tmp_path: Path
) -> None:
    """The run that is killed breaks off at a call in the midst of a round, and is then resumed."""
    game, pairing = played
    tables = []
    for at_once in (1, 2, 8):
        provider = FakeProvider(free=True)
        folder = tmp_path / str(at_once)
        llm = LLMSettings(folder=folder, max_concurrency=at_once, budget_calls=30 + at_once)
        model = NetworkGame("ring(n=24)", game, provider.mind(), pairing, rng=7, llm=llm)
        with pytest.raises(NormsError, match="budget"):
            model.run(rounds=3, until=None)
        model.close()
        before = len(provider.asked)
        assert before <= 30 + at_once
        more = LLMSettings(max_concurrency=at_once)
        again = NetworkGame.resume(folder, more, mind=provider.mind())
        assert again.game == game
        rows = [row for _ in range(3) for row in [*stepped(again)]]
        tables.append(interaction_table(rows, game))
        assert len(provider.asked) == sum(len(row.nodes) for row in rows)
        assert again.client is not None
        used = {one.node: one.calls for one in again.client.usage_by_agent()}
        assert (
            used
            == {node: sum(row.nodes.count(node) for row in rows) for node in again.network.G}
            | {None: used.get(None, 0)}
            or None not in used
        )
        again.close()
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def stepped(model: NetworkGame) -> Sequence[Any]:
    model.step()
    return model.rows


def test_a_prompt_holds_the_payoffs_of_the_game_and_of_what_was_played() -> None:
    provider = FakeProvider()
    model = NetworkGame("ring(n=6)", DILEMMA, provider.mind(), rng=3)
    model.run(rounds=4, until=None)
    system, user = provider.asked[-1].prompt
    assert "choose defect and the other player chooses cooperate, you get +5 points" in system
    lines = re.findall(r"You chose (\w+), the other player chose (\w+): (\S+) points", user)
    assert len(lines) == 3
    for own, other, paid in lines:
        assert paid == signed(DILEMMA.payoffs(own, other)[0])


def test_minds_of_the_naming_game_are_refused_with_those_that_play_any() -> None:
    for mind in ("claude-3.5-sonnet", {"llama-2-70b-chat": 0.5, "uniform": 0.5}):
        with pytest.raises(NormsError, match="live mind, uniform"):
            NetworkGame("ring(n=6)", DILEMMA, mind)
    measured = TableMind("mine", DILEMMA.pool, {(): [0.5, 0.5]}, {"source": "a recording"})
    with pytest.raises(NormsError, match="naming game"):
        NetworkGame("ring(n=6)", DILEMMA, measured)


def test_a_table_of_pairs_plays_a_game_of_two() -> None:
    same = [("cooperate", "cooperate")]
    table: Any = {(): [1, 0], tuple(same): [1, 0], (("cooperate", "defect"),): [0, 1]}
    table |= {(("defect", move),): [0, 1] for move in DILEMMA.pool}
    grim = TableMind("grim", DILEMMA.pool, table)
    model = NetworkGame("ring(n=8)", DILEMMA, grim, rng=1, committed={"defect": 1})
    model.run(rounds=60, until=None)
    assert set(model.names_held.values()) == {"defect"}
    with pytest.raises(NormsError, match="more players"):
        NetworkGame("ring(n=8)", PublicGoods(), TableMind("t", PublicGoods.pool, {(): [1, 0]}))


def test_the_arguments_of_the_naming_game_are_refused_beside_another() -> None:
    arguments: list[dict[str, Any]] = [
        {"names": "QM"},
        {"reward": 7},
        {"penalty": 1},
        {"memory": 3},
    ]
    for given in arguments:
        with pytest.raises(NormsError, match=next(iter(given))):
            run_ensemble(game=DILEMMA, mind="uniform", **given)


def test_a_rule_must_draw_as_many_as_the_game_seats() -> None:
    with pytest.raises(NormsError, match="neighborhood"):
        NetworkGame("ring(n=6)", DILEMMA, "uniform", "neighborhood")
    with pytest.raises(NormsError, match="neighborhood"):
        NamingGame("ring(n=6)", "QM", pairing="neighborhood")


def test_the_kernel_says_why_it_does_not_play_more_than_two() -> None:
    model = NetworkGame("ring(n=6)", PublicGoods(), "uniform", "neighborhood", rng=1)
    with pytest.raises(NormsError, match="PublicGoods"):
        model.run(rounds=1, until=None, engine="kernel")


def test_a_node_and_its_neighbors_meet_at_once() -> None:
    star = nx.star_graph(4)
    model = NetworkGame(star, PublicGoods(), "uniform", "neighborhood", rng=1)
    model.run(rounds=5, until=None)
    for row in model.rows:
        assert set(row.nodes[1:]) == set(star.adj[row.nodes[0]])
    assert model.round is not None
    assert sum(model.round.shares.values()) == pytest.approx(1)


def test_resume_with_the_other_class_says_which(tmp_path: Path) -> None:
    provider = FakeProvider()
    llm = LLMSettings(folder=tmp_path)
    NetworkGame("ring(n=6)", DILEMMA, provider.mind(), rng=1, llm=llm).step()
    with pytest.raises(NormsError, match=r"NetworkGame\.resume"):
        NamingGame.resume(tmp_path, mind=provider.mind())
