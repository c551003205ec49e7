"""Minds as uncertain as their fit: which refit plays a run, and minds that have none."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesa_llm_norms import Game, load_mind, run_ensemble
from mesa_llm_norms.core.game import Remembered
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import FileFormatError, MindError
from mesa_llm_norms.experiments.audits.preference import SymmetricMind
from mesa_llm_norms.minds import RecordedMind
from mesa_llm_norms.minds.refits import Refits, entries_of, features_of, read_refits, write_refits
from mesa_llm_norms.minds.registry import STUDY_MINDS, with_refits
from mesa_llm_norms.simulation.serialization import from_json, to_json
from mesa_llm_norms.simulation.spec import Spec

GAME = Game(("Q", "M"))


def refitted(name: str = "claude-3.5-sonnet") -> RecordedMind:
    mind = load_mind(f"{name}~")
    assert isinstance(mind, RecordedMind)
    return mind


@pytest.mark.parametrize("name", STUDY_MINDS)
def test_minds_of_the_study_ship_with_refits_and_say_so(name: str) -> None:
    mind = refitted(name)
    assert mind.label == f"{name}~"
    assert mind.refits is not None
    assert mind.provenance["refits"] == len(mind.refits) >= 50
    one = mind.for_run(GAME, RandomStream(1, 0))
    assert one.label == mind.label
    assert one.provenance["refit"] == mind.number_of_refit(RandomStream(1, 0))


def test_refits_take_little_room() -> None:
    folder = resources.files("mesa_llm_norms.minds").joinpath("recordings")
    sizes = [len(one.read_bytes()) for one in folder.iterdir() if one.name.endswith(".refits")]
    assert len(sizes) == len(STUDY_MINDS)
    assert sum(sizes) < 300_000


def test_every_refit_plays_some_runs_about_equally_often() -> None:
    """Chi-square above 120 with 49 degrees of freedom: less than one in ten million."""
    mind = refitted()
    assert mind.refits is not None
    drawn = [mind.number_of_refit(RandomStream(3, run)) for run in range(5_000)]
    counts = np.bincount(drawn, minlength=len(mind.refits))
    assert ((counts - 100) ** 2 / 100).sum() < 120


def test_a_run_is_the_same_on_every_engine_and_in_any_company() -> None:
    arguments: dict[str, Any] = {
        "graph": "ring(n=12, k=4)",
        "names": "QM",
        "mind": refitted(),
        "rng": 5,
    }
    plain, compiled = (
        run_ensemble(**arguments, runs=9, rounds=15, until=None, engine=engine)
        for engine in ("python", "auto")
    )
    assert plain.runs.equals(compiled.runs)
    assert plain.rounds.equals(compiled.rounds)
    assert [*map(list, plain.held)] == [*map(list, compiled.held)]
    minds = {refitted().number_of_refit(RandomStream(5, run)) for run in range(9)}
    assert len(minds) > 3
    few = run_ensemble(**arguments, runs=3, rounds=15, until=None)
    assert few.runs.equals(plain.runs[:3])


def test_the_same_is_played_mixed_with_other_minds_and_committed_agents() -> None:
    arguments: dict[str, Any] = {
        "graph": "complete(n=10)",
        "names": "QM",
        "mind": {"llama-3.1-70b-instruct~": 0.5, "claude-3.5-sonnet~": 0.25, "uniform": 0.25},
        "committed": {"M": 2},
        "rng": 5,
    }
    plain, compiled = (
        run_ensemble(**arguments, runs=6, rounds=10, until=None, engine=engine)
        for engine in ("python", "auto")
    )
    assert plain.runs.equals(compiled.runs)
    assert plain.rounds.equals(compiled.rounds)


def test_refits_differ_from_run_to_run_and_lie_around_the_mind() -> None:
    mind = refitted("llama-3.1-70b-instruct")
    shares = [
        mind.for_run(GAME, RandomStream(1, run)).distribution((), "QM")[0] for run in range(60)
    ]
    assert 0.005 < np.std(shares) < 0.2
    assert np.mean(shares) == pytest.approx(mind.distribution((), "QM")[0], abs=0.05)


def test_a_symmetric_mind_is_that_of_the_refit() -> None:
    mind, stream = refitted(), RandomStream(2, 1)
    memory = (Remembered("Q", "M"),)
    found = SymmetricMind(mind).for_run(GAME, stream).distribution(memory, "QM")
    again = SymmetricMind(mind.for_run(GAME, stream)).distribution(memory, "QM")
    assert found == again != SymmetricMind(mind).distribution(memory, "QM")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("uniform~", "not fitted to recorded runs"),
        ("classical~", "not fitted to recorded runs"),
        ("smollm2-135m-memory-2~", "alike in every run"),
        ("claude:some-model~", "alike in every run"),
        ("claude-3.5-sonnet~~", "Write ~ once"),
    ],
)
def test_minds_without_refits_say_why(name: str, why: str) -> None:
    with pytest.raises(MindError, match=why):
        load_mind(name)


def test_a_name_that_is_not_known_is_not_known_with_refits_either() -> None:
    with pytest.raises(MindError, match=r"did you mean 'claude-3.5-sonnet'"):
        load_mind("claude-3.5-sonet~")


def test_a_spec_keeps_the_name() -> None:
    spec = Spec(names="QM", mind="claude-3.5-sonnet~")
    assert to_json(spec)["mind"] == "claude-3.5-sonnet~"
    assert from_json(to_json(spec)).minds == spec.minds
    copied = pickle.loads(pickle.dumps(refitted()))
    assert copied.for_run(GAME, RandomStream(1, 4)).weights == (
        refitted().for_run(GAME, RandomStream(1, 4)).weights
    )


def some_refits(mind: RecordedMind) -> Refits:
    chance = np.random.default_rng(0)
    features, entries, pools = features_of(mind), entries_of(mind), sorted(mind.drift)
    return Refits(
        chance.integers(-3, 4, (3, len(features)), dtype=np.int8),
        chance.integers(-1, 2, (3, len(entries)), dtype=np.int8),
        np.full((3, len(pools), 2), 0.5),
        *(features, entries, pools),
    )


def test_refits_are_read_as_they_were_written(tmp_path: Path) -> None:
    mind = load_mind("llama-3.1-70b-instruct")
    assert isinstance(mind, RecordedMind)
    refits = some_refits(mind)
    for name in ("one", "two"):
        write_refits(refits, mind, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    again = read_refits(tmp_path / "one", mind)
    assert (again.weights == refits.weights).all()
    assert (again.counts == refits.counts).all()
    assert again.drift_of(1) == dict.fromkeys(mind.drift, (0.5, 0.5))
    assert with_refits(mind, tmp_path / "one").label == f"{mind.label}~"


def test_a_mind_file_has_its_refits_beside_it(tmp_path: Path) -> None:
    mind = load_mind("claude-3.5-sonnet")
    assert isinstance(mind, RecordedMind)
    folder = resources.files("mesa_llm_norms.minds").joinpath("recordings")
    for name in ("mine.json", "MINE.JSON"):
        (tmp_path / name).write_bytes(folder.joinpath(f"{mind.label}.json").read_bytes())
    with pytest.raises(MindError, match="not beside it"):
        load_mind(f"{tmp_path / 'mine.json'}~")
    write_refits(some_refits(mind), mind, tmp_path / "mine.refits")
    assert load_mind(f"{tmp_path / 'mine.json'}~").label == "claude-3.5-sonnet~"
    write_refits(some_refits(mind), mind, tmp_path / "MINE.refits")
    assert load_mind(f"{tmp_path / 'MINE.JSON'}~").label == "claude-3.5-sonnet~"


def recorded(name: str = "claude-3.5-sonnet") -> RecordedMind:
    mind = load_mind(name)
    assert isinstance(mind, RecordedMind)
    return mind


def saved(array: Any) -> bytes:
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


def huge() -> bytes:
    """Return the header of an array that no memory holds."""
    held = io.BytesIO()
    shape = {"descr": "|i1", "fortran_order": False, "shape": (10**15, 50)}
    np.lib.format.write_array_header_1_0(held, shape)
    return held.getvalue()


def with_member(content: bytes, name: str, member: bytes) -> bytes:
    """Return the content of an archive with another member of this name."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(made, "w") as archive:
        for one in whole.namelist():
            archive.writestr(one, member if one == name else whole.read(one))
    return made.getvalue()


def with_header(content: bytes, at: int, value: int) -> bytes:
    """Return an archive with a number at a place of every member's headers, local and central."""
    changed = bytearray(content)
    for mark, more in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        place = content.find(mark)
        while place >= 0:
            changed[place + at + more] = value
            place = content.find(mark, place + 1)
    return bytes(changed)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda content: content[:-100],
    "no zip": lambda _: b"not a zip at all" * 9,
    "junk member": lambda content: with_member(content, "weights.npy", b"junk"),
    "huge shape": lambda content: with_member(content, "weights.npy", huge()),
    "encrypted": lambda content: with_header(content, 6, 1),
    "unknown method": lambda content: with_header(content, 8, 99),
    "deep JSON": lambda content: with_member(
        content, "about.npy", saved(np.frombuffer(b"[" * 100_000, np.uint8))
    ),
    "another JSON": lambda content: with_member(
        content, "about.npy", saved(np.frombuffer(b"[1]", np.uint8))
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path, mind = tmp_path / "x.refits", recorded()
    write_refits(some_refits(mind), mind, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileFormatError, match=r"refits cannot be read|empty"):
        read_refits(path, mind)


@pytest.mark.parametrize("name", ["weights", "counts"])
def test_steps_are_bytes(name: str, tmp_path: Path) -> None:
    path, mind = tmp_path / "x.refits", recorded()
    write_refits(some_refits(mind), mind, path)
    with np.load(path) as held:
        wide = saved(held[name].astype(np.int16))
    path.write_bytes(with_member(path.read_bytes(), f"{name}.npy", wide))
    with pytest.raises(FileFormatError, match="another type"):
        read_refits(path, mind)


def changed(**others: Any) -> RecordedMind:
    mind = recorded("llama-3.1-70b-instruct")
    given = ("label", "weights", "prior_strength", "drift")
    kept = {"counts": mind.fitted_counts, **{name: getattr(mind, name) for name in given}}
    return RecordedMind(**{**kept, **others})


def other_minds() -> dict[str, RecordedMind]:
    mind = recorded("llama-3.1-70b-instruct")
    (feature, weight), *_ = mind.weights["name"].items()
    pool, *_ = mind.fitted_counts
    rows = mind.fitted_counts[pool]
    memory, *_ = rows
    row = {name: times + 1 for name, times in rows[memory].items()}
    names = {**mind.weights["name"], feature: weight + 1e-4}
    return {
        "another model": recorded("llama-2-70b-chat"),
        "a weight": changed(weights={**mind.weights, "name": names}),
        "a count": changed(counts={**mind.fitted_counts, pool: {**rows, memory: row}}),
        "drift": changed(drift={one: (mean + 1e-4, by) for one, (mean, by) in mind.drift.items()}),
        "prior strength": changed(prior_strength=mind.prior_strength + 1),
    }


@pytest.mark.parametrize(
    "what", ["another model", "a weight", "a count", "drift", "prior strength"]
)
def test_refits_of_a_mind_that_plays_otherwise_are_refused(what: str, tmp_path: Path) -> None:
    mind = recorded("llama-3.1-70b-instruct")
    write_refits(some_refits(mind), mind, tmp_path / "x.refits")
    with pytest.raises(FileFormatError, match="not of this mind"):
        read_refits(tmp_path / "x.refits", other_minds()[what])
    assert read_refits(tmp_path / "x.refits", changed(label="renamed"))
