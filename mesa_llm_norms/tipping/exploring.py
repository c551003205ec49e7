"""A question is answered by runs, a batch at a time: here, in processes, or with live minds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import closing
from typing import TYPE_CHECKING

from mesa_llm_norms.side_by_side import side_by_side
from mesa_llm_norms.spec import Spec
from mesa_llm_norms.tipping.dose import Dose
from mesa_llm_norms.tipping.legs import Legs, TwoLegs, play_legs
from mesa_llm_norms.tipping.question import Question
from mesa_llm_norms.tipping.sampling import batch_size, first_batch, next_count
from mesa_llm_norms.workers import answers

if TYPE_CHECKING:
    from mesa_llm_norms.minds.live.session import Session

Found = list[tuple[int, TwoLegs]]
"""Runs, each with its number of committed agents."""
Play = Callable[[Spec, range, Legs], list[TwoLegs]]
"""Plays some runs of a spec."""
Progress = Callable[[int, int], None]
"""Called with the runs done and the runs in all."""
Told = Callable[[int], None]
"""Called with how many more runs are done."""


def play_runs(spec: Spec, runs: range, legs: Legs) -> list[TwoLegs]:
    """Play runs one after the other, in this process."""
    return [play_legs(spec, run, legs) for run in runs]


class LiveRuns:
    """Plays runs with live minds side by side, as many as a batch has, in one session for all.

    They are numbered as they come, over all questions, whatever number they are asked for by: the
    journal knows runs by their numbers, and no two may have the same.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._begun = 0

    def __call__(self, spec: Spec, runs: range, legs: Legs) -> list[TwoLegs]:
        """Play some runs of a spec."""
        numbers = range(self._begun, self._begun + len(runs))
        self._begun = numbers.stop
        calls = ((spec, number, legs, self._session) for number in numbers)
        with closing(side_by_side(play_legs, calls, len(numbers), self._session)) as found:
            return sorted(found)


def adding_up(total: int, progress: Progress | None) -> Told:
    """Return what tells ``progress`` how many runs are done, of so many in all."""
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    return told


def explore(
    question: Question,
    most: float,
    budget: int,
    play: Play = play_runs,
    told: Told = lambda _: None,
) -> Found:
    """Play ``budget`` runs where they tell most; return each with its number of committed agents.

    Run k of a count begins with the same draws at every count, unless ``play`` has it otherwise.
    """
    played: Found = []
    doses: dict[int, Dose] = {}
    specs: dict[int, Spec] = {}
    end = max(1, int(most * question.agents + 1e-9))
    while len(played) < budget:
        count = next_count(list(doses.values()), end, batch_size(budget))
        if count not in specs:
            specs[count] = question.spec(count)
        dose = doses.get(count, Dose(count, 0, 0))
        wanted = batch_size(budget) if played else first_batch(budget)
        batch = range(dose.runs, dose.runs + min(wanted, budget - len(played)))
        outcomes = play(specs[count], batch, question.legs)
        played += [(count, outcome) for outcome in outcomes]
        flipped = sum(outcome.flipped for outcome in outcomes)
        doses[count] = Dose(count, dose.flipped + flipped, batch.stop)
        told(len(outcomes))
    return played


def explore_all(
    questions: Sequence[Question],
    most: float,
    budget: int,
    told: Told,
    workers: int = 1,
    executor: Executor | None = None,
) -> list[Found]:
    """Explore every question, in the order given, ``budget`` runs each; workers take whole ones."""
    if workers == 1 and executor is None:
        return [explore(one, most, budget, told=told) for one in questions]
    calls = ((one, most, budget) for one in questions)
    found: dict[int, Found] = {}
    with closing(answers(explore, calls, workers, executor)) as all_:
        for answer in all_:
            found[answer.number] = answer.result
            told(budget)
    return [found[place] for place in range(len(questions))]
