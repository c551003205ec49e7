"""The axes of a grid: an argument, the values it takes, and what each is called in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.topologies import read_graph, size

SPEC = (
    *("graph", "names", "mind", "pairing", "memory", "reward", "penalty", "incumbent"),
    "committed",
)
"""Arguments of ``run_ensemble`` that a spec is made of."""
GOAL = ("until", "window", "threshold")
ARGUMENTS = (*SPEC, *GOAL, "rounds", "size")
"""What may be an axis."""
NOBODY = "nobody"

Label = str | int | float


@dataclass(frozen=True)
class Axis:
    """An argument and its values, with a label for each.

    ``column`` is what it is called in tables: as the argument, but for ``rounds``, which is
    ``rounds_limit`` beside the rounds that were played. ``numbers`` says the same in numbers where
    the values are some; ``unit`` is what these count.
    """

    argument: str
    values: tuple[Any, ...]
    labels: tuple[Label, ...]
    numbers: tuple[float, ...] | None = None
    unit: str = ""

    @property
    def column(self) -> str:
        """What it is called in tables."""
        return column_of(self.argument)

    def __len__(self) -> int:
        return len(self.values)


def column_of(argument: str) -> str:
    """Return what an argument is called in tables."""
    return "rounds_limit" if argument == "rounds" else argument


def read_axis(argument: str, given: Any) -> Axis:
    """Return an axis from a list of values, or from a mapping of labels to values."""
    if isinstance(given, Mapping):
        labels: tuple[Label, ...] = tuple(map(str, given))
        values = tuple(given.values())
    elif isinstance(given, Sequence) and not isinstance(given, (str, bytes)):
        values = tuple(given)
        labels = tuple(label(argument, value) for value in values)
    elif hasattr(given, "tolist"):
        return read_axis(argument, given.tolist())
    else:
        raise SpecError(
            argument, given, f"{given!r} is no list of values", "Write a list, if only of one."
        )
    if not values:
        raise SpecError(argument, given, "there is no value in the list", "Give one, or leave it.")
    twice = [one for place, one in enumerate(labels) if one in labels[:place]]
    if twice:
        raise SpecError(
            argument,
            given,
            f"two values are called {twice[0]!r}",
            'Leave one out, or give each a label: {"label": value, ...}.',
        )
    numbers, unit = _numbers(argument, values)
    return Axis(argument, values, labels, numbers, unit)


def label(argument: str, value: Any) -> Label:
    """Return what a value is called: itself if it is a number or a text."""
    if argument == "committed":
        return ", ".join(f"{name}={_amount(it)}" for name, it in (value or {}).items()) or NOBODY
    if value is None:
        return NOBODY if argument == "incumbent" else "none"
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, Real):
        return value.item() if hasattr(value, "item") else value  # type: ignore[return-value]
    if argument == "names":
        return ",".join(map(str, value))
    if isinstance(value, Path):
        return value.stem
    if argument == "mind" and isinstance(value, Mapping):
        if all(isinstance(share, Real) for share in value.values()):
            return ", ".join(f"{label(argument, key)} {it:g}" for key, it in value.items())
        return f"{len(set(map(str, value.values())))} minds by node"
    if argument == "graph":
        import random

        return "{} nodes, {} edges".format(*size(read_graph(value, random.Random(0))))
    return str(getattr(value, "label", value))


def _amount(where: Any) -> str:
    if isinstance(where, tuple) and len(where) == 2 and isinstance(where[1], str):
        return f"{where[0]}:{where[1]}"
    if isinstance(where, Real):
        return str(where)
    return "[" + ",".join(map(str, where)) + "]" if isinstance(where, Sequence) else str(where)


def _numbers(argument: str, values: Sequence[Any]) -> tuple[tuple[float, ...] | None, str]:
    """Return the values as numbers, and what they count, or None."""
    if argument != "committed":
        if all(isinstance(value, Real) and not isinstance(value, bool) for value in values):
            return tuple(float(value) for value in values), argument
        return None, ""
    read = [_one_amount(value or {}) for value in values]
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
    """Return the name, where, whether it is a share, and how much; None for what is no amount."""
    if not committed:
        return "", "", False, 0.0
    if len(committed) > 1:
        return None
    ((name, amount),) = committed.items()
    where = ""
    if isinstance(amount, tuple) and len(amount) == 2 and isinstance(amount[1], str):
        amount, where = amount
    if isinstance(amount, bool) or not isinstance(amount, Real):
        return None
    return name, where, isinstance(amount, float), float(amount)
