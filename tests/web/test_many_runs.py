"""Many runs of what is on the page: counted as an ensemble counts them, and stopped at any time."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms import NamingGame, run_ensemble
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.simulation.ensemble import play_part
from mesa_llm_norms.web import many_runs
from mesa_llm_norms.web.languages import ENGLISH, find_language
from mesa_llm_norms.web.lesson import _binned, many_text
from mesa_llm_norms.web.many_runs import Counts, ManyRuns
from mesa_llm_norms.web.model_source import ServerSettings, configure_server, server_settings
from mesa_llm_norms.web.page_state import PageState
from mesa_llm_norms.web.scenes.scene import measure, read_scenes
from mesa_llm_norms.web.session import ViewerSession
from mesa_llm_norms.web.setting import Commitment, Setting

SMALL = Setting(topology="ring(n=8)", names="QM", rounds=20, seed=5)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def played(*settings: Setting, **how: Any) -> ManyRuns:
    many = ManyRuns(settings, **how)
    many.start()
    until(lambda: not many.running)
    assert not many.problem
    return many


def test_it_counts_what_an_ensemble_of_the_same_seed_finds() -> None:
    (counts,) = played(SMALL, runs=30).counts
    ensemble = run_ensemble("ring(n=8)", names="QM", rng=5, runs=30, rounds=20)
    runs = ensemble.runs
    won = zip(runs.winner, runs.agreed, strict=True)
    assert counts.winners == Counter(name if agreed else None for name, agreed in won)
    assert sum(counts.winners.values()) == 30
    assert counts.winners[None]
    # A run stops as soon as it is quiet, so that the round it stops in is the last one begun.
    assert counts.times == runs.rounds[runs.agreed].tolist()


def test_the_answers_of_a_scene_are_those_that_are_measured() -> None:
    scene = read_scenes()["the-committed-few"]
    many = played(*scene.settings(3), scene=scene, runs=20)
    assert tuple(many.answers[i] for i in range(4)) == measure(scene, 20, seed=3).times
    assert many.done == sum(many.counts[1].winners.values()) == 20


def test_changes_made_by_hand_are_left_out() -> None:
    changed = replace(SMALL, edits=(Commitment(3, 0, "M"),), at=7)
    assert played(changed, runs=5).counts == played(SMALL, runs=5).counts


@settings(max_examples=30)
@given(st.lists(st.booleans(), min_size=3, max_size=30))
def test_they_agreed_by_the_end_of_three_rounds_without_a_miss(missed: Sequence[bool]) -> None:
    counts = np.array([[8, 7 if one else 8] for one in missed])
    quiet = [i for i in range(3, len(missed) + 1) if not any(missed[i - 3 : i])]
    assert many_runs._first_quiet(counts) == (quiet[0] if quiet else len(missed))


@pytest.mark.parametrize("stopped_by", ["stop_many", "restart", "close"])
def test_it_stops_between_two_parts(monkeypatch: pytest.MonkeyPatch, stopped_by: str) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(*given: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return play_part(*given)

    monkeypatch.setattr(many_runs, "play_part", slow)
    one = ViewerSession("topology=ring(n=8)&names=QM&rounds=20")
    try:
        one.play_many()
        many = one.many
        assert many is not None
        assert begun.wait(60)
        assert many.running
        getattr(one, stopped_by)()
        assert json.loads(many_text(PageState(one)))["running"] is False
        go_on.set()
        until(lambda: "many runs" not in " ".join(t.name for t in threading.enumerate()))
        assert many.done == 0
        assert (one.many is None) == (stopped_by == "restart")
    finally:
        one.close()


@pytest.fixture
def offered() -> Iterator[None]:
    before = server_settings()
    configure_server(ServerSettings(minds=("llama:http://127.0.0.1:9#none",)))
    yield
    configure_server(before)


@pytest.mark.usefixtures("offered")
def test_a_live_mind_is_refused_with_its_cost_and_the_way_on() -> None:
    live = replace(SMALL, mind=("llama:http://127.0.0.1:9#none",))
    with pytest.raises(SpecError, match=r"100 runs.*32,000 calls.*mesa-llm-norms record"):
        ManyRuns([live])


def test_a_model_of_ones_own_is_refused() -> None:
    class Mine(NamingGame):
        pass

    one = ViewerSession("", Mine)
    with pytest.raises(SpecError, match="only the naming game itself"):
        one.play_many()
    one.close()


def test_the_bars_say_who_won_and_when() -> None:
    one = ViewerSession("topology=complete(n=8)&names=QMXYF&seed=2")
    try:
        assert json.loads(many_text(PageState(one)))["charts"] == []
        one.play_many()
        until(lambda: one.many is not None and not one.many.running)
        shown = json.loads(many_text(PageState(one)))
    finally:
        one.close()
    assert (shown["done"], shown["running"], shown["said"]) == (100, False, "100 of 100 played")
    names, times = shown["charts"]
    assert sum(row["count"] for row in names["rows"]) == 100
    assert names["rows"][-1]["label"] == "no agreement in 1,000 rounds"
    assert sum(row["count"] for row in times["rows"]) == 100 - names["rows"][-1]["count"]
    assert len(times["rows"]) <= 11


@settings(max_examples=30)
@given(st.lists(st.integers(3, 1_000), min_size=1, max_size=50))
def test_every_time_is_in_one_of_few_bars(times: list[int]) -> None:
    bins, often = _binned(Counts(("Q", "M"), 1_000, times=times), find_language(ENGLISH).say)
    assert sum(often[place] for place in bins) == len(times)
    assert len(bins) <= 10
    for time_ in times:
        holding = [
            label
            for label in bins.values()
            if int(label.split(" to ")[0]) <= time_ <= int(label.split(" to ")[-1])
        ]
        assert len(holding) == 1
