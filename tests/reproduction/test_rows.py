"""Tests and corrections: a difference is found, chance is not taken for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mesa_llm_norms.reproduction import rows
from mesa_llm_norms.reproduction.recorded import Published
from mesa_llm_norms.reproduction.rows import Row, judge, mismatches, published_text


def row(p_value: float, part: str = "one") -> Row:
    return Row(part, "mind", "what", rows.share(5, 10), 10, rows.EXACT_SHARES, p_value)


def test_rows_are_corrected_within_their_part_only() -> None:
    judged = judge([row(0.03, "one"), row(0.03, "two"), row(0.9, "two")])
    assert [one.corrected for one in judged] == pytest.approx([0.03, 0.06, 0.9])
    assert [one.verdict for one in judged] == [rows.DIFFERENT, rows.WITHIN, rows.WITHIN]


def test_what_is_published_and_missed_is_said_before_what_is_recorded_and_missed() -> None:
    recorded = replace(row(0.001), recorded=rows.share(1, 10), mind="recorded")
    published = replace(row(0.002), published=Published(0.57, "x"), mind="published")
    lines = mismatches(judge([recorded, published, row(0.9)]))
    assert lines[0].startswith("- **published**")
    assert "0.500 here, 0.570 published" in lines[0]
    assert lines[1].startswith("- **recorded**")
    assert "2 of 3 rows." in lines


def test_a_published_number_is_told_with_how_sure_it_is() -> None:
    assert published_text(None) == ""
    assert published_text(Published(0.5, "x")) == "0.500"
    assert published_text(Published(0.02, "x", approximate=True)) == "~0.020"


def test_runs_of_the_same_curve_are_rarely_called_different_and_of_another_nearly_always() -> None:
    """At level 0.05, of 60 samples: more than 9 rejections have a chance of 0.001."""
    chance = np.random.default_rng(4)
    rounds = np.arange(30)

    def runs(number: int, delay: float) -> np.ndarray:
        middle = delay + chance.normal(0, 2, number)
        return 1 / (1 + np.exp(-(rounds - middle[:, None]) / 2))

    same = [rows.same_curve(runs(20, 8).mean(axis=0), 20, runs(40, 8)) for _ in range(60)]
    other = [rows.same_curve(runs(20, 12).mean(axis=0), 20, runs(40, 8)) for _ in range(5)]
    assert np.mean(np.array(same) < 0.05) <= 0.15
    assert max(other) < 0.05


def test_a_mean_far_from_all_that_is_drawn_here_is_told_from_one_that_is_not() -> None:
    here = np.random.default_rng(1).normal(0.9, 0.05, 300)
    assert rows.same_mean(np.array([0.89, 0.92, 0.9]), here) > 0.2
    assert rows.same_mean(np.array([0.5, 0.55, 0.6]), here) < 0.001


def test_the_interval_of_a_median_holds_it_in_at_least_95_of_100_cases() -> None:
    """1,000 samples of 25: fewer than 930 would be a chance of about 1 in 300 at 0.95."""
    chance = np.random.default_rng(2)
    held = 0
    for _ in range(1_000):
        found = rows.median(chance.exponential(1, 25).tolist())
        held += found.low <= np.log(2) <= found.high
    assert held >= 930


def test_counts_of_one_name_alone_tell_nothing_and_other_counts_do() -> None:
    assert rows.same_counts(np.array([5, 0]), np.array([900, 0])) == 1
    assert rows.same_counts(np.array([303, 697]), np.array([1, 114])) < 1e-9
    assert rows.same_counts(np.array([50, 50, 50]), np.array([50, 48, 52])) > 0.9
