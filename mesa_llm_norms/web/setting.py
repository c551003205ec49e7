"""What is on the page: the arguments of a run as they are typed, changes by hand, and a moment.

A ``Setting`` goes into the address bar and comes back from there, so that a link shows what was on
screen. Changes made by hand are part of it, each with the number of interactions before it takes
effect, and agents numbered from 0 in the order of the graph's nodes::

    120:5=M      after 120 interactions, commit agent 5 to M
    120:5=       release it
    300:3+4      add an edge between agents 3 and 4
    300:3-4      remove it
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self, TypeAlias
from urllib.parse import parse_qs, urlencode

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.formatting import plural
from mesa_llm_norms.core.limits import Limit
from mesa_llm_norms.errors import NormsError, SpecError, shown
from mesa_llm_norms.networks.strings import parse
from mesa_llm_norms.simulation.spec import APART, Spec
from mesa_llm_norms.simulation.typed import parse_spec

GAME = tuple(
    "topology" if field.name == "graph" else field.name
    for field in fields(Spec)
    if field.name not in APART
)
"""The fields of a setting that are arguments of the game: those that minds on the page can have."""

_EDIT = re.compile(
    r"(?P<at>\d{1,12}):(?P<agent>\d{1,9})(?:=(?P<name>.{0,40})|(?P<sign>[+-])(?P<other>\d{1,9}))",
    re.DOTALL,
)
_KEYS = {"edits": "edit"}
"""The keys of fields in a link, where they are not the names of the fields."""

DECIMAL = ("reward", "penalty")
"""The numbers of a setting that need not be whole."""

LIMITS: Mapping[str, Limit[Any]] = {
    "reward": limits.POINTS,
    "penalty": limits.POINTS,
    "memory": limits.MEMORY,
    "rounds": limits.SHOWN_ROUNDS,
    "seed": limits.SEED,
    "at": limits.LINKED_INTERACTIONS,
}
"""What the numbers of a setting may be."""

_ALWAYS = ("graph", "names", "mind", "rng")
"""Arguments that a program states even if they have their defaults."""


class Commitment(NamedTuple):
    """After ``at`` interactions the agent in ``place`` is committed to ``name``, or released."""

    at: int
    place: int
    name: str | None

    @property
    def text(self) -> str:
        """The change as it is written in a link."""
        return f"{self.at}:{self.place}={self.name or ''}"


class EdgeChange(NamedTuple):
    """After ``at`` interactions an edge between two places is added, or removed (not ``there``)."""

    at: int
    place: int
    other: int
    there: bool

    @property
    def text(self) -> str:
        """The change as it is written in a link."""
        return f"{self.at}:{self.place}{'+' if self.there else '-'}{self.other}"


Edit: TypeAlias = Commitment | EdgeChange


def read_edit(text: str) -> Edit:
    """Return the change that ``text`` stands for; ``SpecError`` if it stands for none."""
    found = _EDIT.fullmatch(text)
    if found is None:
        raise SpecError(
            "edit",
            text,
            f"{shown(text)} is not a change of agents or edges",
            "Write 120:5=M, 120:5=, 300:3+4 or 300:3-4.",
        )
    at, place = int(found["at"]), int(found["agent"])
    if found["sign"] is None:
        return Commitment(at, place, found["name"] or None)
    return EdgeChange(at, place, int(found["other"]), found["sign"] == "+")


def in_order(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """Return changes sorted by when they happen; ``SpecError`` if there are too many."""
    found = tuple(sorted(edits, key=lambda edit: edit.at))
    if len(found) not in limits.EDITS:
        raise SpecError(
            "edit",
            len(found),
            f"{len(found):,} changes are too many",
            f"Make up to {limits.EDITS.high:,}.",
        )
    return found


def read_query(query: str) -> dict[str, list[str]]:
    """Return the values of a link's query by key; ``SpecError`` if there is too much in it."""
    try:
        if len(query) not in limits.LINK:
            raise ValueError
        return parse_qs(query, keep_blank_values=True, max_num_fields=5_000)
    except ValueError:
        raise SpecError(
            "link",
            shown(query),
            f"a link of {len(query):,} characters is too long",
            f"Use one of up to {limits.LINK.high:,} characters and 5,000 values.",
        ) from None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The arguments of a run as they are typed, and the moment at which it is looked at.

    Parameters
    ----------
    topology, names, mind, pairing, memory, reward, penalty, incumbent, committed, rewire, seed
        The arguments of ``Spec`` as on the command line: ``mind`` is
        ``("claude-3.5-sonnet=0.5", ...)``, ``committed`` ``("M=5:hubs", ...)``, ``rewire``
        ``"3:0.5"``, and it and ``incumbent`` are empty for none. The seed is 1 by default.
    rounds : int
        Population rounds after which play stops by itself; 0 (default) for the source's own limit.
    edits : tuple of Commitment or EdgeChange
        The changes made by hand, in order.
    at : int
        The interactions played so far. Default 0.

    Raises
    ------
    SpecError
        If ``rounds`` is out of range or a text is too long. Everything else is checked by ``spec``.
    """

    topology: str = Spec.graph
    names: str = Spec.names
    mind: tuple[str, ...] = (Spec.mind,)
    pairing: str = Spec.pairing
    memory: int = Spec.memory
    reward: float = Spec.reward
    penalty: float = Spec.penalty
    incumbent: str = ""
    committed: tuple[str, ...] = ()
    rewire: str = ""
    seed: int = 1
    rounds: int = 0
    edits: tuple[Edit, ...] = ()
    at: int = 0

    def __post_init__(self) -> None:
        limits.read_whole("rounds", self.rounds, limits.SHOWN_ROUNDS)
        for name, value in self._items():
            texts = (value,) if isinstance(value, str) else value
            length = sum(map(len, texts)) if isinstance(texts, tuple) and name != "edits" else 0
            if length not in limits.SETTING_TEXT:
                problem = f"a text of {length:,} characters is too long"
                raise SpecError(name, shown(value), problem, f"Use {limits.SETTING_TEXT.range}.")

    def spec(self) -> Spec:
        """Return the spec this stands for; raise a ``NormsError`` if it is not one."""
        typed = {name: getattr(self, name) for name in GAME}
        return parse_spec(**{**typed, "incumbent": self.incumbent or None})

    def at_start(self) -> Self:
        """Return the setting before anything was played or changed by hand."""
        return replace(self, edits=(), at=0)

    def query(self, basis: Setting | None = None) -> str:
        """Return the setting as a query string, without what is the same in ``basis``.

        By default that is the setting of a page without a query string.
        """
        usual = basis or Setting()
        pairs: list[tuple[str, str]] = []
        for name, value in self._items():
            if value != getattr(usual, name):
                values = (value or ("",)) if isinstance(value, tuple) else (value,)
                pairs += [(_KEYS.get(name, name), _written(one)) for one in values]
        return urlencode(pairs, errors="replace")

    @classmethod
    def from_query(cls, query: str, basis: Setting | None = None) -> Self:
        """Return the setting of a query string; what that does not state is as in ``basis``.

        Unknown keys are ignored. Raises ``SpecError`` for values out of range.
        """
        given = read_query(query)
        known = {_KEYS.get(field.name, field.name): field.name for field in fields(cls)}
        values = {
            known[key]: _read(known[key], texts) for key, texts in given.items() if key in known
        }
        return cls(**{**dict((basis or cls())._items()), **values})

    def _items(self) -> list[tuple[str, Any]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


def describe_difference(setting: Setting, other: Setting) -> str:
    """Return in words how a setting differs from another one: ``five who always say M``.

    Parameters
    ----------
    setting, other : Setting
        The one described, and the one it is compared with. The changes made by hand and the moment
        do not count.
    """
    found = [
        _WORDS.get(name, lambda it, name=name: f"{name} {it}")(value)
        for name, value in setting.at_start()._items()
        if value != getattr(other.at_start(), name)
    ]
    return "; ".join(found) or "the same setting"


def _in_letters(number: str) -> str:
    small = number.isdecimal() and len(number) < 3 and int(number) < len(_SMALL)
    return _SMALL[int(number)] if small else number


def _topology_words(text: str) -> str:
    name, _, inside = text.partition("(")
    said = [_TOPOLOGIES.get(name.strip(), name.strip().replace("_", " "))]
    try:
        call = parse(text)
    except NormsError:
        return text
    named = {**dict(zip(("n", "k"), call.args, strict=False)), **call.kwargs} if inside else {}
    said += [_PARAMETERS.get(key, f"{key} {{}}").format(it) for key, it in named.items()]
    return ", ".join(said).replace("_", " ")


def _mind_words(minds: tuple[str, ...]) -> str:
    pairs = [mind.partition("=") for mind in minds]
    if len(pairs) == 1:
        return pairs[0][0]
    return ", ".join(f"{float(it):.0%} {mind}" if it else mind for mind, _, it in pairs)


def _names_words(names: str) -> str:
    pool = names.split(",") if "," in names else list(names)
    return f"the names {', '.join(pool)}" if len(pool) <= 4 else f"{len(pool)} names"


def _committed_words(committed: tuple[str, ...]) -> str:
    said = []
    for text in committed:
        found = _COMMITTED.fullmatch(text)
        if found is None:
            said.append(text)
            continue
        many, where, name = found["many"], found["where"], found["name"]
        who = f"{many[1:-1].count(',') + 1}" if many[0] == "[" else many
        who = f"{float(who):.0%}" if "." in who and "%" not in who else _in_letters(who)
        noise = ":noise=" in text
        often = "nearly always" if noise else "always"
        until = found["until"]
        who += f" {_PLACES.get(where, f'chosen by {where}')}" if where else ""
        verb = "says" if who == "one" else "say"
        said.append(f"{who} who {often} {verb} {name}" + (f" until round {until}" if until else ""))
    return ", ".join(said) or "nobody committed"


_SMALL = (
    *("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)
_TOPOLOGIES = {
    "complete": "everybody meets everybody",
    "ring": "a ring",
    "watts_strogatz": "a small world",
    "barabasi_albert": "few hubs, many others",
    "erdos_renyi": "edges by chance",
    "barbell": "two groups and a bridge",
    "star": "a star",
    "torus": "a grid without borders",
    "lattice": "a grid",
}
_PARAMETERS = {"n": "{} agents", "k": "{} neighbors each", "d": "{} neighbors each"}
_PLACES = {
    "hubs": "with the most neighbors",
    "periphery": "with the fewest neighbors",
    "cluster": "next to one another",
    "random": "at random places",
    "bridges": "on bridges",
    "block": "in one community",
}
_COMMITTED = re.compile(
    r"(?P<name>.+?)=(?P<many>\[.*\]|[\d.]+%?)(?::(?!noise=|until=)(?P<where>[a-z][\w-]*))?"
    r"(?::noise=[^:]+|:until=(?P<until>\d+))*"
)
_PAIRINGS = {
    "node": "each agent in turn meets a neighbor",
    "edge": "an edge drawn at a time",
    "matching": "all meet at once in pairs",
}
_WORDS: Mapping[str, Callable[[Any], str]] = {
    "topology": _topology_words,
    "names": _names_words,
    "mind": _mind_words,
    "pairing": lambda it: _PAIRINGS.get(it, f"pairing: {it}"),
    "memory": lambda it: f"a memory of {plural(it, 'interaction')}",
    "reward": lambda it: f"a match is worth {it:g}",
    "penalty": lambda it: f"a mismatch is worth {it:g}",
    "incumbent": lambda it: f"all used to saying {it}" if it else "no name to begin with",
    "committed": _committed_words,
    "rewire": lambda it: f"edges rewired: {it}" if it else "no edges rewired",
    "rounds": lambda it: plural(it, "round") if it else "the usual number of rounds",
}
"""For each field, how a value of it is put into words."""


def program(
    setting: Setting,
    nodes: Sequence[Hashable],
    model: tuple[str, str] = ("mesa_llm_norms", "NamingGame"),
    given: Mapping[str, Any] | None = None,
    whole_steps: bool = False,
) -> str:
    """Return a Python program that plays a setting to its moment.

    Parameters
    ----------
    setting : Setting
        The setting.
    nodes : sequence
        The nodes of its graph, in order.
    model : tuple of str, default ("mesa_llm_norms", "NamingGame")
        Module and name of the model's class.
    given : mapping, optional
        The arguments that the class is given; all of the setting if omitted.
    whole_steps : bool, default False
        Whether the model is played by its own steps.
    """
    arguments, usual = given or setting.spec().arguments(), Spec().arguments()
    lines = [f"from {model[0]} import {model[1]}", "", f"model = {model[1]}("]
    for name, value in arguments.items():
        if name in _ALWAYS or value != usual.get(name):
            lines.append(f"    {name}={value!r},")
    lines.append(")")
    played = 0
    for edit in setting.edits:
        if edit.at > setting.at:
            break
        lines += _play(edit.at, played, whole_steps)
        played = edit.at
        lines.append(_change(edit, nodes))
    lines += _play(setting.at, played, whole_steps)
    lines.append("print(model.names_held)")
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return getattr(value, "text", None) or str(value)


def _read(name: str, texts: Sequence[str]) -> Any:
    usual = getattr(Setting, name)
    if name == "edits":
        return in_order(read_edit(text) for text in texts if text)
    if isinstance(usual, tuple):
        return tuple(text for text in texts if text)
    text = texts[-1]
    if isinstance(usual, str):
        return text
    return read_typed(name, text, LIMITS[name], whole=name not in DECIMAL)


def read_typed(name: str, text: str, limit: Limit[Any], *, whole: bool) -> int | float:
    """Return the number that somebody typed; ``SpecError`` in words for anything else.

    Parameters
    ----------
    name : str
        What it is the value of.
    text : str
        What was typed; thousands may be separated by commas.
    limit : Limit
        Its range.
    whole : bool
        Whether it must be a whole number.
    """
    typed = text.strip().replace("\N{MINUS SIGN}", "-")
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", typed):
        typed = typed.replace(",", "")
    remedy = f"Use {'a whole number, ' if whole else ''}{limit.range}."
    try:
        number: int | float = int(typed)
    except ValueError:
        try:
            number = float(typed)
        except ValueError:
            problem = f"{shown(text)} is not a number"
            if re.fullmatch(r"[+-]?\d*,\d+", typed):
                problem = f"{shown(text)} has a comma"
                if not whole:
                    remedy = f"Write {typed.replace(',', '.')}, with a point."
            raise SpecError(name, text, problem, remedy) from None
        written = "e" not in typed.lower() and number.is_integer()
        if whole and math.isfinite(number) and not written:
            raise SpecError(name, text, f"{shown(text)} is not a whole number", remedy) from None
        number = int(number) if whole and math.isfinite(number) else number
    if number not in limit:
        raise SpecError(name, text, f"{shown(text)} is out of range", remedy)
    return number


def _play(to: int, played: int, whole_steps: bool) -> list[str]:
    if to == played:
        return []
    if whole_steps:
        return [f"while model.interactions < {to}:", "    model.step()"]
    return [f"for _ in model.play({to - played}):", "    pass"]


def _change(edit: Edit, nodes: Sequence[Hashable]) -> str:
    node: Any = nodes[edit.place]
    if isinstance(edit, Commitment):
        agent = f"model.agent_on({node!r})"
        return f"{agent}.commit({edit.name!r})" if edit.name else f"{agent}.release()"
    verb = "add" if edit.there else "remove"
    cells = ", ".join(f"model.network[{end!r}]" for end in (node, nodes[edit.other]))
    return f"model.network.{verb}_connection({cells})"
