"""The whole setting of a page: what is played, what was changed by hand, and how far.

A setting is plain text and numbers, as they are typed. It goes into the address bar and comes back
from there, so that a link shows what was on screen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self
from urllib.parse import parse_qs, urlencode

from mesa_llm_norms.draws import MASK
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds import DEFAULT_MIND
from mesa_llm_norms.spec import DEFAULT_GRAPH, DEFAULT_NAMES, Spec
from mesa_llm_norms.typed import read_spec
from mesa_llm_norms.viz.edits import Edit, in_order, read_edit

MOST_AT = 2_000_000
"""How many interactions a link may ask to be played before anything is shown."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The arguments of a run as they are typed, and the moment at which it is looked at.

    ``mind`` and ``committed`` are as on the command line: ``("claude-3.5-sonnet=0.5", ...)`` and
    ``("M=5:hubs", ...)``. ``at`` is how many interactions have been played. ``rounds`` is after how
    many population rounds play stops by itself (0: see ``ModelSource``).
    """

    topology: str = DEFAULT_GRAPH
    names: str = DEFAULT_NAMES
    mind: tuple[str, ...] = (DEFAULT_MIND,)
    pairing: str = "node"
    memory: int = 5
    reward: float = 100
    penalty: float = -50
    incumbent: str = ""
    committed: tuple[str, ...] = ()
    seed: int = 1
    rounds: int = 0
    edits: tuple[Edit, ...] = ()
    at: int = 0

    def spec(self) -> Spec:
        """Return the spec this stands for; raise an error of this package where it is none."""
        if not 0 <= self.seed <= MASK:
            raise SpecError("seed", self.seed, f"{self.seed} is no seed", "Use 0 to 2**64 - 1.")
        return read_spec(
            topology=self.topology,
            names=self.names,
            mind=self.mind,
            minds_by_node=None,
            committed=self.committed,
            seed=self.seed,
            pairing=self.pairing,
            memory=self.memory,
            reward=self.reward,
            penalty=self.penalty,
            incumbent=self.incumbent or None,
        )

    def at_start(self) -> Self:
        """Return the setting as it was before anything was played or changed by hand."""
        return replace(self, edits=(), at=0)

    def query(self, basis: Setting | None = None) -> str:
        """Return the setting as a query string, without what is as in ``basis``.

        Without one that is the setting a page has that nothing is said about.
        """
        usual = basis or Setting()
        pairs: list[tuple[str, str]] = []
        for name, value in self._items():
            if value != getattr(usual, name):
                values = (value or ("",)) if isinstance(value, tuple) else (value,)
                pairs += [(_KEYS.get(name, name), _written(one)) for one in values]
        return urlencode(pairs)

    @classmethod
    def from_query(cls, query: str, basis: Setting | None = None) -> Self:
        """Return the setting of a query string; what it does not say is as in ``basis``.

        Keys of other things are passed over. Raises ``SpecError`` for values that cannot be.
        """
        given = parse_qs(query, keep_blank_values=True, max_num_fields=5_000)
        known = {_KEYS.get(field.name, field.name): field.name for field in fields(cls)}
        values = {
            known[key]: _read(known[key], texts) for key, texts in given.items() if key in known
        }
        return cls(**{**dict((basis or cls())._items()), **values})

    def _items(self) -> list[tuple[str, Any]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


_KEYS = {"edits": "edit"}
"""How fields are called in a link, where not as they are."""

_DECIMAL = ("reward", "penalty")
_RANGES: Mapping[str, tuple[int, int]] = {
    "reward": (-(10**9), 10**9),
    "penalty": (-(10**9), 10**9),
    "seed": (0, MASK),
    "at": (0, MOST_AT),
}
_USUAL: Mapping[str, Any] = {field.name: field.default for field in fields(Setting)}


def _written(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return getattr(value, "text", None) or str(value)


def _read(name: str, texts: Sequence[str]) -> Any:
    usual = _USUAL[name]
    if name == "edits":
        return in_order(read_edit(text) for text in texts if text)
    if isinstance(usual, tuple):
        return tuple(text for text in texts if text)
    text = texts[-1]
    if isinstance(usual, str):
        return text
    least, most = _RANGES.get(name, (0, 10**9))
    try:
        number = float(text) if name in _DECIMAL and not _is_whole(text) else int(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise SpecError(name, text, f"{text!r} cannot be its value", f"Use {least} to {most}.")
    return number


def _is_whole(text: str) -> bool:
    return text.lstrip("-").isdecimal()
