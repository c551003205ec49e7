"""The numbers that ship, and the exact ones of the classical game."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from binary_chain import flipped_within
from recordings import STUDY, needs_study

from mesa_llm_norms.reproduction.protocol import (
    FLIP_ROUNDS,
)
from mesa_llm_norms.reproduction.recorded import (
    CLASSICAL_EXACT,
    shipped,
    summarise,
)


@needs_study
def test_the_numbers_that_ship_are_what_the_recordings_show() -> None:
    assert summarise(STUDY) == shipped()


def test_the_numbers_that_ship_say_where_they_come_from_and_are_few() -> None:
    text = resources.files("mesa_llm_norms.reproduction").joinpath("recorded.json").read_text()
    held = json.loads(text)
    assert "10.5281/zenodo.14937173" in held["source"]
    assert held["licence"] == "MIT"
    assert len(text) < 20_000


def test_the_shares_said_to_be_exact_are_those_of_the_chain() -> None:
    for count, share in CLASSICAL_EXACT.items():
        exact = flipped_within(24, count, FLIP_ROUNDS * 24)
        assert share.value == pytest.approx(exact, abs=5e-5), count
