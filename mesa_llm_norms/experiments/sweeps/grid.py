"""A sweep before it is played: what is fixed and what varies, given in Python or read from TOML."""

from __future__ import annotations

import difflib
import glob
import itertools
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from pathlib import Path
from typing import Any

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import is_folder, read_text
from mesa_llm_norms.core.game import Game, read_pool
from mesa_llm_norms.core.limits import read_list, read_seed, read_whole
from mesa_llm_norms.core.stopping import WINDOW, Goal, check_goal, read_rounds
from mesa_llm_norms.errors import FileFormatError, SpecError, shown
from mesa_llm_norms.experiments.sweeps.cells import Cell, Digests, describe
from mesa_llm_norms.llm.provider import LiveMind, live_mind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.mixtures import by_share, read_shares
from mesa_llm_norms.minds.policies import UniformMind
from mesa_llm_norms.minds.registry import is_live, load_mind, safe_name
from mesa_llm_norms.networks.adjacency import graph_size
from mesa_llm_norms.networks.placement import (
    AGENTS,
    PLACEMENTS,
    Commitment,
    read_committed,
    whereabouts,
)
from mesa_llm_norms.networks.reading import (
    file_within,
    graph_file,
    move_file_within,
    names_file,
    read_graph,
)
from mesa_llm_norms.networks.registry import fill, is_open
from mesa_llm_norms.simulation.rewiring import read_rewire
from mesa_llm_norms.simulation.spec import APART, DEFAULT_GRAPH, Spec
from mesa_llm_norms.simulation.typed import game_of

SPEC = tuple(field.name for field in fields(Spec) if field.name not in ("seed", *APART))
"""Arguments of ``run_ensemble`` that a spec is made of."""

GOAL = ("until", "window", "threshold")

ARGUMENTS = ("game", *SPEC, *GOAL, "rounds", "size")
"""Arguments that may be an axis."""

NOBODY = "nobody"
"""The label of nobody committed, and of no incumbent."""

Label = str | int | float

_HUGE: Any = 10**18
"""Where numbers are written out in full no more."""


@dataclass(frozen=True)
class Axis:
    """An argument and its values, with a label for each.

    ``numbers`` are the values as numbers, if they are numbers of something; ``unit`` says of what.
    """

    argument: str
    values: tuple[Any, ...]
    labels: tuple[Label, ...]
    numbers: tuple[float, ...] | None = None
    unit: str = ""

    @property
    def column(self) -> str:
        """The name of the axis in tables."""
        return column_of(self.argument)

    def __len__(self) -> int:
        return len(self.values)


def column_of(argument: str) -> str:
    """Return the name of an argument in tables: ``rounds_limit`` differs from rounds played."""
    return "rounds_limit" if argument == "rounds" else argument


def read_axis(argument: str, given: Any) -> Axis:
    """Return an axis from a list of values, or from a mapping of labels to values."""
    if isinstance(given, Mapping):
        labels: tuple[Label, ...] = tuple(map(str, given))
        values = tuple(given.values())
    elif hasattr(given, "tolist"):
        return read_axis(argument, given.tolist())
    else:
        values = read_list(argument, given, "one")
        labels = tuple(label(argument, value) for value in values)
        if argument == "graph" and len(set(labels)) < len(labels):
            labels = _labels_by_path(values, labels)
    if not values:
        raise SpecError(
            argument, given, "there is no value in the list", "Give at least one, or omit the axis."
        )
    twice = [one for one, times in Counter(labels).items() if times > 1]
    if twice:
        raise SpecError(
            argument,
            given,
            f"two values have the label {_safe(twice[0])}",
            'Omit one, or give each a label: {"label": value, ...}.',
        )
    numbers, unit = _numbers(argument, values)
    return Axis(argument, values, labels, numbers, unit)


def label(argument: str, value: Any) -> Label:
    """Return the label of a value: the value itself if it is a number or a text."""
    if argument == "committed":
        who = read_committed(value)
        return ", ".join(f"{name}={_amount(it)}" for name, it in who.items()) or NOBODY
    if argument == "rewire" and value is not None:
        misses, rate = read_rewire(value) or (0, 0.0)
        return f"{misses}:{rate:g}"
    if value is None:
        return NOBODY if argument == "incumbent" else "none"
    file = graph_file(value) if argument == "graph" else None
    if file is not None and file.options:
        return (
            f"{file.path.stem} ({', '.join(f'{name}={it}' for name, it in file.options.items())})"
        )
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, Real) and -_HUGE < value < _HUGE:
        return value.item() if hasattr(value, "item") else value  # type: ignore[return-value]
    if argument == "names":
        return ",".join(read_pool(value))
    if isinstance(value, Path):
        return value.stem
    if argument == "mind" and isinstance(value, Mapping):
        value = read_shares(value)
        if by_share(value):
            return ", ".join(f"{label(argument, key)} {it:g}" for key, it in value.items())
        return f"{len(set(map(str, value.values())))} minds by node"
    if argument == "graph":
        import random

        return "{} nodes, {} edges".format(*graph_size(read_graph(value, random.Random(0))))
    named = getattr(value, "label", value)
    return named if isinstance(named, str) else shown(named)


def _labels_by_path(values: Sequence[Any], labels: Sequence[Label]) -> tuple[Label, ...]:
    """Return labels in which graph files of the same name have as much of their path as it takes.

    Other values keep theirs, and so do two of the same path.
    """
    paths = [file.path if (file := graph_file(it)) is not None else None for it in values]
    found = list(labels)
    for length in range(1, max((len(it.parts) for it in paths if it is not None), default=0) + 1):
        twice = {one for one, times in Counter(found).items() if times > 1}
        for at, path in enumerate(paths):
            if path is not None and found[at] in twice:
                rest = str(labels[at]).removeprefix(path.stem)
                found[at] = "/".join(path.parts[-length:]) + rest
    return tuple(found)


def _safe(label: Label) -> str:
    return shown(safe_name(label) if isinstance(label, str) else label)


def _amount(where: Any) -> str:
    if isinstance(where, Mapping):
        return _amount(whereabouts(where)) + Commitment.of(where).words
    if isinstance(where, tuple) and len(where) == 2 and isinstance(where[1], str):
        return f"{where[0]}:{where[1]}"
    if isinstance(where, Sequence) and not isinstance(where, str):
        nodes = read_list("committed", where, "[0, 1]")
        return "[" + ",".join(it if isinstance(it, str) else shown(it) for it in nodes) + "]"
    return shown(where)


def _numbers(argument: str, values: Sequence[Any]) -> tuple[tuple[float, ...] | None, str]:
    """Return the values as numbers, and their unit, or None."""
    if argument != "committed":
        if all(isinstance(value, Real) and not isinstance(value, bool) for value in values):
            with suppress(OverflowError):  # which the argument's own limit refuses
                return tuple(float(value) for value in values), argument
        return None, ""
    read: list[tuple[str, str, bool, float] | None] = [None]
    with suppress(OverflowError):
        read = [_one_amount(read_committed(value)) for value in values]
    if None in read:
        return None, ""
    kinds = {(name, where, share) for name, where, share, _ in read if name}  # type: ignore[misc]
    if len(kinds) != 1:
        return None, ""
    ((name, where, share),) = kinds
    unit = f"{'share' if share else 'number'} committed to {name}"
    unit += f", {where}" if where else ""
    return tuple(amount for *_, amount in read), unit  # type: ignore[misc]


def _one_amount(committed: Mapping[str, Any]) -> tuple[str, str, bool, float] | None:
    """Return name, placement, whether it is a share, and the amount; None for lists of nodes."""
    if not committed:
        return "", "", False, 0.0
    if len(committed) > 1:
        return None
    ((name, given),) = committed.items()
    amount, where = whereabouts(given), ""
    if isinstance(amount, tuple) and len(amount) == 2 and isinstance(amount[1], str):
        amount, where = amount
    where += Commitment.of(given).words.replace(":", ", " if where else "", 1).replace(":", ", ")
    if isinstance(amount, bool) or not isinstance(amount, Real):
        return None
    return name, where, isinstance(amount, float), float(amount)


ALIASES = {"topology": "graph", "pool": "names", "rng": "seed"}

RUN = ("runs", "seed", "keep_rounds")


@dataclass(frozen=True)
class SweepPlan:
    """A grid over arguments of ``run_ensemble``, and those that are the same in every cell.

    All cells share the ``seed``: run k of each begins with the same random draws. ``proxy``
    gives the mind that plays for a live one in a game.
    """

    axes: tuple[Axis, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    runs: int = 100
    seed: int = 0
    keep_rounds: bool = False
    proxy: Callable[[LiveMind, Game], Mind] | None = None

    def __post_init__(self) -> None:
        read_whole("runs", self.runs, limits.RUNS)
        if not isinstance(self.keep_rounds, bool):
            raise SpecError(
                "keep_rounds",
                self.keep_rounds,
                f"{shown(self.keep_rounds)} is not a truth value",
                "Use True or False (true or false in a file).",
            )
        count = len(self)
        if count not in limits.CELLS:
            raise SpecError(
                "grid",
                count,
                f"{count:,} cells are too many",
                f"Use {limits.CELLS.high:,} at most.",
            )

    def __len__(self) -> int:
        return math.prod(map(len, self.axes))

    def cells(self) -> Iterator[Cell]:
        """Yield the cells, the last axis running fastest; ``SpecError`` for one that is invalid."""
        digests = Digests()
        for places in itertools.product(*(range(len(axis)) for axis in self.axes)):
            chosen = list(zip(self.axes, places, strict=True))
            at = {axis.column: axis.labels[place] for axis, place in chosen}
            given = {axis.argument: axis.values[place] for axis, place in chosen}
            try:
                yield self._cell(at, {**self.fixed, **given}, digests)
            except SpecError as error:
                if not at:
                    raise
                where = ", ".join(f"{column} {safe_name(str(it))}" for column, it in at.items())
                raise SpecError(
                    error.argument, error.value, f"{error.problem} (cell: {where})", error.remedy
                ) from error

    def _cell(self, at: Mapping[str, Any], arguments: Mapping[str, Any], digests: Digests) -> Cell:
        graph = arguments.get("graph", DEFAULT_GRAPH)
        if "size" in arguments or is_open(graph):
            graph = fill(graph, arguments.get("size"))
        given = {name: arguments[name] for name in SPEC if name in arguments}
        if (game := arguments.get("game")) is not None:
            given = {"mind": UniformMind.label, **given, "rules": game_of(game)}
        spec = Spec(**{**given, "graph": graph}, seed=self.seed)
        if spec.live:
            spec = replace(spec, mind=self._without_live(spec))
        goal = Goal("converged", WINDOW, 1.0)._replace(
            **{name: arguments[name] for name in GOAL if name in arguments}
        )
        check_goal(goal, spec.committed_names)
        most = read_rounds(arguments.get("rounds"), goal.until)
        return Cell(at, describe(spec, goal, most, digests), spec, goal, most)

    def _without_live(self, spec: Spec) -> Any:
        """Return the ``mind=`` argument of a spec with proxies for its live minds."""

        def put(given: Any) -> Any:
            mind = load_mind(given)
            if not isinstance(mind, LiveMind):
                return given
            if self.proxy is None:
                raise SpecError(
                    "mind",
                    mind.label,
                    "the cells of a sweep have no budget, and cannot have live minds",
                    "Play it with sweep or play_sweep, which record them first.",
                )
            return self.proxy(mind, spec.naming_game)

        minds = spec.mind
        if not isinstance(minds, Mapping):
            return put(minds)
        if by_share(minds):
            return {put(mind): share for mind, share in minds.items()}
        return {node: put(mind) for node, mind in minds.items()}


def plan_sweep(
    grid: Mapping[str, Any] | None,
    fixed: Mapping[str, Any],
    runs: Any = 100,
    seed: Any = None,
    keep_rounds: Any = False,
) -> SweepPlan:
    """Return the plan of ``sweep`` for its arguments; ``SpecError`` for an unknown one."""
    grid = {_known(name, ARGUMENTS): values for name, values in (grid or {}).items()}
    fixed = {_known(name, ARGUMENTS): value for name, value in fixed.items()}
    for name in grid:
        if name in fixed:
            raise SpecError(name, fixed[name], "it is both fixed and in the grid", "Keep one.")
    axes = tuple(read_axis(name, values) for name, values in grid.items())
    return SweepPlan(axes, fixed, runs, read_seed(seed), keep_rounds)


def _from_file(name: str) -> LiveMind:
    return live_mind(name, given=False)


def read_plan(path: str | Path, live: Callable[[str], Any] = _from_file) -> SweepPlan:
    """Read the plan of a sweep from a TOML file, as ``docs/sweeps.md`` describes it.

    Parameters
    ----------
    path : str or Path
        The file: arguments of ``run_ensemble``, ``runs``, ``seed``, ``keep_rounds``, and a table
        ``[grid]`` of lists. Graph and mind files are looked for in its folder.
    live : callable, optional
        Returns the live mind of a name in the file; by default one whose address has to be
        confirmed (``LLMSettings(addresses=...)``) before anything is sent there.

    Returns
    -------
    SweepPlan
        What ``play_sweep`` plays.

    Raises
    ------
    FileFormatError
        For a file that is not TOML.
    SpecError
        For an argument that is not valid.
    """
    path = Path(path)
    content = _read_toml(path)
    grid: Any = content.pop("grid", {})
    if not isinstance(grid, dict):
        raise SpecError(
            "grid", grid, "it is not a table", 'Write [grid], then lines like mind = ["a"].'
        )
    run: dict[str, Any] = {}
    for name in list(content):
        known = _known(name, (*RUN, *ARGUMENTS))
        if known in RUN:
            run[known] = content.pop(name)
    for name in grid:
        if _alias(name) in RUN:
            raise SpecError(name, grid[name], "it cannot vary", "Write it above all tables.")
    near = path.parent
    fixed = {name: _plain(_alias(name), value, near) for name, value in content.items()}
    read = {it: _plain_axis(_alias(it), grid[it], near) for it in grid}
    for some in (fixed, read):
        if "mind" in some:
            some["mind"] = _with_live(some["mind"], live)
    return plan_sweep(
        read,
        fixed,
        run.get("runs", 100),
        run.get("seed", 0),
        run.get("keep_rounds", False),
    )


def _with_live(given: Any, live: Callable[[str], Any]) -> Any:
    """Return a ``mind`` argument, or several, with what ``live`` makes of names."""
    if isinstance(given, list):
        return [_with_live(one, live) for one in given]
    if isinstance(given, Mapping):
        return {_with_live(key, live): _with_live(value, live) for key, value in given.items()}
    return live(given) if isinstance(given, str) and is_live(given) else given


def _alias(name: str) -> str:
    """Return the argument that a name is an alias of."""
    return ALIASES.get(name, name)


def _known(name: str, known: tuple[str, ...]) -> str:
    """Return the argument that a key stands for, or raise ``SpecError``."""
    name = _alias(name)
    if name in known:
        return name
    close = difflib.get_close_matches(shown(name).strip("'"), [*known, *ALIASES], n=1)
    raise SpecError(
        str(name),
        name,
        f"a sweep has no {shown(name)}" + (f" (did you mean {close[0]!r}?)" if close else ""),
        f"Known are {', '.join(known)}, and in a file [grid].",
    )


def _read_toml(path: Path) -> dict[str, Any]:
    remedy = "The page docs/sweeps.md shows what a sweep file looks like."
    try:
        return tomllib.loads(read_text(path, remedy))
    except FileFormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, f"it is not TOML ({error})", remedy) from error


def _plain_axis(argument: str, given: Any, near: Path) -> Any:
    if argument == "graph":
        return _plain_graphs([given] if isinstance(given, str) else given, near)
    if isinstance(given, dict):
        return {label: _plain(argument, value, near) for label, value in given.items()}
    if isinstance(given, list):
        return [_plain(argument, value, near) for value in given]
    return given  # read_axis raises the error


def _plain_graphs(given: Any, near: Path) -> Any:
    """Return the graphs of an axis with all files that patterns and folders stand for.

    In a table, the name of a file comes after the label of its pattern.
    """
    if isinstance(given, list):
        return [_plain("graph", one, near) for value in given for one in _files(value, near)]
    if not isinstance(given, dict):
        return given
    found: dict[str, Any] = {}
    for name, value in given.items():
        graphs = [_plain("graph", one, near) for one in _files(value, near)]
        labels = read_axis("graph", graphs).labels if len(graphs) > 1 else ()
        found |= {f"{name} {one}": graph for one, graph in zip(labels, graphs, strict=False)}
        if not labels:
            found[name] = graphs[0]
    return found


def _files(value: Any, near: Path) -> list[Any]:
    """Return the graph files that a pattern such as ``nets/*.gml`` or a folder stands for.

    It may stand in a topology string too. Anything else is returned as it is.
    """
    if not isinstance(value, str) or is_open(value):
        return [value]
    within = file_within(value)
    file = within or graph_file(value)
    pattern = str(file.path) if file is not None else value
    wanted = glob.has_magic(pattern) and not (near / pattern).is_file()
    wanted = wanted and (file is not None or "(" not in pattern)
    if wanted:
        found = sorted(glob.glob(pattern, root_dir=near, recursive=True))  # noqa: PTH207  may be absolute
        found = [it for it in found if (near / it).is_file()]
    elif is_folder(near / pattern):
        inside = sorted(path.name for path in (near / pattern).iterdir() if path.is_file())
        found = [str(Path(pattern, name)) for name in inside if names_file(name)]
    else:
        return [value]
    if not found:
        raise SpecError(
            "graph",
            value,
            f"there is no graph file {'that matches' if wanted else 'in'} {shown(pattern)}",
            "Check the path; it starts from the folder of the sweep's file.",
        )
    if within is not None:
        return [move_file_within(value, Path(it)) for it in found]
    return found if file is None else [str(file._replace(path=Path(it))) for it in found]


def _plain(argument: str, value: Any, near: Path) -> Any:
    """Return a value of TOML as Python has it: files in the folder ``near``, ``"none"`` as None."""
    if argument in ("incumbent", "until", "rewire") and isinstance(value, str) and value == "none":
        return None
    if argument == "committed" and isinstance(value, dict):
        return {name: _plan_amount(where) for name, where in value.items()} or None
    if argument == "graph" and isinstance(value, str) and not is_open(value):
        beside, file = near / value, graph_file(value)
        if file is not None and file.options:
            return str(file._replace(path=near / file.path))
        if (within := file_within(value)) is not None:
            return move_file_within(value, near / within.path)
        return beside if file is not None or names_file(str(beside)) else value
    if argument == "mind" and isinstance(value, str) and value.endswith((".json", ".csv")):
        return value if "://" in value else near / value
    return value


def _plan_amount(where: Any) -> Any:
    """Return a list of an amount and a placement as a pair, and one of nodes as it is."""
    if isinstance(where, dict) and AGENTS in where:
        return {**where, AGENTS: _plan_amount(where[AGENTS])}
    if isinstance(where, list) and len(where) == 2 and where[1] in PLACEMENTS:
        return tuple(where)
    return where
