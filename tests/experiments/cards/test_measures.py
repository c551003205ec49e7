"""The measures of a card against what can be worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms import Policy, run_ensemble
from mesa_llm_norms.core.game import Game, Memory, Remembered
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.experiments.audits.individual import read_policy
from mesa_llm_norms.experiments.cards.measures import (
    HEARD,
    Reaction,
    coverage,
    fit_conformity,
    persistence,
    reaction_alone,
    reaction_in_convention,
)
from mesa_llm_norms.minds import TableMind
from mesa_llm_norms.simulation.spec import Spec

QM = ("Q", "M")
some = st.floats(0.05, 0.95)


def pair(text: str) -> Memory:
    return tuple(Remembered(*one) for one in text.split())


def table(**rows: float) -> TableMind:
    """Return a mind by its chance of Q; ``start`` is the row of the empty memory."""
    read = {pair(key.replace("_", " ")) if key != "start" else (): p for key, p in rows.items()}
    return TableMind("made up", QM, {memory: (p, 1 - p) for memory, p in read.items()})


def test_a_reaction_is_the_mean_over_both_ways_to_miss() -> None:
    mind = table(start=0.5, QM=0.8, MQ=0.1, QM_QM=0.4, MQ_MQ=0.3)
    individual = read_policy(mind, Game(QM), 1)
    assert reaction_alone(individual, 1) == pytest.approx(Reaction(0.85, 0.15, 2))
    assert reaction_alone(individual, 2) == pytest.approx(Reaction(0.55, 0.45, 2))


def test_in_a_convention_matches_fill_the_rest_of_the_memory() -> None:
    mind = table(start=0.5, QQ_QQ_QM=0.9, MM_MM_MQ=0.3, QQ_QM_QM=0.2, MM_MQ_MQ=0.6)
    assert reaction_in_convention(mind, QM, 3, 1) == pytest.approx(Reaction(0.8, 0.2, 2))
    assert reaction_in_convention(mind, QM, 3, 2) == pytest.approx(Reaction(0.3, 0.7, 2))
    assert reaction_in_convention(mind, QM, 1, 1) is None


@settings(max_examples=8, deadline=None)
@given(after_q=some, after_m=some)
def test_with_one_interaction_remembered_the_response_is_a_line(
    after_q: float, after_m: float
) -> None:
    """Whatever it played itself, such an agent answers to what it heard last."""
    mind = table(start=0.5, QQ=after_q, MQ=after_q, QM=after_m, MM=after_m)
    found = fit_conformity(mind, QM, 1)
    assert found.response == pytest.approx(HEARD * after_q + (1 - HEARD) * after_m, abs=1e-9)
    swapped = table(start=0.5, MM=1 - after_q, QM=1 - after_q, MQ=1 - after_m, QQ=1 - after_m)
    other = fit_conformity(swapped, QM, 1)
    assert (other.beta, other.field) == pytest.approx((found.beta, -found.field), abs=1e-4)
    assert found.error < 0.1


@settings(max_examples=5, deadline=None)
@given(share=some)
def test_who_does_not_listen_has_a_field_and_no_conformity(share: float) -> None:
    found = fit_conformity(table(start=share), QM, 2)
    assert found.beta == pytest.approx(0, abs=1e-4)
    assert found.field == pytest.approx(math.atanh(2 * share - 1), abs=1e-4)
    assert found.error < 1e-6


def test_who_listens_closely_has_a_conformity_of_more_than_one() -> None:
    found = fit_conformity(table(start=0.5, QQ=0.99, MQ=0.99, QM=0.01, MM=0.01), QM, 1)
    assert found.beta > 1
    assert found.field == pytest.approx(0, abs=1e-6)
    assert found.fitted(0.5) == pytest.approx(0.5)


class Stuck(Policy):
    """Plays for ever what it happened to play first."""

    label = "stuck"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        own = memory[-1].own if memory else None
        return [0.5 if own is None else float(name == own) for name in pool]


def test_a_mind_without_a_response_is_refused() -> None:
    with pytest.raises(SpecError):
        fit_conformity(Stuck(), QM, 2)


def follows(towards_q: float) -> TableMind:
    """Return a mind that plays what it heard last, and Q at least so often."""
    return table(start=0.5, QQ=0.99, MQ=0.99, QM=towards_q, MM=towards_q)


def test_what_committed_agents_bring_about_lasts_only_where_it_is_stable() -> None:
    spec = Spec(graph="complete(n=10)", names="QM", mind=follows(0.01), memory=1, seed=3)
    found = persistence(spec, "Q", "M", 0.4, 20, 30)
    assert (found.committed, found.runs, found.flipped) == (8, 20, 20)
    assert 0 <= found.lasted <= found.flipped
    leaning = Spec(graph="complete(n=10)", names="QM", mind=follows(0.5), memory=1, seed=3)
    back = persistence(leaning, "Q", "M", 1, 20, 30)
    assert back.committed == 9
    assert back.lasted == 0 < back.flipped


def test_memories_count_as_measured_where_the_table_has_their_row() -> None:
    mind = table(start=0.5, QQ=0.9, QM=0.6, MQ=0.4, MM=0.1)
    played = run_ensemble(
        "complete(n=6)", QM, mind, memory=2, runs=3, rng=1, keep_interactions=True
    )
    found = coverage(mind, QM, 2, played)
    assert found is not None
    assert (found.measured, found.memories) == (5, 21)
    assert played.interactions is not None
    decisions = 2 * len(played.interactions)
    early = 0
    for _, rows in played.interactions.groupby("run"):
        met = [*zip(rows["node_a"], rows["node_b"], strict=True)]
        early += sum(min(2, sum(node in two for two in met)) for node in range(6))
    assert found.visits == pytest.approx(early / decisions)
    whole = coverage(mind, QM, 1, played)
    assert whole is not None
    assert (whole.measured, whole.memories, whole.visits) == (5, 5, 1)
