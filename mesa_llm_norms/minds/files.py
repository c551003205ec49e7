"""Minds on disk: a recorded mind as JSON, a measured table as JSON or CSV.

A **recorded mind** is what ``mesa-llm-norms fit`` writes::

    {"format": "mesa_llm_norms recorded mind", "version": 1, "label": ..., "provenance": {...},
     "weights": {family: {feature: weight}}, "caution": 10.0,
     "drift": {"M Q": [1.05, 0.2]}, "counts": {"M Q": {"M/M M/Q": {"M": 12, "Q": 30}}}}

A **recording** of a live mind, which ``mesa-llm-norms record`` writes, is of version 2 and has the
answers themselves beside these: for every memory and every order in which the names were shown, one
number per name in the order of ``names``, probabilities or counts of choices::

    {..., "version": 2, "recordings": [{"names": ["Q", "M"], "memory": 3, "reward": 100,
     "penalty": -50, "answers_are": "probabilities",
     "answers": {"": {"Q M": [0.96, 0.04], "M Q": [0.02, 0.98]}}}]}

A **table** names its pool and gives a row per memory, written oldest first as ``own/partner``
pairs with spaces between (the slash may be left out when both names are single letters)::

    {"names": ["Q", "M"], "table": {"": [0.5, 0.5], "M/Q": [0.9, 0.1], "M/Q Q/Q": [1, 0]}}

and may have a ``label``, by default the file's name, and its ``provenance``; or, as CSV, with the
column ``memory`` first::

    memory,Q,M
    ,0.5,0.5
    M/Q,0.9,0.1
"""

from __future__ import annotations

import csv
import math
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import parse_json, read_text
from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.core.game import Game, Memory, Remembered, read_pool
from mesa_llm_norms.errors import FileFormatError, MindError, PoolError, SpecError, shown, some
from mesa_llm_norms.minds.mind import Mind, Policy
from mesa_llm_norms.minds.policies import ROUNDING, TableMind, write_memory
from mesa_llm_norms.minds.recorded import FAMILIES, RecordedMind, Weights, pool_key
from mesa_llm_norms.minds.recording import Order, Recording

FORMAT = "mesa_llm_norms recorded mind"
VERSION = 1
RECORDING = 2
"""The version of a file that has the answers of a live mind."""
ANSWERS_ARE = ("probabilities", "counts")
_REMEDY = "The page docs/minds.md shows what a mind file looks like."


def read_mind(path: str | Path) -> Policy:
    """Return the mind in a file: ``.json`` (a recorded mind or a table) or ``.csv`` (a table).

    Raises ``FileFormatError`` for anything that is not such a file.
    """
    path = Path(path)
    return parse_mind_file(path, read_text(path, _REMEDY))


def parse_mind_file(path: Path, text: str) -> Policy:
    """Return the mind in the text of a file, as ``read_mind`` does; nothing is opened."""
    mind = _parse(path, text)
    _texts[mind] = MindFile(path.name, text)
    return mind


class MindFile(NamedTuple):
    """The name and the text of the file that a mind was read from."""

    name: str
    text: str


def file_of(mind: Mind) -> MindFile | None:
    """Return the file that a mind was read from, as it was then; None if it is from none."""
    return _texts.get(mind)


# Not in the mind itself, which is what it plays: two files may hold the same one.
_texts: WeakKeyDictionary[Mind, MindFile] = WeakKeyDictionary()


def _parse(path: Path, text: str) -> Policy:
    if path.suffix.lower() == ".csv":
        return _table_from_csv(path, text)
    content = parse_json(path, text, _REMEDY)
    if content.get("format") == FORMAT:
        return _recorded(path, content)
    if "table" in content:
        return _table_from_json(path, content)
    raise FileFormatError(path, "it is neither a recorded mind nor a table", _REMEDY)


def write_recorded(mind: RecordedMind, path: Path) -> None:
    """Write a recorded mind; the same mind gives the same bytes."""
    content = {
        "format": FORMAT,
        "version": RECORDING if mind.recordings else VERSION,
        "label": mind.label,
        "provenance": mind.provenance,
        "weights": {family: dict(sorted(mind.weights[family].items())) for family in FAMILIES},
        "caution": mind.prior_strength,
        "drift": {pool: list(moves) for pool, moves in sorted(mind.drift.items())},
        "counts": {
            pool: {write_memory(memory): counted for memory, counted in sorted(rows.items())}
            for pool, rows in sorted(mind.fitted_counts.items())
        },
    }
    if mind.recordings:
        content["recordings"] = [_written(recording) for recording in mind.recordings]
    path.write_text(json_text(content, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


def write_table(mind: TableMind, path: Path) -> None:
    """Write a table as JSON; the same table gives the same bytes."""
    rows = sorted(mind.table.items(), key=lambda row: (len(row[0]), row[0]))
    content = {
        "label": mind.label,
        "provenance": mind.provenance,
        "names": list(mind.names),
        "table": {write_memory(memory): list(row) for memory, row in rows},
    }
    path.write_text(json_text(content, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


def _written(recording: Recording) -> dict[str, Any]:
    """Return a recording as ``read_mind`` reads it; memories are sorted, the shortest first."""
    game, answers = recording.game, recording.answers
    return {
        "names": list(game.pool),
        "memory": game.memory,
        "reward": game.reward,
        "penalty": game.penalty,
        "answers_are": ANSWERS_ARE[not recording.exact],
        "answers": {
            write_memory(memory): {
                " ".join(order): list(numbers) for order, numbers in sorted(answers[memory].items())
            }
            for memory in sorted(answers, key=lambda it: (len(it), it))
        },
    }


def _recorded(path: Path, content: Mapping[str, Any]) -> RecordedMind:
    version = content.get("version")
    if version not in (VERSION, RECORDING) or isinstance(version, (bool, float)):
        raise FileFormatError(
            path,
            f"it is of version {shown(version)}, not {VERSION} or {RECORDING}",
            "Fit the mind again with this version, or install the one that wrote it.",
        )
    label, provenance = _about(path, content, content.get("label"))
    weights = content.get("weights")
    if not isinstance(weights, dict) or set(weights) - set(FAMILIES):
        raise FileFormatError(path, "its weights are missing or of an unknown family", _REMEDY)
    read: Weights = {}
    for family in FAMILIES:
        features = weights.get(family, {})
        if not isinstance(features, dict) or not all(
            _is_finite(weight) and weight in limits.WEIGHT for weight in features.values()
        ):
            raise FileFormatError(
                path,
                f"the weights {family!r} are not numbers by feature, {limits.WEIGHT.range}",
                _REMEDY,
            )
        read[family] = {feature: float(weight) for feature, weight in features.items()}
    prior_strength = content.get("caution", 10.0)
    if not _is_finite(prior_strength) or prior_strength not in limits.PRIOR_STRENGTH:
        raise FileFormatError(
            path,
            f'its "caution" (the prior strength) is not from {limits.PRIOR_STRENGTH.range}',
            _REMEDY,
        )
    drift = content.get("drift", {})
    if not isinstance(drift, dict) or not all(_is_drift(moves) for moves in drift.values()):
        raise FileFormatError(path, "its drift is not a mean and a spread by pool", _REMEDY)
    counts = _counts(path, content.get("counts", {}))
    recordings = content.get("recordings", []) if version == RECORDING else []
    if not isinstance(recordings, list):
        raise FileFormatError(path, "its recordings are not a list", _REMEDY)
    return RecordedMind(
        *(label, read, counts, prior_strength, drift, provenance),
        recordings=_recordings(path, recordings),
    )


def _about(path: Path, content: Mapping[str, Any], label: Any) -> tuple[str, dict[str, Any]]:
    """Return the label and the provenance of a mind."""
    provenance = content.get("provenance", {})
    if not isinstance(label, str) or not label.isprintable() or not label.strip():
        raise FileFormatError(path, "its label is missing or not printable", _REMEDY)
    if not isinstance(provenance, dict):
        raise FileFormatError(path, "its provenance is not an object", _REMEDY)
    return label, provenance


def _recordings(path: Path, content: Sequence[Any]) -> list[Recording]:
    """Return recordings, each of a pool of its own."""
    found: dict[str, Recording] = {}
    for one in content:
        if not isinstance(one, dict):
            raise FileFormatError(path, "a recording is not an object", _REMEDY)
        names, kind = one.get("names"), one.get("answers_are")
        if kind not in ANSWERS_ARE:
            known = " or ".join(ANSWERS_ARE)
            raise FileFormatError(path, f"its answers are {shown(kind)}, not {known}", _REMEDY)
        try:
            rules = {key: one[key] for key in ("reward", "penalty", "memory") if key in one}
            game = Game(read_pool(names), **rules)
        except (PoolError, SpecError) as error:
            raise FileFormatError(path, error.problem, error.remedy) from error
        key = pool_key(game.pool)
        if key in found:
            raise FileFormatError(path, f"the names {key} were recorded twice", "Keep one of them.")
        answers: dict[Memory, dict[Order, tuple[float, ...]]] = {}
        for written, by_order in _items(path, one.get("answers")):
            memory = _parse_memory(path, written, game.pool)
            if memory in answers or len(memory) > game.memory or not by_order:
                problem = f"the memory {shown(written)} is too long, empty, or there twice"
                raise FileFormatError(path, problem, _REMEDY)
            answers[memory] = {
                _order(path, order, game.pool): _numbers(path, numbers, game.pool, kind)
                for order, numbers in _items(path, by_order)
            }
        found[key] = Recording(game, kind == ANSWERS_ARE[0], answers)
    return list(found.values())


def _order(path: Path, written: str, pool: tuple[str, ...]) -> Order:
    order = tuple(written.split())
    if sorted(order) != sorted(pool):
        problem = f"{shown(written)} is not an order of the names {some(pool)}"
        raise FileFormatError(path, problem, _REMEDY)
    return order


def _numbers(path: Path, content: Any, pool: tuple[str, ...], kind: str) -> tuple[float, ...]:
    """Return an answer: a distribution over the names, or how often each was chosen."""
    listed = isinstance(content, list) and len(content) == len(pool)
    if listed and all(_is_finite(number) and number >= 0 for number in content):
        total = sum(content)
        if kind == ANSWERS_ARE[0] and abs(total - 1) <= ROUNDING:
            return tuple(map(float, content))
        if (
            kind == ANSWERS_ARE[1]
            and total > 0
            and all(isinstance(number, int) and number in limits.COUNT for number in content)
        ):
            return tuple(content)
    raise FileFormatError(
        path, f"the answer {shown(content)} is not {kind} of the names {some(pool)}", _REMEDY
    )


def _counts(path: Path, content: Any) -> dict[str, dict[Memory, dict[str, float]]]:
    counts: dict[str, dict[Memory, dict[str, float]]] = {}
    for key, rows in _items(path, content):
        try:
            pool = read_pool(key.split())
        except PoolError as error:
            raise FileFormatError(path, error.problem, error.remedy) from error
        counts[pool_key(pool)] = {}
        for written, counted in _items(path, rows):
            if not all(
                name in pool
                and isinstance(n, int)
                and not isinstance(n, bool)
                and n in limits.COUNT
                for name, n in _items(path, counted)
            ):
                raise FileFormatError(
                    path, f"the counts of {shown(written)} are not counts by name", _REMEDY
                )
            counts[pool_key(pool)][_parse_memory(path, written, pool)] = counted
    return counts


def _items(path: Path, content: Any) -> ItemsView[str, Any]:
    if not isinstance(content, dict):
        problem = "its counts or answers are not objects by pool and memory"
        raise FileFormatError(path, problem, _REMEDY)
    return content.items()


def _table_from_json(path: Path, content: Mapping[str, Any]) -> TableMind:
    names, rows = content.get("names"), content["table"]
    if not isinstance(names, list) or not isinstance(rows, dict):
        raise FileFormatError(path, 'it needs "names", a list, and "table", an object', _REMEDY)
    label, provenance = _about(path, content, content.get("label", path.stem))
    return _table(path, names, rows, label, provenance)


def _table_from_csv(path: Path, text: str) -> TableMind:
    try:
        lines = [line for line in csv.reader(text.splitlines(), strict=True) if line]
    except csv.Error as error:
        raise FileFormatError(path, f"it is not CSV: {error}", _REMEDY) from error
    if not lines or lines[0][0].strip().lower() != "memory":
        raise FileFormatError(
            path, 'its first line does not begin with the column "memory"', _REMEDY
        )
    names = [name.strip() for name in lines[0][1:]]
    rows: dict[str, list[Any]] = {}
    for memory, *probabilities in lines[1:]:
        if memory in rows:
            raise FileFormatError(
                path, f"the memory {shown(memory)} has two rows", "Keep one of them."
            )
        try:
            rows[memory] = [float(probability) for probability in probabilities]
        except ValueError as error:
            raise FileFormatError(
                path,
                f"the row for memory {shown(memory)} holds something that is not a number",
                _REMEDY,
            ) from error
    return _table(path, names, rows)


def _table(
    path: Path,
    names: Sequence[Any],
    rows: Mapping[str, Any],
    label: str | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> TableMind:
    try:
        pool = read_pool(names)
    except PoolError as error:
        raise FileFormatError(path, error.problem, error.remedy) from error
    table: dict[Memory, list[float]] = {}
    for written, row in rows.items():
        if not isinstance(row, list) or not all(_is_finite(p) for p in row):
            raise FileFormatError(
                path, f"the row for memory {shown(written)} is not a list of numbers", _REMEDY
            )
        memory = _parse_memory(path, written, pool)
        if memory in table:
            raise FileFormatError(
                path, f"the memory {shown(written)} has two rows", "Keep one of them."
            )
        table[memory] = [float(p) for p in row]
    try:
        return TableMind(label or path.stem, pool, table, provenance)
    except MindError as error:
        raise FileFormatError(path, error.problem, error.remedy) from error


def _parse_memory(path: Path, written: str, pool: tuple[str, ...]) -> Memory:
    """Return a memory written as pairs of names, which may have spaces and slashes in them."""
    words, (known, longest) = written.split(), _words_of(pool)
    ways: list[list[Memory]] = [[()], *([] for _ in words)]
    for start in range(len(words)):
        for end in range(start + 1, min(start + longest, len(words)) + 1) if ways[start] else ():
            for pair in _pairs(" ".join(words[start:end]), known):
                ways[end] = [*ways[end], *((*memory, pair) for memory in ways[start])][:2]
    if len(ways[-1]) != 1:
        how = "can be read in two ways" if ways[-1] else "does not read"
        raise FileFormatError(
            path,
            f"the memory {shown(written)} {how} as pairs of the names {some(pool)}",
            'Write it oldest first as own/partner, such as "Q/M M/M".',
        )
    return ways[-1][0]


@lru_cache(8)
def _words_of(pool: tuple[str, ...]) -> tuple[Mapping[str, str], int]:
    """Return the names by what they read as, and the most words in a pair of them."""
    known = {" ".join(name.split()): name for name in pool}
    return known, 1 + 2 * max(name.count(" ") for name in known)


def _pairs(text: str, known: Mapping[str, str]) -> Iterator[Remembered]:
    """Yield the pairs of names that a text may stand for."""
    place = text.find("/")
    while place >= 0:
        if text[:place] in known and text[place + 1 :] in known:
            yield Remembered(known[text[:place]], known[text[place + 1 :]])
        place = text.find("/", place + 1)
    if len(text) == 2 and text[0] in known and text[1] in known:
        yield Remembered(*text)


def _is_drift(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(_is_finite(number) and 0 < number < 10 for number in value)
    )


def _is_finite(value: Any) -> bool:
    try:
        return (
            isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        )
    except OverflowError:
        return False
