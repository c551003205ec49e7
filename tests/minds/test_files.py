"""Minds come back from their files unchanged, and bad files are refused with a remedy."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mind_conformance import recorded

from mesa_llm_norms import Game, NamingGame, TableMind, load_mind
from mesa_llm_norms.core.game import read_memory
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.minds import RecordedMind
from mesa_llm_norms.minds.files import read_mind, write_recorded
from mesa_llm_norms.minds.policies import write_memory
from mesa_llm_norms.minds.registry import recorded_names
from mesa_llm_norms.testing import check_mind


@pytest.mark.parametrize("name", recorded_names())
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


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_a_table_may_name_what_has_spaces_and_slashes(ending: str, tmp_path: Path) -> None:
    pool = ["New York", "York", "New", "n/a"]
    memories = [(), (("New York", "York"), ("New", "n/a")), (("n/a", "n/a"), ("York", "New York"))]
    rows = {write_memory(read_memory(memory)): [0.25] * 4 for memory in memories}
    path = tmp_path / f"cities.{ending}"
    if ending == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [["memory", *pool], *([memory, *row] for memory, row in rows.items())]
            )
    else:
        path.write_text(json.dumps({"names": pool, "table": rows}), encoding="utf-8")
    mind = load_mind(path)
    assert isinstance(mind, TableMind)
    assert set(mind.table) == set(map(read_memory, memories))


def test_a_memory_that_reads_in_two_ways_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    names = ["a", "a b", "b c", "c"]
    table = {"": [0.25] * 4, "a/a b c/a": [0.25] * 4}
    path.write_text(json.dumps({"names": names, "table": table}), encoding="utf-8")
    with pytest.raises(FileFormatError, match="two ways"):
        load_mind(path)


def test_a_row_that_does_not_sum_to_one_is_refused_in_one_sentence_each(tmp_path: Path) -> None:
    path = tmp_path / "sum.csv"
    path.write_text(BAD_FILES["sum.csv"], encoding="utf-8")
    with pytest.raises(FileFormatError) as caught:
        load_mind(path)
    assert ".." not in str(caught.value).removeprefix(str(path))


BAD_FIELDS: list[tuple[str, Any]] = [
    ("format", "pickle"),
    ("version", 3),
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
