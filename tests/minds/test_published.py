"""Published policy tables: what is in the file is what is played, and nothing else is read."""

from __future__ import annotations

import hashlib
import itertools
import math
import pickle
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms import load_mind, run_ensemble
from mesa_llm_norms.core.game import Remembered
from mesa_llm_norms.errors import FileFormatError, PoolError
from mesa_llm_norms.minds.files import read_mind, write_table
from mesa_llm_norms.minds.published import read_policy_table

NAME = "Q_dict_a-model_2.5_ID_77_-50_100_0.5tmp_BLANK_False.pkl"
WORDS = ("warm", "New York")
keys = st.lists(st.sampled_from(["00", "01", "10", "11"]), max_size=6).map("".join)


def policy(depth: int, seed: int = 1) -> dict[str, Any]:
    """Return a made-up table of every memory up to a length, in the form that is published."""
    chance = random.Random(seed)
    return {
        "".join(digits): np.float64(chance.random())
        for length in range(depth + 1)
        for digits in itertools.product("01", repeat=2 * length)
    }


def written(folder: Path, content: Any, protocol: int = 4, name: str = NAME) -> Path:
    path = folder / name
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@settings(max_examples=50, deadline=None)
@given(
    table=st.dictionaries(keys, st.floats(0, 1)),
    first=st.floats(0, 1),
    protocol=st.integers(0, 5),
    numpy_s=st.booleans(),
)
def test_every_memory_is_played_as_it_stands_in_the_file(
    tmp_path_factory: pytest.TempPathFactory,
    table: dict[str, float],
    first: float,
    protocol: int,
    numpy_s: bool,
) -> None:
    """Also after the mind was written to a file and read again."""
    folder = tmp_path_factory.mktemp("tables")
    given = {"": first} | table
    content = {key: np.float64(p) for key, p in given.items()} if numpy_s else given
    mind = read_policy_table(written(folder, content, protocol), WORDS)
    write_table(mind, folder / "mind.json")
    again = read_mind(folder / "mind.json")
    for one in (mind, again):
        assert one.label == "a-model_2.5 warm/New York"
        for key, p in given.items():
            names = [WORDS[int(digit)] for digit in key]
            memory = tuple(map(Remembered, names[::2], names[1::2]))
            assert one.distribution(memory, WORDS) == pytest.approx([p, 1 - p], abs=1e-15)
            assert one.distribution(memory, WORDS[::-1]) == pytest.approx([1 - p, p], abs=1e-15)
    assert mind.table == again.table  # type: ignore[attr-defined]
    assert mind.provenance == again.provenance  # type: ignore[attr-defined]


def test_where_a_table_is_from_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, policy(2))
    kept = read_policy_table(path, WORDS).provenance
    assert "2510.22422" in kept.pop("source")
    assert kept.pop("licence")
    assert kept == {
        "file": NAME,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "model": "a-model_2.5",
        "pair": "77",
        "penalty": -50,
        "reward": 100,
        "temperature": 0.5,
        "digits": {"0": "warm", "1": "New York"},
        "order_of_names": "averaged over both orders",
        "memories": {"0": 1, "1": 4, "2": 16},
    }


def test_a_file_under_another_name_is_read_without_what_that_name_says(tmp_path: Path) -> None:
    mind = read_policy_table(written(tmp_path, policy(1), name="mine.pkl"), "QM")
    assert mind.label == "mine Q/M"
    assert "temperature" not in mind.provenance


def test_the_kernel_and_the_python_engine_play_it_alike(tmp_path: Path) -> None:
    mind = read_policy_table(written(tmp_path, policy(3)), "QM")
    write_table(mind, tmp_path / "mind.json")
    game: dict[str, Any] = {"graph": "complete(n=6)", "names": "QM", "runs": 3, "rng": 3}
    played = [
        run_ensemble(mind=load_mind(str(tmp_path / "mind.json")), engine=engine, **game).runs
        for engine in ("kernel", "python")
    ]
    assert played[0].equals(played[1])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "does not hold a table"),
        ([0.5], "does not hold a table"),
        (0.5, "does not hold a table"),
        ({"00": 0.5}, "empty memory"),
        ({"": 0.5, "0": 0.5}, "not a memory"),
        ({"": 0.5, "02": 0.5}, "not a memory"),
        ({"": 0.5, "\u0660\u0661": 0.5}, "not a memory"),
        ({"": 0.5, 0: 0.5}, "not a memory"),
        ({"": 0.5, None: 0.5}, "not a memory"),
        ({"": 0.5, "00" * 1_001: 0.5}, "longer than"),
        ({"": math.nan}, "not a probability"),
        ({"": math.inf}, "not a probability"),
        ({"": 1.1}, "not a probability"),
        ({"": -0.1}, "not a probability"),
        ({"": True}, "not a probability"),
        ({"": "0.5"}, "not a probability"),
        ({"": [0.5, 0.5]}, "not a probability"),
        ({"": 10**5_000}, "not a probability"),
    ],
)
def test_a_table_that_cannot_be_played_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(FileFormatError, match=said) as caught:
        read_policy_table(written(tmp_path, content), WORDS)
    assert len(str(caught.value)) < 1_000


def test_rounding_may_take_a_probability_a_little_beyond_one(tmp_path: Path) -> None:
    content = {"": np.float64(1 + 1e-12), "00": np.float64(-1e-12)}
    mind = read_policy_table(written(tmp_path, content), "QM")
    assert [list(row) for row in mind.table.values()] == [[1, 0], [0, 1]]


def test_names_must_be_two(tmp_path: Path) -> None:
    path = written(tmp_path, policy(1))
    for names in ("Q", "QMX", "QQ", ["a,b"]):
        with pytest.raises(PoolError):
            read_policy_table(path, names)


def test_what_is_not_a_file_of_that_size_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.pkl"
    large.write_bytes(bytes(5_000_001))
    for path in (tmp_path, tmp_path / "none.pkl", large):
        with warnings.catch_warnings(), pytest.raises(FileFormatError):
            read_policy_table(path, WORDS)
