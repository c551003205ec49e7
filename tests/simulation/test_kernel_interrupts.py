"""Ctrl-C at any line of what plays compiled leaves something that can be played on."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import count
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from chances import FixedPolicy
from pandas.testing import assert_frame_equal

from mesa_llm_norms import NamingGame, Policy, run_ensemble
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.game import Game, Interaction
from mesa_llm_norms.core.metrics import Tally
from mesa_llm_norms.core.stopping import Stop
from mesa_llm_norms.minds import UniformMind
from mesa_llm_norms.simulation import batch as batch_module
from mesa_llm_norms.simulation import memories
from mesa_llm_norms.simulation.automaton import Automaton
from mesa_llm_norms.simulation.kernel import Kernel
from mesa_llm_norms.simulation.run import Run
from mesa_llm_norms.simulation.spec import Spec

ROOMS = ("simulation/", "mesa_llm_norms/model.py", "core/interrupts.py", "mesa/datacollection.py")


def interrupted_at(line: int, play: Callable[[], Any]) -> bool:
    """Call something, with a real SIGINT before its nth line; return whether there is such a line.

    A line is one of the modules that play.
    """
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if not any(room in frame.f_code.co_filename for room in ROOMS):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        play()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return seen >= line


@pytest.fixture(autouse=True)
def usual_handler() -> Any:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def model_of(mind: Policy, memory: int) -> NamingGame:
    return NamingGame("ring(n=6)", names="QMX", mind=mind, memory=memory, rng=3)


@pytest.mark.parametrize("memory", [3, 40])
def test_a_model_interrupted_at_any_line_plays_on_as_if_nothing_had_been(memory: int) -> None:
    mind = FixedPolicy(0.5, 0.3, 0.2)
    plain = model_of(mind, memory)
    plain.run(12, until=None, engine="python")
    expected = [(agent.name, agent.memory) for agent in plain.players]
    for line in count(1, 11):
        model = model_of(mind, memory)
        there = interrupted_at(line, partial(model.run, 3, until=None, engine="kernel"))
        if not there:
            break
        assert len(set(map(len, model.datacollector.model_vars.values()))) == 1
        model.datacollector.get_model_vars_dataframe()
        while model.interactions < plain.interactions:
            model.step()
        assert model.interactions == plain.interactions
        assert model.outcome == plain.outcome
        assert [(agent.name, agent.memory) for agent in model.players] == expected
    assert line > 300


@pytest.mark.parametrize("memory", [3, 40])
@pytest.mark.parametrize("until", [None, "converged", "agreed"])
@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_beside_any_compiled_call_leaves_what_was_played(
    after: bool, until: str | None, memory: int
) -> None:
    for call in count(1):
        mind = FixedPolicy(0.9, 0.1)
        mind.label = f"asked anew {after} {until} {call}"
        spec = Spec(graph="complete(n=4)", names="QM", mind=mind, memory=memory, seed=1)
        kernel = Kernel.of_initial_state(spec.initial_state(0))
        run, tally = Run(kernel, ()), Tally(spec.game.pool, 0, 0)
        stop = run._stop(until) if until else Stop()
        rows: list[Interaction] = []
        statuses: list[int] = []
        loops = interrupting(kernel._loops, call, after, statuses)
        kernel._loops = loops
        try:
            kernel.play(30, run._recent, stop, tally, rows)
        except KeyboardInterrupt:
            pass
        else:
            break
        counts = tally.counts
        assert kernel.rounds == len(counts)
        assert kernel.interactions == counts[:, 0].sum() == len(rows)
        if after and statuses[-1] in (loops.DONE, loops.REACHED):
            assert kernel.cut is None
        if kernel.cut is not None:
            assert kernel.cut == (kernel.rounds - 1, kernel.interactions - counts[-1, 0])
    assert statuses[-1] == (loops.REACHED if until else loops.DONE)


def interrupting(loops: Any, call: int, after: bool, statuses: list[int]) -> Any:
    """Return compiled loops whose nth call is interrupted, before it or after it returned."""

    def play(*given: Any) -> int:
        here = len(statuses) + 1 == call
        if here and not after:
            raise KeyboardInterrupt
        statuses.append(loops.play(*given))
        if here:
            raise KeyboardInterrupt
        return statuses[-1]

    return SimpleNamespace(**{**vars(loops), "play": play})


@pytest.mark.parametrize("call", [1, 2, 3, 5])
def test_a_batch_interrupted_leaves_the_next_ensembles_right(
    call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "INTERACTIONS_PER_CALL", 40)
    game: dict[str, Any] = {"graph": "ring(n=6)", "names": "QM", "rng": 5, "rounds": 20}
    minds = ("llama-3.1-70b-instruct", "claude-3.5-sonnet")
    expected = [run_ensemble(mind=mind, runs=4, engine="kernel", **game).runs for mind in minds]
    monkeypatch.setattr(memories, "_kept", threading.local())
    batches, calls = load("batches"), count(1)
    usual = batches.play_runs

    def play_runs(*given: Any) -> Any:
        status = usual(*given)
        if next(calls) == call:
            raise KeyboardInterrupt
        return status

    with monkeypatch.context() as patched:
        patched.setattr(batches, "play_runs", play_runs)
        with pytest.raises(KeyboardInterrupt):
            run_ensemble(mind=minds[0], runs=9, engine="kernel", **game)
    for mind, runs in zip(minds, expected, strict=True):
        assert_frame_equal(run_ensemble(mind=mind, runs=4, engine="kernel", **game).runs, runs)


def test_a_table_interrupted_at_any_line_while_it_grows_is_whole() -> None:
    for line in count(1):
        automaton = Automaton(Game(("Q", "M"), 40), (UniformMind(),))
        state = automaton.state(0, ())
        for number in range(64):
            state = automaton.connect(state, number % 2, number // 2 % 2)
        there = interrupted_at(line, partial(automaton.connect, state, 0, 0))
        automaton.connect(state, 0, 0)
        assert len(automaton.keys) == len(automaton.values) == 256
        assert (automaton.values[automaton.keys >= 0] >= 0).all()
        if not there:
            break
