"""The folder a run leaves behind: its spec, its interactions and rounds, and room for figures.

A folder appears whole or not at all: it is written beside its place, hidden, and renamed at the
end. What is in it::

    spec.json              the spec, how it was run, the versions, and how it ended
    rounds.parquet         one row per population round
    interactions.parquet   one row per interaction, where they were kept
    runs.parquet           one row per run, for an ensemble
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from mesa_llm_norms.course import Goal, Outcome
from mesa_llm_norms.ensemble import Ensemble
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import Interaction
from mesa_llm_norms.metrics import Round
from mesa_llm_norms.run_tables import interaction_table, round_table
from mesa_llm_norms.spec import Spec
from mesa_llm_norms.topologies import names_file

RUNS = Path("runs")
SPEC = "spec.json"
"""Of a live run the last file to be there: with it the run is at its end."""
_NODES = ("node_a", "node_b")
_HIDDEN = ".unfinished-"
_INT64 = range(-(2**63), 2**63)


def default_folder(spec: Spec, agents: int, runs: int | None = None, within: Path = RUNS) -> Path:
    """Return a free folder that tells what is in it, ``runs/claude-3.5-sonnet-ring-24-seed1``.

    Where that is taken, ``-2``, ``-3`` and so on is appended. ``runs`` is the size of an ensemble.
    """
    mind = spec.mind_label if "," not in spec.mind_label else "mixed"
    parts = [mind, _graph_word(spec), str(agents), f"seed{spec.seed}"]
    parts += [f"{runs}runs"] if runs is not None else []
    name = re.sub(r"[^\w.]+", "-", "-".join(parts), flags=re.ASCII).strip("-.")[:100]
    free = (within / (name if n == 1 else f"{name}-{n}") for n in itertools.count(1))
    return next(folder for folder in free if not folder.exists())


def check_folder(folder: Path) -> None:
    """Raise ``SpecError`` unless a new folder can be written there: nothing is overwritten."""
    with _refusing(folder, OSError, ValueError):
        if "\0" in str(folder):
            raise ValueError("there is a null character in its name")
        if folder.is_dir() and not any(folder.iterdir()):
            return
        if folder.is_symlink() or folder.exists():
            raise SpecError(
                "out",
                str(folder),
                f"{folder} exists and nothing is overwritten",
                "Give another folder, or move that one away.",
            )
        Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=_existing_parent(folder))).rmdir()


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a hidden folder to write into, which becomes ``folder`` when the block ends well.

    On any exception, an interrupt included, it is removed with all that is in it. Raises
    ``SpecError`` where ``folder`` cannot be made or is taken.
    """
    check_folder(folder)
    root = _existing_parent(folder)
    hidden: Path | None = None
    try:
        with _refusing(folder, OSError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            hidden = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=folder.parent))
            hidden.chmod(0o777 & ~_umask())
            yield hidden
            check_folder(folder)  # somebody else may have made it meanwhile
            if folder.is_dir():
                folder.rmdir()
            hidden.rename(folder)
    except BaseException:
        if hidden is not None:
            shutil.rmtree(hidden, ignore_errors=True)
        _remove_empty(folder.parent, root)
        raise


@contextmanager
def finished_folder(folder: Path) -> Iterator[Path]:
    """Give a hidden folder to write into, whose files go to ``folder`` when the block ends well.

    ``folder`` is that of a live run, there from the start with its journal. What it holds already
    stays, but for files of the same name.
    """
    with _refusing(folder, OSError):
        hidden = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=folder))
        try:
            yield hidden
            for path in sorted(hidden.iterdir(), key=lambda path: path.name == SPEC):
                path.replace(folder / path.name)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def new_file(path: Path, argument: str = "out") -> Iterator[Path]:
    """Give a hidden path to write to, which becomes ``path`` when the block ends well."""
    with _refusing(path, OSError, argument=argument):
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(f"{_HIDDEN}{os.getpid()}-{path.name}")
        try:
            yield hidden
            hidden.replace(path)
        finally:
            hidden.unlink(missing_ok=True)


def write_run(
    folder: Path,
    spec: Spec,
    *,
    goal: Goal,
    most: int | None,
    rounds: Sequence[Round],
    rows: Sequence[Interaction] | None,
    outcome: Outcome,
) -> None:
    """Write the spec and the tables of one run, number 0 of its seed; rows if they were kept."""
    _write_spec(folder, spec, goal, most, None, outcome._asdict())
    _write_table(
        round_table(spec.game.pool, ((0, one) for one in rounds)), folder / "rounds.parquet"
    )
    if rows is not None:
        _write_table(interaction_table(rows), folder / "interactions.parquet")


def write_ensemble(folder: Path, ensemble: Ensemble, *, goal: Goal, most: int | None) -> None:
    """Write the spec and the tables of an ensemble."""
    runs = ensemble.runs
    outcome = {
        "runs": len(runs),
        "converged": int(runs["converged"].sum()),
        "flipped": int(runs["flipped"].sum()),
        "interactions_median": float(runs["interactions"].median()),
    }
    _write_spec(folder, ensemble.spec, goal, most, len(runs), outcome)
    _write_table(runs, folder / "runs.parquet")
    _write_table(ensemble.rounds, folder / "rounds.parquet")
    if ensemble.interactions is not None:
        _write_table(ensemble.interactions, folder / "interactions.parquet")


def versions() -> dict[str, str | None]:
    """Return the versions that results depend on, None for what is not an installed package."""
    names = {"mesa_llm_norms": "mesa-llm-norms"} | {n: n for n in ("mesa", "networkx", "numpy")}
    found: dict[str, str | None] = {}
    for name, distribution in names.items():
        try:
            found[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _write_spec(
    folder: Path,
    spec: Spec,
    goal: Goal,
    most: int | None,
    runs: int | None,
    outcome: Mapping[str, Any],
) -> None:
    described = spec.describe()
    if names_file(spec.graph):
        described["graph"] = Path(spec.graph).name
    content = {
        "spec": described,
        "run": {"rounds": most, **goal._asdict(), "runs": runs},
        "versions": versions(),
        "outcome": {key: _finite(value) for key, value in outcome.items()},
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / SPEC).write_bytes((text + "\n").encode("utf-8", "backslashreplace"))


def _write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table; node ids stay whole numbers if all are, and become text if not."""
    nodes = [column for column in _NODES if column in table]
    whole = all(
        type(node) is int and node in _INT64 for column in nodes for node in table[column].tolist()
    )
    kinds: dict[Any, Any] = dict.fromkeys(nodes, "int64")
    if not whole:
        table = table.assign(**{column: [_written(n) for n in table[column]] for column in nodes})
        kinds = {}
    table.astype(kinds).to_parquet(path, index=False)


def _written(node: Any) -> str:
    """Return a node id as text that can be encoded."""
    return str(node).encode("utf-8", "backslashreplace").decode("utf-8")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _graph_word(spec: Spec) -> str:
    if names_file(spec.graph):
        return Path(spec.graph).stem
    return spec.graph.partition("(")[0].strip() if isinstance(spec.graph, str) else "graph"


@contextmanager
def _refusing(path: Path, *kinds: type[Exception], argument: str = "out") -> Iterator[None]:
    """Turn what the system refuses into ``SpecError``."""
    try:
        yield
    except SpecError:
        raise
    except kinds as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SpecError(
            argument,
            str(path),
            f"{path} cannot be written ({reason})",
            "Give a place that you may write to.",
        ) from error


def _existing_parent(folder: Path) -> Path:
    return next(parent for parent in folder.absolute().parents if parent.exists())


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove the folders that were made on the way, up to ``root``, as far as they are empty."""
    for parent in (folder.absolute(), *folder.absolute().parents):
        if parent == root:
            return
        with suppress(OSError):
            parent.rmdir()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
