"""What was played, compared with what was recorded or published."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import stats

from mesa_llm_norms import load_mind
from mesa_llm_norms.minds import CommittedMind
from mesa_llm_norms.reports.reproduction import mass_rows
from mesa_llm_norms.reproduction import protocol, results
from mesa_llm_norms.reproduction.protocol import (
    CLASSICAL,
    CLASSICAL_RUNS,
    TWO,
    Experiment,
    Played,
    Task,
)
from mesa_llm_norms.reproduction.recorded import (
    CLASSICAL_EXACT,
    shipped,
)
from mesa_llm_norms.reproduction.results import (
    INDIVIDUAL,
    Flips,
    critical_mass,
    flips,
    masses,
)
from mesa_llm_norms.reproduction.rows import LEVEL, judge

MIND = "claude-3.5-sonnet"


def test_the_classical_game_flips_as_often_as_the_exact_chain_says() -> None:
    """3,000 runs at each count: one false alarm in 500 at the level of 0.002, Holm corrected."""
    todo = Task(CLASSICAL, tuple(protocol.critical_mass(TWO, (2, 3, 4, 5), 3_000)))
    (found,) = flips(protocol.play_task(todo, 1))
    for count, flipped in zip(found.counts, found.flipped, strict=True):
        assert stats.binomtest(flipped, 3_000, CLASSICAL_EXACT[count].value).pvalue > 0.0005, count


def test_critical_mass_is_told_where_more_than_one_count_was_tried() -> None:
    def play(agents: int, counts: tuple[int, ...]) -> list[Played]:
        experiments = protocol.critical_mass(TWO, counts, 4)
        return [protocol.play_classical(replace(one, agents=agents), 1) for one in experiments]

    assert mass_rows(play(48, (1,))) == []
    (row,) = mass_rows(play(48, (1,)) + play(24, (1, 8)))
    assert row == ("classical", "Q to M", "24", "1, 8", "8", "8 to 8", "0.333")
    (row,) = mass_rows(play(48, (1, 2)))
    assert row[3:] == ("1, 2", "more than 2", "more than 2", "")


def test_of_the_classical_game_what_is_exact_is_within_and_a_hundredth_off_is_not() -> None:
    for off, within in ((0, True), (-0.01, False)):
        flipped = [round((it.value + off) * CLASSICAL_RUNS) for it in CLASSICAL_EXACT.values()]
        counts = tuple(CLASSICAL_EXACT)
        rows = list(
            masses([Flips(CLASSICAL, TWO, 24, counts, tuple(flipped), (CLASSICAL_RUNS,) * 4)], ())
        )
        assert [row.published for row in rows] == list(CLASSICAL_EXACT.values())
        for row, count in zip(rows, counts, strict=True):
            assert f"{count} of 24" in row.what
        assert [one.within for one in judge(rows)] == [within] * 4


def test_there_are_enough_classical_runs_to_see_a_share_that_is_a_hundredth_off() -> None:
    """The power that ``CLASSICAL_RUNS`` promises, for six rows, by the normal approximation."""
    exact = CLASSICAL_EXACT[3].value
    needed = stats.norm.isf(LEVEL / 6 / 2)
    for runs, low, high in ((CLASSICAL_RUNS, 0.97, 0.99), (3_000, 0, 0.1)):
        power = stats.norm.sf(needed - 0.01 / np.sqrt(exact * (1 - exact) / runs))
        assert low < power < high


def test_a_mind_that_always_plays_one_name_is_found_to_differ() -> None:
    known = next(
        one for one in shipped().emergence if one.model == MIND and one.names == ("Q", "M")
    )
    experiment = Experiment(part="emergence", names=known.names, runs=40)
    stubborn = CommittedMind("Q")
    played, _ = protocol.play(experiment, stubborn, 1)
    rows = results.compare([played], {stubborn.label: stubborn}, shipped(), {stubborn.label: MIND})
    found = {row.what: row.p_value for row in rows}
    assert found["Q M: M wins"] < 0.001
    assert found["Q M: interactions to agree"] < 0.001
    assert found["Q M: Q with nothing remembered"] < 0.001


def test_where_recordings_disagree_the_row_says_so() -> None:
    rows = results.compare([], {MIND: load_mind(MIND)}, shipped())
    notes = {row.what: row.note for row in rows if row.part == INDIVIDUAL}
    assert "recordings disagree" in notes["Q M: Q after M with M, M with Q"]
    assert notes["Q M: Q with nothing remembered"] == ""


def test_critical_mass_is_the_first_count_that_flips_half_the_runs() -> None:
    found = Flips("m", ("Q", "M"), 24, (1, 2, 3, 4), (0, 49, 51, 99), (100, 100, 100, 100))
    mass = critical_mass(found)
    assert mass.value == 3
    assert (mass.low, mass.high) == (2, 4) or (mass.low, mass.high) == (2, 3)


def test_critical_mass_is_infinite_where_no_count_is_enough() -> None:
    found = Flips("m", ("Q", "M"), 24, (1, 2), (0, 3), (100, 100))
    assert critical_mass(found).value == np.inf
