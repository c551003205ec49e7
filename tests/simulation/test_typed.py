"""A spec as people type it: read as the arguments of the game, or one error."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.errors import NormsError, PoolError
from mesa_llm_norms.networks.placement import parse_committed
from mesa_llm_norms.simulation.serialization import to_json
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.simulation.typed import parse_mind, parse_names, parse_spec


@given(st.lists(st.text(max_size=12), max_size=3))
def test_reading_what_is_typed_gives_a_value_or_an_error_of_this_package(typed: list[str]) -> None:
    readers: list[Any] = [parse_mind, lambda given: parse_committed(given, dict)]
    for read in (*readers, *(lambda _, text=text: parse_names(text) for text in typed)):
        with suppress(NormsError):
            assert read(typed) is not None


def test_what_is_typed_is_read_as_the_arguments_of_the_game() -> None:
    nodes = {"0": 0, "a, b": "a, b", "c": "c"}
    assert parse_committed(["M=5", "Q=2:hubs"], dict) == {"M": 5, "Q": (2, "hubs")}
    assert parse_committed(['M=[0, "a, b"]'], lambda: nodes) == {"M": [0, "a, b"]}
    typed = ["M=5:k-core:until=20:noise=10%", "Q=[0]:until=3"]
    assert parse_committed(typed, lambda: nodes) == {
        "M": {"agents": (5, "k-core"), "until": 20, "noise": 0.1},
        "Q": {"agents": [0], "until": 3},
    }
    assert parse_committed(["M=[c,'0']"], lambda: nodes) == {"M": ["c", 0]}
    assert parse_committed(["a=b=3"], dict) == {"a=b": 3}
    shares = {"M": 0.1, "Q": (0.25, "hubs"), "X": 0.5, "Y": (1.0, "cluster"), "Z": 0.0}
    given = ["M=10%", "Q=0.25:hubs", "X=.5", "Y=100%:cluster", "Z=0%"]
    assert parse_committed(given, dict) == shares
    assert isinstance(parse_committed(["M=1"], dict)["M"], int)
    assert isinstance(parse_committed(["M=1.0"], dict)["M"], float)
    assert parse_mind(["x"]) == "x"
    assert parse_mind(["x", "y"]) == {"x": 1.0, "y": 1.0}
    assert parse_mind(["a=b.json"]) == "a=b.json"
    assert parse_mind(["x=0.2", "y=0.8"]) == {"x": 0.2, "y": 0.8}
    assert parse_mind(["x=20%", "y=0.5%"]) == {"x": 0.2, "y": 0.005}
    assert parse_mind(["x=%", "y=5%%"]) == {"x=%": 1.0, "y=5%%": 1.0}
    assert parse_names("Q M") == "Q M"
    assert parse_names("yes, no") == ["yes", "no"]


@pytest.mark.parametrize("text", ["yes no", "Q no", "ab\tb", "Q;M", "Q | M", "yes/no", "Q\uff0cM"])
def test_typed_names_with_other_marks_are_answered_with_commas(text: str) -> None:
    with pytest.raises(PoolError, match=",".join(re.split(r"\W+", text))):
        parse_names(text)


def test_typed_arguments_make_the_spec_that_is_written_the_same() -> None:
    typed = parse_spec(
        topology="ring(n=8)",
        names="yes,no",
        mind=["claude-3.5-sonnet=0.75", "uniform=0.25"],
        committed=["yes=2:hubs", "no=[3]"],
        seed=5,
        memory=3,
    )
    spec = Spec(
        graph="ring(n=8)",
        names=["yes", "no"],
        mind={"claude-3.5-sonnet": 0.75, "uniform": 0.25},
        committed={"yes": (2, "hubs"), "no": [3]},
        seed=5,
        memory=3,
    )
    assert to_json(typed) == to_json(spec)
