"""Counting who accepts a name: by hand, in the game of the line, and for a mind that is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.reproduction.papers.catalog import reproduce_paper
from mesa_llm_norms.reproduction.papers.denobili2026 import acceptance, margin


def interactions(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    columns = ["node_a", "node_b", "name_a", "name_b"]
    return pd.DataFrame(rows, columns=columns).assign(run=0)


def test_names_are_known_if_the_memory_held_them_and_accepted_if_they_are_played_next() -> None:
    rows = interactions(
        ("a", "b", "Q", "M"),  # both meet a name they do not know
        ("a", "b", "M", "M"),  # a accepts it, b does not
        ("a", "b", "M", "Q"),  # a meets Q, which it has played; b meets M, which it knows
        ("a", "b", "Q", "Q"),  # a accepts, b does not
    )
    assert acceptance(rows, 5).counts.tolist() == [[1, 2, 1, 2]]
    assert acceptance(rows, 1).counts.tolist() == [[0, 0, 2, 4]]


def growth(known: float, unknown: float, tilt: float) -> float:
    """Return how the lead of A changes in the game of the line, counted case by case."""
    both = 0.4
    shares = {"A": 0.3 + tilt, "B": 0.3 - tilt, "AB": both}
    lead = {"A": 1, "B": -1, "AB": 0}
    change = 0.0
    for speaker, p in shares.items():
        for hearer, q in shares.items():
            for word in speaker:
                weight = p * q / len(speaker)
                after = lead[word] * 2 - lead[speaker] - lead[hearer]
                if word in hearer:
                    change += weight * known * after
                else:
                    change += weight * (unknown * after + (1 - unknown) * -lead[hearer])
    return change


@given(known=st.floats(0, 1), unknown=st.floats(0, 1))
def test_a_small_lead_grows_in_the_game_of_the_line_as_the_line_says(
    known: float, unknown: float
) -> None:
    tilt = 1e-3
    assert growth(known, unknown, tilt) == pytest.approx(
        margin(known, unknown) * 0.4 * tilt, abs=1e-9
    )


def test_an_agent_that_chooses_at_random_accepts_every_other_name() -> None:
    """Some thousand decisions: within 0.1 of one half but for one seed in a million."""
    found = reproduce_paper("denobili2026", minds=["uniform"], quick=True, rng=1)
    here = [one.here.value for one in found.findings[:2]]
    assert np.allclose(here, 0.5, atol=0.1)
