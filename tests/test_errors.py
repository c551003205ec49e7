"""Errors say what to do, keep what was wrong, and survive the way back from a worker process."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from mesa_llm_norms import errors
from mesa_llm_norms.errors import (
    BudgetError,
    CallError,
    DecisionError,
    FileFormatError,
    GraphError,
    InterruptionError,
    JournalError,
    MindError,
    NormsError,
    PairingError,
    PoolError,
    ReportError,
    SkippedError,
    SpecError,
    TopologyError,
    WorkerError,
    some,
)

ONE_OF_EACH: list[NormsError] = [
    SpecError("memory", 0, "0 is out of range", "Use 1 to 1000."),
    PoolError("names", "Q", "a pool of 1", "Give 2."),
    TopologyError("graph", "rign(n=3)", "no topology is called 'rign'", "Did you mean ring?"),
    PairingError("pairing", (0, 5), "not an edge", "Draw edges."),
    MindError("mind", "x", "there is no mind 'x'", "Known are ..."),
    GraphError("nodes without any edge", "Remove them.", [3, ("a", 1)]),
    FileFormatError(Path("mind.json"), "it is not JSON", "See the page."),
    DecisionError("scripted", "it chose 'Z'"),
    SkippedError("claude:x", "it refuses"),
    CallError("claude:x", "rate limit", "too many", 429, 3.5),
    BudgetError("usd", 1.5, 1.4, 0.2),
    JournalError(Path("journal.sqlite"), "it is damaged", "Take a copy."),
    ReportError("runs/first", "OSError: no space left"),
    WorkerError("the executor is broken", "Give another one."),
    InterruptionError(),
]


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=lambda error: type(error).__name__)
def test_an_error_is_pickled_with_its_attributes(error: NormsError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_every_error_class_is_tried() -> None:
    classes = {
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, NormsError)
    }
    assert classes - {NormsError} == {type(error) for error in ONE_OF_EACH}


def test_bad_arguments_and_files_are_value_errors_and_nothing_else_is() -> None:
    for error in ONE_OF_EACH:
        given = isinstance(error, (SpecError, FileFormatError))
        assert isinstance(error, ValueError) == given


def test_a_graph_error_names_its_nodes_and_a_file_error_its_path() -> None:
    assert GraphError("p", "r", [3, "a"]).nodes == (3, "a")
    assert FileFormatError("mind.json", "p", "r").path == Path("mind.json")


def test_long_lists_are_named_in_part() -> None:
    assert some([1, 2]) == "1, 2"
    assert some([*range(8)], 3) == "0, 1, 2 and 5 more"
