"""Numbers read the same wherever they are shown."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.core import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "null"),
        (-math.inf, "null"),
        (np.float32("inf"), "null"),
        (pd.NA, "null"),
        (pd.NaT, "null"),
        (0.1, "0.1"),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        ("Zoë", '"Zoë"'),
        ((1, [math.nan, {"a": math.inf}]), '[1, [null, {"a": null}]]'),
        (np.array([[1.0, math.nan]]), "[[1.0, null]]"),
        (pd.DataFrame({"n": pd.array([1, None], "Int64")}).to_dict("list"), '{"n": [1, null]}'),
    ],
)
def test_json_has_null_where_a_number_is_infinite_or_missing(value: Any, text: str) -> None:
    assert formatting.json_text({"it": value}) == f'{{"it": {text}}}'


def test_json_is_written_by_one_function() -> None:
    """What is only hashed, or read by this package alone, may be written otherwise."""
    package = Path(formatting.__file__).parents[1]
    own = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\bjson\.dumps\(|\.to_json\(orient", path.read_text(encoding="utf-8"))
    }
    assert own <= {
        "core/formatting.py",
        "core/games.py",
        "experiments/sweeps/cells.py",
        "experiments/sweeps/recordings.py",
        "llm/any_model.py",
        "llm/chat_completions.py",
        "llm/client.py",
        "llm/journal/database.py",
        "llm/journal/journal.py",
        "llm/journal/rows.py",
        "llm/replies.py",
        "llm/retry.py",
        "networks/formats.py",
        "networks/placement.py",
        "simulation/serialization.py",
        "web/guard.py",
    }


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.0, 0, "0%"),
        (0.001, 0, "<1%"),
        (0.25, 0, "25%"),
        (0.9951, 0, "99.5%"),
        (0.99999, 0, "99.9%"),
        (1.0, 0, "100%"),
        (0.0001, 1, "<0.1%"),
        (0.1234, 1, "12.3%"),
        (0.9999, 1, "99.99%"),
    ],
)
def test_a_percentage_never_rounds_to_nothing_or_to_everything(
    share: float, digits: int, text: str
) -> None:
    assert formatting.percent(share, digits) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (Estimate(0.5, 0.25, 0.75), "50% (25% to 75%)"),
        (Estimate(0.5, 0.5, 0.5), "50%"),
        (Estimate(0.5, 0.25, math.inf), "50% (25% to more)"),
        (Estimate(math.inf, 0.25, math.inf), "more"),
        (Estimate(math.nan, 0.0, 1.0), "none"),
        (Estimate(math.nan, math.nan, math.nan), "none"),
    ],
)
def test_an_estimate_has_its_interval_unless_it_is_known_or_infinite_or_missing(
    given: Estimate, text: str
) -> None:
    assert formatting.estimate(given, ".0%") == text


@pytest.mark.parametrize(
    ("p_value", "number", "sentence"),
    [
        (None, "known", "known"),
        (math.nan, "none", "none"),
        (0.0001, "< 0.001", "p < 0.001"),
        (0.0341, "0.034", "p = 0.034"),
        (0.25, "0.25", "p = 0.25"),
        (1.0, "1.00", "p = 1.00"),
    ],
)
def test_a_p_value_that_does_not_exist_is_none_and_one_that_is_known_needs_no_test(
    p_value: float | None, number: str, sentence: str
) -> None:
    assert formatting.p_number(p_value) == number
    assert formatting.p_value(p_value) == sentence


def test_things_are_counted_in_the_plural_but_for_one() -> None:
    assert formatting.plural(1, "run") == "1 run"
    assert formatting.plural(0, "run") == "0 runs"
    assert formatting.plural(1_200, "reply", "replies") == "1,200 replies"


@pytest.mark.parametrize(
    ("numbers", "write", "words"),
    [
        ((1_234, 2_099, 3_333), formatting.about, "1,200 to 3,400 (about 2,100)"),
        ((1_234, 1_234, 1_234), formatting.about, "1,234"),
        ((0, 0.4, 7.2), formatting.about, "0 to 8 (about 0)"),
        ((8.4, 13.3, 21), formatting.about, "8 to 21 (about 13)"),
        ((995, 999, 1_001), formatting.about, "990 to 1,100 (about 1,000)"),
        ((0.0121, 0.1, 1.21), formatting.dollars, "$0.012 to $1.30 (about $0.10)"),
        ((12.1, 99.6, 12_345), formatting.dollars, "$12 to $13,000 (about $100)"),
        ((0.4, 1, 119), formatting.duration, "0.4 seconds to 120 seconds (about 1 second)"),
        ((90, 150, 9_000), formatting.duration, "90 seconds to 2.5 hours (about 2.5 minutes)"),
        ((86_400, 172_800, 864_000), formatting.duration, "24 hours to 10 days (about 2 days)"),
    ],
)
def test_ranges_are_written_with_two_digits_and_rounded_away_from_the_middle(
    numbers: tuple[float, float, float], write: Any, words: str
) -> None:
    assert formatting.spread(numbers, write) == words
