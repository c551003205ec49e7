"""A live mind is asked once, and a policy comes out that does what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms import LLMSettings, load_mind, record, run_ensemble
from mesa_llm_norms.core.game import Game
from mesa_llm_norms.errors import BudgetError, DecisionError, NormsError
from mesa_llm_norms.experiments.recording.populations import outcomes
from mesa_llm_norms.experiments.recording.questions import memories_up_to
from mesa_llm_norms.llm.provider import Question, Reply, Usage
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.minds.policies import TableMind
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.testing import FakeProvider


def policy(name: str) -> Policy:
    mind = load_mind(name)
    assert isinstance(mind, Policy)
    return mind


TRUTH = policy("llama-2-70b-chat")
REFUSAL = Reply("I would rather not", Usage(40, 9), problem="it refuses")


def first_shown(question: Question) -> str:
    """Return the name that the prompt of a question lists first."""
    return question.prompt.user.split("order: ")[1].split("\n")[0].split(", ")[0]


def place_biased(question: Question, _: int) -> list[float]:
    """Answer with .9 for the name shown first."""
    share = 0.9 if len(question.pool) == 2 else 0.6
    rest = (1 - share) / (len(question.pool) - 1)
    return [share if name == first_shown(question) else rest for name in question.pool]


def test_every_memory_is_asked_in_every_order_and_nothing_else() -> None:
    provider = FakeProvider(TRUTH, distributions=True)
    found = record(provider.mind(), "QM", 3)
    assert (found.memories, found.possible, found.questions) == (85, 85, 170)
    assert len(provider.asked) == len({question.prompt for question in provider.asked}) == 170
    (recording,) = found.mind.recordings
    assert all(len(by_order) == 2 for by_order in recording.answers.values())
    for memory in memories_up_to(recording.game):
        assert found.mind.distribution(memory, "QM") == pytest.approx(
            TRUTH.distribution(memory, "QM"), abs=1e-5
        )
    assert found.visited == 1
    assert not found.never_asked
    assert found.held_out > found.known > 0
    assert found.mind.provenance["calls"] == 170


def test_live_and_recorded_play_the_same_rows_where_orders_are_kept() -> None:
    live = FakeProvider(place_biased, distributions=True)
    found = record(live.mind(), "QM", 2)
    assert found.mind.distribution((), "QM") == pytest.approx([0.5, 0.5], abs=1e-5)
    plays: dict[str, Any] = {"memory": 2, "runs": 3, "rounds": 4, "until": None, "rng": 7}
    plays["keep_interactions"] = True
    expected = run_ensemble("ring(n=8)", "QM", live.mind(), **plays)
    kept = run_ensemble("ring(n=8)", "QM", found.mind.with_orders("QM"), **plays)
    assert kept.interactions is not None
    assert expected.interactions is not None
    assert kept.interactions.equals(expected.interactions)


def test_the_kernel_plays_a_recording_as_python_does() -> None:
    found = record(FakeProvider(place_biased, distributions=True).mind(), "QMX", 1)
    tables = [
        run_ensemble("ring(n=8)", "QMX", found.mind, memory=1, runs=5, rng=1, engine=engine).runs
        for engine in ("python", "kernel")
    ]
    assert tables[0].equals(tables[1])


def test_where_there_are_no_probabilities_choices_are_counted_with_intervals() -> None:
    """All 95% intervals of 21 memories hold the truth but a few: false alarm rate below 1e-4."""
    provider = FakeProvider(TRUTH)
    found = record(provider.mind(), "QM", 2, asks=40)
    assert len(provider.asked) == found.questions == 21 * 40
    answers = found.answers[found.answers["name"] == "Q"]
    truth = np.array(
        [TRUTH.distribution(it, "QM")[0] for it in memories_up_to(found.mind.recordings[0].game)]
    )
    inside = (answers["low"] <= truth + 1e-9) & (truth - 1e-9 <= answers["high"])
    assert inside.sum() >= 15
    shown = [first_shown(question) for question in provider.asked]
    assert shown.count("Q") == shown.count("M")


def test_unusable_replies_are_counted_and_nothing_is_put_in_their_place() -> None:
    def answer(question: Question, _: int) -> Any:
        return REFUSAL if "(none yet" in question.prompt.user else "M"

    found = record(FakeProvider(answer).mind(), "QM", 1, asks=4, llm=LLMSettings(ask_again=0))
    (recording,) = found.mind.recordings
    assert () not in recording.answers
    assert found.unusable == 4
    assert found.never_asked[0][0] == ""
    with pytest.raises(DecisionError):
        record(FakeProvider(lambda *_: REFUSAL).mind(), "QM", 1, asks=1)


def test_a_budget_ends_a_recording_which_goes_on_where_it_stopped(tmp_path: Path) -> None:
    provider = FakeProvider(TRUTH, distributions=True)
    whole = record(provider.mind(), "QM", 1, llm=LLMSettings(folder=tmp_path / "whole"))
    whole.save(tmp_path / "whole.json")
    for calls in (4, 7):
        llm = LLMSettings(folder=tmp_path / "part", budget_calls=calls, resume=calls > 4)
        part = record(provider.mind(), "QM", 1, llm=llm)
        assert part.usage.calls == part.questions == calls
        assert part.ended == "the budget was used up"
    llm = LLMSettings(folder=tmp_path / "part", resume=True)
    record(provider.mind(), "QM", 1, llm=llm).save(tmp_path / "part.json")
    assert (tmp_path / "part.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert len(provider.asked) == 20
    with pytest.raises(BudgetError):
        record(provider.mind(), "QM", 1, llm=LLMSettings(budget_calls=0))


def test_a_recording_on_record_asks_nobody(tmp_path: Path) -> None:
    llm = LLMSettings(folder=tmp_path / "calls")
    found = record(FakeProvider(TRUTH, distributions=True).mind(), "QM", 1, llm=llm)
    silent = FakeProvider(lambda *_: pytest.fail("asked"), distributions=True)
    again = record(silent.mind(), "QM", 1, llm=LLMSettings(folder=tmp_path / "calls", resume=True))
    assert again.mind.recordings == found.mind.recordings
    with pytest.raises(NormsError, match="memory was 1"):
        record(silent.mind(), "QM", 2, llm=LLMSettings(folder=tmp_path / "calls", resume=True))


@pytest.mark.load
def test_an_adaptive_recording_asks_what_populations_visit_and_plays_as_they_do() -> None:
    """Distances of 100 populations: by chance above 0.4 less often than once in a million."""
    truth = policy("llama-3-70b-instruct")
    provider = FakeProvider(truth, distributions=True)
    plan: dict[str, Any] = {"exhaustive": False, "graph": "complete(n=8)", "runs": 100}
    found = record(provider.mind(), "QMXY", 3, tolerance=0.25, **plan)
    assert found.ended in ("populations no longer change", "all that populations visit was asked")
    assert found.memories < found.possible == 4369
    assert found.questions == len(provider.asked) == len({it.prompt for it in provider.asked})
    assert found.visited > 0.5
    assert found.steps[-1].memories == found.memories
    spec = Spec(graph=plan["graph"], names=tuple("QMXY"), mind=truth, memory=3, seed=5)
    assert max(outcomes(spec, 100).change(found.steps[-1].populations)) < 0.4


SHARE = st.floats(0, 1, allow_subnormal=False)


@settings(max_examples=15)
@given(st.lists(SHARE, min_size=5, max_size=5), st.integers(0, 2**32))
def test_any_table_is_recorded_to_the_last_digit(shares: list[float], seed: int) -> None:
    memories = memories_up_to(Game(("Q", "M"), memory=1))
    table = {it: [share, 1 - share] for it, share in zip(memories, shares, strict=True)}
    truth = TableMind("table", "QM", table)
    found = record(FakeProvider(truth, distributions=True).mind(), "QM", 1, rng=seed)
    for memory in table:
        assert found.mind.distribution(memory, "QM") == pytest.approx(
            truth.distribution(memory, "QM"), abs=2e-6
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mind": "uniform"}, "only a live mind"),
        ({"memory": 6}, "memory"),
        ({"memory": 0}, "memory"),
        ({"names": "Q"}, "names"),
        ({"names": ["yes please", "no"]}, "prompt"),
        ({"label": "two\nlines"}, "label"),
        ({"tolerance": 2}, "tolerance"),
        ({"asks": 0}, "asks"),
        ({"graph": "no such thing"}, "topology"),
        ({"names": "ABCDEFGHIJ", "memory": 5, "exhaustive": True}, "too many"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_anything_is_asked(
    arguments: dict[str, Any], said: str
) -> None:
    provider = FakeProvider()
    with pytest.raises(NormsError, match=said):
        record(**{"mind": provider.mind(), **arguments})
    assert not provider.asked
