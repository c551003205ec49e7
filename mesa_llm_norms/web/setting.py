"""Changes made by hand while a run is played: who is committed, and which ties there are.

Each belongs to a number of interactions, before which it has no effect. Written as text they go
into a link::

    120:5=M      after 120 interactions, commit the agent in place 5 to M
    120:5=       release it
    300:3+4      tie the agents in places 3 and 4
    300:3-4      cut that tie

A place is that of a node in the order of the graph, from 0.

The whole setting of a page: what is played, what was changed by hand, and how far.

A setting is plain text and numbers, as they are typed. It goes into the address bar and comes back
from there, so that a link shows what was on screen.

The lines of Python that make the very run that is on screen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self, TypeAlias
from urllib.parse import parse_qs, urlencode

from mesa_llm_norms.core.randomness import MASK
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.simulation.serialization import read_spec
from mesa_llm_norms.simulation.spec import DEFAULT_GRAPH, DEFAULT_NAMES, Spec

MOST_EDITS = 1_000


_TEXT = re.compile(
    r"(?P<at>\d{1,12}):(?P<place>\d{1,9})(?:=(?P<name>.*)|(?P<sign>[+-])(?P<other>\d{1,9}))",
    re.DOTALL,
)


class Commitment(NamedTuple):
    """After ``at`` interactions the agent in ``place`` is committed to ``name``, or released."""

    at: int
    place: int
    name: str | None

    @property
    def text(self) -> str:
        """The change as it is written in a link."""
        return f"{self.at}:{self.place}={self.name or ''}"


class Tie(NamedTuple):
    """After ``at`` interactions there is, or is no more, a tie between two places."""

    at: int
    place: int
    other: int
    there: bool

    @property
    def text(self) -> str:
        """The change as it is written in a link."""
        return f"{self.at}:{self.place}{'+' if self.there else '-'}{self.other}"


Edit: TypeAlias = Commitment | Tie


def read_edit(text: str) -> Edit:
    """Return the change that ``text`` stands for; ``SpecError`` where it stands for none."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise SpecError(
            "edit",
            text,
            f"{text!r} is no change of agents or ties",
            "Write 120:5=M, 120:5=, 300:3+4 or 300:3-4.",
        )
    at, place = int(found["at"]), int(found["place"])
    if found["sign"] is None:
        return Commitment(at, place, found["name"] or None)
    return Tie(at, place, int(found["other"]), found["sign"] == "+")


def in_order(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """Return changes by when they happen, those of one moment in the order given."""
    found = tuple(sorted(edits, key=lambda edit: edit.at))
    if len(found) > MOST_EDITS:
        raise SpecError(
            "edit", len(found), f"{len(found):,} changes are too many", f"Make {MOST_EDITS:,}."
        )
    return found


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


def program(setting: Setting, nodes: Sequence[Hashable]) -> str:
    """Return a program that plays a setting to its moment; ``nodes`` are those of its graph."""
    spec = setting.spec()
    lines = ["from mesa_llm_norms import NamingGame", "", "model = NamingGame("]
    usual = Spec()
    for argument in _ARGUMENTS:
        value = getattr(spec, argument)
        if argument in _ALWAYS or value != getattr(usual, argument):
            lines.append(f"    {argument}={value!r},")
    lines += [f"    rng={setting.seed},", ")"]
    played = 0
    for edit in setting.edits:
        if edit.at > setting.at:
            break
        lines += _play(edit.at - played)
        played = edit.at
        lines.append(_change(edit, nodes))
    lines += _play(setting.at - played)
    lines.append("print(model.names_held)")
    return "\n".join(lines) + "\n"


_ARGUMENTS = (
    "graph",
    "names",
    "mind",
    "pairing",
    "memory",
    "reward",
    "penalty",
    "incumbent",
    "committed",
)


_ALWAYS = ("graph", "names", "mind")


def _play(interactions: int) -> list[str]:
    return [f"for _ in model.play({interactions}):", "    pass"] if interactions else []


def _change(edit: Edit, nodes: Sequence[Hashable]) -> str:
    node: Any = nodes[edit.place]
    if isinstance(edit, Commitment):
        agent = f"model.agent_on({node!r})"
        return f"{agent}.commit({edit.name!r})" if edit.name else f"{agent}.release()"
    verb = "add" if edit.there else "remove"
    cells = ", ".join(f"model.network[{end!r}]" for end in (node, nodes[edit.other]))
    return f"model.network.{verb}_connection({cells})"
