"""Every mind keeps the contract; recorded minds have no bias they were not recorded with."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import pickle
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from chances import copying
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import memories, pools

from mesa_llm_norms import (
    CommittedMind,
    DecisionError,
    FileFormatError,
    Game,
    Mind,
    MindError,
    NamingGame,
    Policy,
    RecordedMind,
    ScriptedMind,
    Situation,
    TableMind,
    UniformMind,
    load_mind,
    mind_names,
)
from mesa_llm_norms.core.event_loop import wait_for
from mesa_llm_norms.core.game import Memory, Remembered, read_memory
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.minds.files import read_mind, write_recorded
from mesa_llm_norms.minds.recorded import DEPTH, pool_key, sharpen
from mesa_llm_norms.minds.registry import DEFAULT_MIND, recorded_names
from mesa_llm_norms.testing import check_mind

TEN = tuple("QMXYFJPRCD")
UNKNOWN = ("left", "右", "3", "so what")
RECORDED = recorded_names()


def recorded(name: str) -> RecordedMind:
    mind = load_mind(name)
    assert isinstance(mind, RecordedMind)
    return mind


def situation(memory: Memory = (), number: int = 0, seat: int = 0, names: str = "QM") -> Situation:
    return Situation(Game(tuple(names), memory=9), memory, 2**31, RandomStream(1), number, seat)


class MindConformance:
    """What every mind keeps; inherit it and give ``mind``, and the pools it plays."""

    pools: Sequence[Sequence[str]] = ("QM", TEN, UNKNOWN, ("?", "!"), string.ascii_lowercase)

    def mind(self, pool: Sequence[str]) -> Mind:
        raise NotImplementedError

    @pytest.mark.parametrize("memory", [1, 3, 5, 8])
    def test_the_published_check_passes(self, memory: int) -> None:
        for pool in self.pools:
            check_mind(self.mind(pool), pool, memory)

    def test_it_is_the_same_mind_after_a_way_to_a_worker(self) -> None:
        mind = self.mind(self.pools[0])
        copies: list[Any] = [pickle.loads(pickle.dumps(mind)), copy.deepcopy(mind)]
        for again in copies:
            assert again.label == mind.label
            check_mind(again, self.pools[0])
            if isinstance(mind, Policy):
                pool, memory = list(self.pools[0]), ((Remembered(*self.pools[0][:2])),)
                assert again.distribution(memory, pool) == mind.distribution(memory, pool)

    def test_what_it_is_in_one_run_conforms_and_depends_on_nothing_else(self) -> None:
        for pool in self.pools:
            game = Game(tuple(pool))
            mind = self.mind(pool)
            this_run = mind.for_run(game, RandomStream(3, 1))
            check_mind(this_run, pool)
            again = mind.for_run(game, RandomStream(3, 1))
            if isinstance(this_run, Policy) and isinstance(again, Policy):
                assert this_run.distribution((), pool) == again.distribution((), pool)

    def test_a_game_is_played_with_it(self) -> None:
        for pool in self.pools[:2]:
            game = NamingGame(graph="ring(n=6)", names=pool, mind=self.mind(pool), rng=1)
            game.run(rounds=3, until=None)
            assert game.interactions == 18


class TestUnbiasedMind(MindConformance):
    def mind(self, pool: Sequence[str]) -> Mind:  # noqa: ARG002
        return UniformMind()


class TestCommittedMind(MindConformance):
    def mind(self, pool: Sequence[str]) -> Mind:
        return CommittedMind(pool[-1])


class TestTableMind(MindConformance):
    def mind(self, pool: Sequence[str]) -> Mind:
        return copying(pool)


def first_name(situation: Situation) -> str:
    return situation.game.pool[0]


class TestScriptedMind(MindConformance):
    def mind(self, pool: Sequence[str]) -> Mind:  # noqa: ARG002
        return ScriptedMind(first_name)


class TestScriptedMindOnASequence(MindConformance):
    def mind(self, pool: Sequence[str]) -> Mind:
        return ScriptedMind(list(pool))


class RecordedConformance(MindConformance):
    """What every mind that ships keeps on top."""

    name: str

    def mind(self, pool: Sequence[str]) -> Mind:  # noqa: ARG002
        return load_mind(self.name)

    def test_it_ships_under_its_label_with_its_provenance(self) -> None:
        mind = recorded(self.name)
        assert mind.label == self.name
        assert {"source", "licence", "fitted_by", "conditions"} <= set(mind.provenance)
        assert mind.known(TEN)
        assert mind.known(UNKNOWN) == ()


class TestClaude35Sonnet(RecordedConformance):
    name = "claude-3.5-sonnet"


class TestLlama2(RecordedConformance):
    name = "llama-2-70b-chat"


class TestLlama3(RecordedConformance):
    name = "llama-3-70b-instruct"


class TestLlama31(RecordedConformance):
    name = "llama-3.1-70b-instruct"


def test_every_mind_that_ships_has_its_class_here() -> None:
    assert sorted(kind.name for kind in RecordedConformance.__subclasses__()) == sorted(RECORDED)


# Recorded minds

each_recorded = pytest.mark.parametrize("name", RECORDED)
few = settings(max_examples=60)


@each_recorded
@few
@given(pool=pools(max_size=12), data=st.data())
def test_probabilities_sum_to_one_on_any_pool(
    name: str, pool: tuple[str, ...], data: st.DataObject
) -> None:
    given_ = recorded(name).distribution(data.draw(memories(pool)), pool)
    assert len(given_) == len(pool)
    assert all(0 <= p <= 1 for p in given_)
    assert math.isclose(math.fsum(given_), 1, abs_tol=1e-12)


@each_recorded
@few
@given(
    known=st.lists(st.sampled_from(TEN), max_size=4, unique=True),
    data=st.data(),
)
def test_two_unknown_names_are_the_same_to_it_under_swapping(
    name: str, known: list[str], data: st.DataObject
) -> None:
    """Neither is preferred: with their parts in memory swapped, so are their probabilities."""
    pool = data.draw(st.permutations([*known, "left", "right"]))
    memory = data.draw(memories(pool))
    swap = {"left": "right", "right": "left"}
    swapped = tuple(Remembered(swap.get(a, a), swap.get(b, b)) for a, b in memory)
    mind = recorded(name)
    one = dict(zip(pool, mind.distribution(memory, pool), strict=True))
    other = dict(zip(pool, mind.distribution(swapped, pool), strict=True))
    for played in pool:
        assert math.isclose(one[played], other[swap.get(played, played)], abs_tol=1e-12)


@each_recorded
@pytest.mark.parametrize("size", [2, 3, 10, 26])
def test_with_nothing_remembered_unknown_names_are_equal(name: str, size: int) -> None:
    pool = [f"word {number}" for number in range(size)]
    for p in recorded(name).distribution((), pool):
        assert math.isclose(p, 1 / size, abs_tol=1e-12)


@each_recorded
@few
@given(pool=st.one_of(st.just(("Q", "M")), st.just(TEN), pools()), data=st.data())
def test_only_the_last_five_interactions_count(
    name: str, pool: tuple[str, ...], data: st.DataObject
) -> None:
    memory = data.draw(memories(pool, min_size=DEPTH, max_size=9))
    mind = recorded(name)
    assert mind.distribution(memory, pool) == mind.distribution(memory[-DEPTH:], pool)


@each_recorded
@few
@given(pool=st.one_of(st.just(("Q", "M")), st.just(TEN), pools()), data=st.data())
def test_the_order_of_the_pool_means_nothing(
    name: str, pool: tuple[str, ...], data: st.DataObject
) -> None:
    memory = data.draw(memories(pool))
    other = data.draw(st.permutations(pool))
    mind = recorded(name)
    one = dict(zip(pool, mind.distribution(memory, pool), strict=True))
    two = dict(zip(other, mind.distribution(memory, other), strict=True))
    assert all(math.isclose(one[played], two[played], abs_tol=1e-12) for played in pool)


def test_what_was_counted_in_the_very_pool_comes_first() -> None:
    memory = read_memory([("Q", "M")])
    counts = {pool_key("QM"): {memory: {"Q": 60, "M": 30}}}
    mind = RecordedMind("counted", read_empty(), counts, prior_strength=10)
    assert mind.distribution(memory, "QM") == pytest.approx([65 / 100, 35 / 100])
    assert mind.distribution(memory, "MQ") == pytest.approx([35 / 100, 65 / 100])
    assert mind.distribution(memory, "QMX") == pytest.approx([1 / 3] * 3)
    assert mind.distribution((), "QM") == [0.5, 0.5]


def read_empty() -> dict[str, dict[str, float]]:
    return {family: {} for family in recorded(DEFAULT_MIND).weights}


def test_the_weight_of_a_name_is_in_log_odds() -> None:
    weights = {**read_empty(), "name": {"Q": 1.0}}
    q, m = RecordedMind("leaning", weights).distribution((), "QM")
    assert math.log(q / m) == pytest.approx(1)
    assert RecordedMind("leaning", weights).known("XQM") == ("Q",)


def test_no_sharpness_is_too_much() -> None:
    assert sharpen([0.2, 0.5, 0.3], 1e9) == [0, 1, 0]
    assert sharpen([0.5, 0.5], 1e9) == [0.5, 0.5]
    assert sharpen([0.2, 0.8, 0.0], 1e-9) == pytest.approx([0.5, 0.5, 0.0])


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=10), st.floats(0.1, 5))
def test_sharpening_keeps_the_order_and_the_sum(weights: list[float], sharpness: float) -> None:
    total = sum(weights)
    before = [weight / total for weight in weights]
    after = sharpen(before, sharpness)
    assert math.fsum(after) == pytest.approx(1)
    for one, other in zip(before, after, strict=True):
        assert math.isclose(
            math.log(other / after[0]), sharpness * math.log(one / before[0]), abs_tol=1e-6
        )


def test_a_mind_that_drifts_is_another_in_every_run_and_the_same_in_each() -> None:
    drift = {pool_key("QM"): (1.0, 0.5)}
    weights = {**read_empty(), "name": {"Q": 1.0}}
    mind = RecordedMind("drifting", weights, drift=drift)
    game = Game(("Q", "M"))
    runs = [mind.for_run(game, RandomStream(1, run)).distribution((), "QM")[0] for run in range(20)]
    again = [
        mind.for_run(game, RandomStream(1, run)).distribution((), "QM")[0] for run in range(20)
    ]
    assert runs == again
    assert len(set(runs)) == 20
    assert mind.for_run(Game(("Q", "X")), RandomStream(1)) is mind


# The others


def test_the_uniform_mind_prefers_nothing() -> None:
    assert UniformMind().distribution(read_memory([("Q", "Q")] * 5), TEN) == [0.1] * 10


def test_a_committed_mind_plays_its_name_and_no_game_without_it() -> None:
    mind = CommittedMind("M")
    assert mind.distribution(read_memory([("Q", "Q")] * 5), "QMX") == [0, 1, 0]
    with pytest.raises(MindError, match="'M' is not in the pool"):
        mind.check(Game(("Q", "X")))


def test_a_table_is_looked_up_by_the_longest_recent_part_it_has() -> None:
    table = {
        (): [0.5, 0.5],
        read_memory(["QM"]): [0.9, 0.1],
        read_memory(["QQ", "QM"]): [0.2, 0.8],
        read_memory(["MM", "MM", "MM"]): [0.0, 1.0],
    }
    mind = TableMind("measured", "QM", table)
    cases = {
        (): 0.5,
        ("QM",): 0.9,
        ("QQ", "QM"): 0.2,
        ("MQ", "QQ", "QM"): 0.2,
        ("MM", "QM"): 0.9,
        ("QM", "QQ"): 0.5,
        ("MM", "MM"): 0.5,
        ("QM", "MM", "MM", "MM"): 0.0,
    }
    for pairs, expected in cases.items():
        assert mind.distribution(read_memory(pairs), "QM")[0] == expected
        assert mind.distribution(read_memory(pairs), "MQ")[1] == expected


def test_a_table_plays_only_the_pool_it_was_measured_for() -> None:
    mind = TableMind("measured", "QM", {(): [0.5, 0.5]})
    mind.check(Game(("M", "Q")))
    for names in ("QX", "QMX"):
        with pytest.raises(MindError, match="measured for"):
            mind.check(Game(tuple(names)))


BAD_ROWS: list[list[Any]] = [[1.0], [0.5, 0.6], [-0.5, 1.5], [0, 0], [math.nan, 1], [0.4, 0.3, 0.3]]


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_row_that_is_no_distribution_is_refused(row: list[float]) -> None:
    with pytest.raises(MindError, match="no distribution"):
        TableMind("bad", "QM", {(): row})


def test_a_table_needs_a_row_for_the_first_interaction() -> None:
    with pytest.raises(MindError, match="empty memory"):
        TableMind("bad", "QM", {read_memory(["QM"]): [0.5, 0.5]})


def test_a_script_is_a_function_a_mapping_or_a_sequence() -> None:
    memory = read_memory(["QM", "QM"])
    by_memory = ScriptedMind("QMXQ")
    assert [wait_for(by_memory.decide(situation(memory[:n]))).name for n in range(3)] == [*"QMX"]
    assert wait_for(by_memory.decide(situation(memory * 4))).name == "Q"
    by_number = ScriptedMind({(3, 0): "Q", (3, 1): "M"})
    assert wait_for(by_number.decide(situation(number=3, seat=1))).name == "M"
    by_function = ScriptedMind(lambda it: it.game.pool[it.interaction % 2])
    assert wait_for(by_function.decide(situation(number=5))).name == "M"


@pytest.mark.parametrize("script", [{}, {(0, 1): "Q"}, [], ""])
def test_where_the_script_says_nothing_no_decision_is_made(script: Any) -> None:
    with pytest.raises(DecisionError, match="interaction 0, seat 0"):
        wait_for(ScriptedMind(script).decide(situation()))


# By name


def test_minds_go_by_name_and_a_mind_is_itself() -> None:
    assert mind_names() == (*RECORDED, "uniform")
    assert DEFAULT_MIND in RECORDED
    for name in mind_names():
        assert load_mind(name).label == name
    mind = UniformMind()
    assert load_mind(mind) is mind


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(MindError, match=r"did you mean 'claude-3\.5-sonnet'"):
        load_mind("claude-sonnet-3.5")


@pytest.mark.parametrize("mind", ["", "?", "gpt", None, 3, b"uniform", [], UniformMind])
def test_what_is_no_mind_is_refused(mind: Any) -> None:
    with pytest.raises(MindError) as caught:
        load_mind(mind)
    assert caught.value.argument == "mind"


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    for path in (
        tmp_path / "none.json",
        str(tmp_path / "none.csv"),
        tmp_path,
        tmp_path / "a\0.json",
    ):
        with pytest.raises(FileFormatError):
            load_mind(path if isinstance(path, str) else Path(path))


# Files


@each_recorded
def test_a_recorded_mind_comes_back_from_its_file_and_gives_the_same_bytes(
    name: str, tmp_path: Path
) -> None:
    mind = recorded(name)
    path, other = tmp_path / "one.json", tmp_path / "other.json"
    write_recorded(mind, path)
    again = read_mind(path)
    assert isinstance(again, RecordedMind)
    assert (again.label, again.weights, again.counts) == (mind.label, mind.weights, mind.counts)
    assert (again.prior_strength, again.drift) == (mind.prior_strength, mind.drift)
    assert again.provenance == mind.provenance
    write_recorded(again, other)
    assert path.read_bytes() == other.read_bytes()


ROWS: dict[str, list[float]] = {
    "": [0.5, 0.5],
    "Q/M": [0.9, 0.1],
    "MM": [0.25, 0.75],
    "Q/M M/M": [1, 0],
}


def table_files(folder: Path, names: Sequence[str] = "QM") -> list[Path]:
    """Write the same table in both formats."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(["memory", *names])
    writer.writerows([[memory, *map(str, row)] for memory, row in ROWS.items()])
    as_csv, as_json = folder / "table.csv", folder / "table.JSON"
    as_csv.write_text(lines.getvalue(), encoding="utf-8-sig")
    as_json.write_text(json.dumps({"names": list(names), "table": ROWS}), encoding="utf-8")
    return [as_csv, as_json]


def test_a_table_is_read_alike_from_csv_and_json(tmp_path: Path) -> None:
    for path in table_files(tmp_path):
        mind = load_mind(str(path))
        assert isinstance(mind, TableMind)
        assert mind.label == "table"
        assert mind.names == ("Q", "M")
        assert mind.table == {
            (): (0.5, 0.5),
            read_memory(["QM"]): (0.9, 0.1),
            read_memory(["MM"]): (0.25, 0.75),
            read_memory(["QM", "MM"]): (1, 0),
        }
        game = NamingGame(graph="ring(n=6)", names="MQ", mind=str(path), rng=1)
        game.step()
        assert game.interactions == 6


BAD_FILES = {
    "empty.json": "",
    "empty.csv": "",
    "list.json": "[]",
    "nothing.json": "{}",
    "null.json": "null",
    "deep.json": "[" * 100_000,
    "deeper.json": '{"table":' * 50_000,
    "digits.json": '{"names": ["Q", "M"], "table": {"": [' + "9" * 5_000 + ", 0]}}",
    "nan.json": '{"names": ["Q", "M"], "table": {"": [NaN, 1]}}',
    "infinite.json": '{"names": ["Q", "M"], "table": {"": [1e999, 0]}}',
    "huge.json": '{"names": ["Q", "M"], "table": {"": [' + "9" * 400 + ", 0]}}",
    "bool.json": '{"names": ["Q", "M"], "table": {"": [true, false]}}',
    "names.json": '{"names": "QM", "table": {"": [0.5, 0.5]}}',
    "one.json": '{"names": ["Q"], "table": {"": [1]}}',
    "rows.json": '{"names": ["Q", "M"], "table": [[0.5, 0.5]]}',
    "row.json": '{"names": ["Q", "M"], "table": {"": 0.5}}',
    "first.json": '{"names": ["Q", "M"], "table": {"Q/M": [0.5, 0.5]}}',
    "twice.json": '{"names": ["Q", "M"], "table": {"": [0.5, 0.5], " ": [0.5, 0.5]}}',
    "strange.json": '{"names": ["Q", "M"], "table": {"": [0.5, 0.5], "Q/X": [0.5, 0.5]}}',
    "unhashable.json": '{"names": [["Q"], {"M": 1}], "table": {"": [0.5, 0.5]}}',
    "header.csv": "Q,M\n0.5,0.5\n",
    "short.csv": "memory,Q,M\n,0.5\n",
    "word.csv": "memory,Q,M\n,half,half\n",
    "nan.csv": "memory,Q,M\n,nan,1\n",
    "twice.csv": "memory,Q,M\n,0.5,0.5\n,0.5,0.5\n",
    "sum.csv": "memory,Q,M\n,0.5,0.6\n",
    "quotes.csv": 'memory,Q,M\n"Q/M,0.5,0.5\n',
    "field.csv": "memory,Q,M\n" + "Q" * 200_000 + ",0.5,0.5\n",
    "nul.csv": "memory,Q,M\n\0,0.5,0.5\n",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_mind_file_is_refused_with_its_path_and_a_remedy(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(BAD_FILES[name], encoding="utf-8")
    with pytest.raises(FileFormatError) as caught:
        load_mind(path)
    assert caught.value.path == path
    assert caught.value.remedy


MINIMAL: dict[str, Any] = {
    "format": "mesa_llm_norms recorded mind",
    "version": 1,
    "label": "mine",
    "provenance": {"source": "me"},
    "weights": {"name": {"Q": 0.5}, "lag": {"1B": 2.0}},
    "caution": 10.0,
    "drift": {"M Q": [1.0, 0.2]},
    "counts": {"M Q": {"": {"Q": 3}, "Q/M M/M": {"Q": 1, "M": 5}}},
}

BAD_FIELDS: list[tuple[str, Any]] = [
    ("format", "pickle"),
    ("version", 2),
    ("version", None),
    ("label", ""),
    ("label", 3),
    ("label", "\ud800"),
    ("label", "a\nb"),
    ("provenance", []),
    ("weights", None),
    ("weights", {"taste": {}}),
    ("weights", {"name": {"Q": "1"}}),
    ("weights", {"name": {"Q": math.nan}}),
    ("weights", {"name": {"Q": 1e300}}),
    ("weights", {"name": {"Q": 10**400}}),
    ("weights", {"name": [1]}),
    ("caution", 0),
    ("caution", -1),
    ("caution", 5e-324),
    ("caution", math.inf),
    ("caution", True),
    ("drift", []),
    ("drift", {"M Q": [1.0]}),
    ("drift", {"M Q": [1.0, math.nan]}),
    ("drift", {"M Q": "ab"}),
    ("drift", {"M Q": [1e300, 1.0]}),
    ("drift", {"M Q": [1.0, 1e300]}),
    ("drift", {"M Q": [0, 1.0]}),
    ("counts", []),
    ("counts", {"M": {}}),
    ("counts", {"M Q": []}),
    ("counts", {"M Q": {"Q/X": {"Q": 1}}}),
    ("counts", {"M Q": {"": {"X": 1}}}),
    ("counts", {"M Q": {"": {"Q": -1}}}),
    ("counts", {"M Q": {"": {"Q": 1.5}}}),
    ("counts", {"M Q": {"": {"Q": 10**400}}}),
]


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS, ids=lambda value: repr(value)[:40])
def test_a_bad_field_of_a_recorded_mind_is_refused(field: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(MINIMAL), encoding="utf-8")
    assert load_mind(path).label == "mine"
    path.write_text(json.dumps({**MINIMAL, field: value}), encoding="utf-8")
    with pytest.raises(FileFormatError):
        load_mind(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp037"])
def test_a_file_that_is_not_utf_8_is_refused(encoding: str, tmp_path: Path) -> None:
    for path in table_files(tmp_path):
        path.write_bytes(path.read_text(encoding="utf-8-sig").encode(encoding))
        with pytest.raises(FileFormatError):
            load_mind(path)


def test_a_file_too_large_to_be_a_mind_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(20_000_001)
    with pytest.raises(FileFormatError, match="larger"):
        load_mind(path)


anything: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["", "Q", "M", "Q/M", "M Q", 1e308, 10**400]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["", "Q", "M", "Q/M", "M Q", "name", "1B"]), inner),
    ),
    max_leaves=5,
)


@st.composite
def hostile_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A suffix, and a good mind file with a value replaced or its bytes damaged."""
    suffix = draw(st.sampled_from([".json", ".csv"]))
    table: dict[str, Any] = {"names": ["Q", "M"], "table": dict(ROWS)}
    if suffix == ".json":
        content = copy.deepcopy(draw(st.sampled_from([MINIMAL, table])))
        for _ in range(draw(st.integers(0, 2))):
            place: Any = content
            while True:
                keys = list(place) if isinstance(place, dict) else list(range(len(place)))
                if not keys:
                    break
                key = draw(st.sampled_from(keys))
                if isinstance(place[key], (dict, list)) and draw(st.booleans()):
                    place = place[key]
                    continue
                place[key] = draw(anything)
                break
        contents = bytearray(json.dumps(content).encode())
    else:
        lines = ["memory,Q,M"]
        lines += [",".join([key, *map(str, row)]) for key, row in ROWS.items()]
        contents = bytearray("\n".join(lines).encode())
    for kind in draw(st.lists(st.sampled_from(["cut", "flip", "insert", "repeat"]), max_size=3)):
        at = draw(st.integers(0, len(contents)))
        if kind == "cut":
            del contents[at:]
        elif kind == "flip" and at < len(contents):
            contents[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            contents[at:at] = draw(
                st.one_of(st.binary(max_size=6), st.sampled_from([b"1e999", b"NaN", b'"', b"[{"]))
            )
        elif kind == "repeat":
            contents[at:at] = contents[at : at + 20]
    return suffix, bytes(contents)


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile=hostile_files(), data=st.data())
def test_a_hostile_file_is_refused_or_is_a_mind_that_plays(
    hostile: tuple[str, bytes], data: st.DataObject, tmp_path: Path
) -> None:
    """No file makes anything but ``FileFormatError``, and what is read keeps the contract."""
    suffix, contents = hostile
    path = tmp_path / f"hostile{suffix}"
    path.write_bytes(contents)
    try:
        mind = read_mind(path)
    except FileFormatError:
        return
    pool = mind.names if isinstance(mind, TableMind) else ("Q", "M")
    check_mind(mind, pool, memory=3)
    run = data.draw(st.integers(0, 2**40))
    check_mind(mind.for_run(Game(pool, memory=3), RandomStream(0, run)), pool, memory=3)
