"""What the folder of a run or an ensemble holds::

    spec.json              the spec (see ``serialization``), the stopping rule, the versions of the
                           packages, and the outcome
    rounds.parquet         one row per population round
    interactions.parquet   one row per interaction, if they were kept
    nodes.parquet          one row per node: what it held, and since when
    network.gexf           the network with all of that, for Gephi
    runs.parquet           one row per run of an ensemble

``core.files`` makes the folder appear complete or not at all.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mesa_llm_norms.core.files import RUNS, SPEC
from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.core.stopping import Goal, Outcome
from mesa_llm_norms.networks.reading import graph_file
from mesa_llm_norms.simulation.ensemble import Ensemble
from mesa_llm_norms.simulation.node_table import (
    add_committed,
    ensemble_nodes,
    run_nodes,
    write_nodes,
)
from mesa_llm_norms.simulation.run import mean_left, round_table
from mesa_llm_norms.simulation.run_record import RunRecord, node_ids
from mesa_llm_norms.simulation.serialization import to_json
from mesa_llm_norms.simulation.spec import Spec

_NODES = ("node_a", "node_b")


def default_folder(spec: Spec, agents: int, runs: int | None = None, within: Path = RUNS) -> Path:
    """Return a new folder named after what is in it, ``runs/claude-3.5-sonnet-ring-24-seed1``.

    Parameters
    ----------
    spec : Spec
        What is played.
    agents : int
        How many agents there are.
    runs : int, optional
        The size of an ensemble; None (default) for a single run.
    within : Path
        Where the folder will be, ``runs`` by default.

    Returns
    -------
    Path
        The folder, which does not exist; with ``-2``, ``-3``, ... at its end where needed.
    """
    mind = spec.mind_label if "," not in spec.mind_label else "mixed"
    parts = [mind, _graph_word(spec), str(agents), f"seed{spec.seed}"]
    parts += [f"{runs}runs"] if runs is not None else []
    name = re.sub(r"[^\w.]+", "-", "-".join(parts), flags=re.ASCII).strip("-.")[:100]
    free = (within / (name if n == 1 else f"{name}-{n}") for n in itertools.count(1))
    return next(folder for folder in free if not folder.exists())


def write_run(
    folder: Path,
    spec: Spec,
    *,
    goal: Goal,
    most: int | None,
    rounds: Sequence[Round],
    record: RunRecord,
    outcome: Outcome,
) -> None:
    """Write ``spec.json`` and the tables of one run, number 0 of its seed.

    Parameters
    ----------
    folder : Path
        Where to write.
    spec : Spec
        What was played.
    goal : Goal
        What it was played until.
    most : int or None
        The most population rounds, if they were limited.
    rounds : sequence of Round
        The population rounds.
    record : RunRecord
        Has taken in every interaction.
    outcome : Outcome
        How the run ended.
    """
    _write_spec(folder, spec, goal, most, None, outcome._asdict())
    table = round_table(spec.game.pool, ((0, one) for one in rounds))
    _write_table(table, folder / "rounds.parquet")
    if record.keeps_rows:
        record.write_rows(folder / "interactions.parquet")
    neighbors, pool = record.initial.neighbors, spec.game.pool
    nodes = run_nodes(neighbors, pool, record.history, outcome.winner)
    write_nodes(folder, add_committed(nodes, spec), neighbors, pool)


def write_ensemble(folder: Path, ensemble: Ensemble, *, goal: Goal, most: int | None) -> None:
    """Write ``spec.json`` and the tables of an ensemble; arguments are as for ``write_run``."""
    runs = ensemble.runs
    outcome = {
        "runs": len(runs),
        **{name: int(runs[name].sum()) for name in ("converged", "agreed", "flipped", "one_name")},
        **mean_left(runs),
        "interactions_median": float(runs["interactions"].median()),
    }
    _write_spec(folder, ensemble.spec, goal, most, len(runs), outcome)
    _write_table(runs, folder / "runs.parquet")
    _write_table(ensemble.rounds, folder / "rounds.parquet")
    if ensemble.nodes is not None:
        neighbors, pool = ensemble.spec.initial_state().neighbors, ensemble.spec.game.pool
        table = ensemble_nodes(neighbors, pool, ensemble.nodes)
        table = add_committed(table, ensemble.spec, len(runs))
        write_nodes(folder, table, neighbors, pool)
    if ensemble.interactions is not None:
        _write_table(ensemble.interactions, folder / "interactions.parquet")


def versions() -> dict[str, str | None]:
    """Return the versions that results depend on, None for a package that is not installed."""
    found: dict[str, str | None] = dict.fromkeys(("mesa_llm_norms", "mesa", "networkx", "numpy"))
    for name in found:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name.replace("_", "-"))
    return found


def _write_spec(
    folder: Path, spec: Spec, goal: Goal, most: int | None, runs: int | None, outcome: Any
) -> None:
    content = {
        "spec": to_json(spec),
        "run": {"rounds": most, **goal._asdict(), "runs": runs},
        "versions": versions(),
        "outcome": outcome,
    }
    sections = []
    for name, section in content.items():  # one line for each value, for a graph is long
        lines = ",\n".join(f'    "{key}": {json_text(value)}' for key, value in section.items())
        sections.append(f'  "{name}": {{\n{lines}\n  }}')
    text = "{\n" + ",\n".join(sections) + "\n}\n"
    (folder / SPEC).write_bytes(text.encode("utf-8", "backslashreplace"))


def _write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table; node ids stay whole numbers if all are, and become text if not."""
    nodes = [column for column in _NODES if column in table]
    both = node_ids([node for column in nodes for node in table[column].tolist()])
    if "nodes" in table:
        table = table.assign(nodes=[node_ids(nodes).tolist() for nodes in table["nodes"]])
    parts = dict(zip(nodes, np.split(both, len(nodes) or 1), strict=False))
    table.assign(**parts).to_parquet(path, index=False)


def _graph_word(spec: Spec) -> str:
    file = graph_file(spec.graph)
    if file is not None:
        return file.path.stem
    return spec.graph.partition("(")[0].strip() if isinstance(spec.graph, str) else "graph"
