"""What people did in two experiments, round by round, for minds to be held to.

``people.json`` ships, computed by ``summarise_people`` from the data of both publications as the
repository pareto_tipping collects them (Everall and others, Earth System Dynamics; CC BY 4.0):
shares by round and counts of answers. Nothing in it says what any one person did.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any

from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.reproduction.recorded import (
    DECIMALS,
    NETWORKS,
    TIPPING,
    Recorded,
    shipped,
    summarise,
)

LICENCE = "CC BY 4.0"
SOURCE = f"{NETWORKS}; {TIPPING}; collected in the repository pareto_tipping (Everall and others)"

GROUPS_FILE = "centola_2018_tipping.csv"
LEADING_FILE = "centola_2015_leading_name.csv"
PAIRS_FILE = "centola_2015_pairs_{name}_n48.txt"

MISSING = frozenset({"response_not_given", "nan"})
"""How the pairs say that somebody did not answer, in lower case."""

PEOPLE = 48
"""People on each network; half as many pairs are a round."""

LAST = 3
"""Rounds at the end whose most frequent name is the leading one."""

GRAPHS = {
    "homogenous": ("complete(n={n})", "mixed: anybody may meet anybody"),
    "random": ("random_regular(n={n}, d=4)", "random, four neighbors each"),
    "spatial": ("ring(n={n}, k=4)", "ring, four neighbors each"),
}
"""The networks by their names in the files."""


@dataclass(frozen=True)
class Group:
    """People who shared a convention, and others among them committed to an alternative.

    Attributes
    ----------
    number
        Which of the ten it is, as published.
    agents, committed
        People in total, and how many of them were committed.
    alternative, other
        Of the choices of the uncommitted in each round, the share that was the committed name, and
        the share that was neither it nor the convention.
    """

    number: int
    agents: int
    committed: int
    alternative: tuple[float, ...]
    other: tuple[float, ...]

    @property
    def rounds(self) -> int:
        """How many rounds were played."""
        return len(self.alternative)

    @property
    def majority(self) -> int | None:
        """The rounds played before the first in which the alternative had more than half."""
        return next((at for at, share in enumerate(self.alternative) if share > 0.5), None)


@dataclass(frozen=True)
class Network:
    """A network that people were placed on, and what they did on it.

    Attributes
    ----------
    graph, label
        The topology, with ``{n}`` for the number of people, and in words.
    leader, names
        The name chosen most in the last three rounds, and how many names there were; upper and
        lower case are one name, as they were for the payoffs.
    leading, missing, answered
        In each round, which is half as many pairs as people: the leader's share of the answers
        given, the share of answers not given, and how many pairs answered both.
    reported
        The share by round of the name that the collection reports as the leading one.
    reported_leader
        That name.
    """

    graph: str
    label: str
    leader: str
    names: int
    leading: tuple[float, ...]
    missing: tuple[float, ...]
    answered: tuple[int, ...]
    reported: tuple[float, ...]
    reported_leader: str

    @property
    def short(self) -> str:
        """The network in one word."""
        return self.label.partition(",")[0].partition(":")[0]

    @property
    def half(self) -> int | None:
        """The rounds played before the first in which the leader had more than half."""
        return next((at for at, share in enumerate(self.leading) if share > 0.5), None)


@dataclass(frozen=True)
class People:
    """All that is known of both experiments."""

    groups: tuple[Group, ...]
    networks: tuple[Network, ...]

    def as_object(self) -> dict[str, Any]:
        """Return it as JSON can hold it, with its source."""
        return {"source": SOURCE, "licence": LICENCE, **asdict(self)}


def shipped_people() -> People:
    """Return the numbers that ship with the package."""
    text = resources.files(__package__).joinpath("people.json").read_text(encoding="utf-8")
    held = json.loads(text)
    return People(
        tuple(Group(**_tuples(row)) for row in held["groups"]),
        tuple(Network(**_tuples(row)) for row in held["networks"]),
    )


def summarise_people(folder: Path) -> People:
    """Compute the same from the files of the collection.

    Parameters
    ----------
    folder : pathlib.Path
        Holds the table of the ten groups, the pairs of the three networks, and the shares of the
        leading names, under the names the collection gives them.

    Returns
    -------
    People
        What they show.

    Raises
    ------
    FileFormatError
        If a file is missing or is not what is expected.
    """
    return People(_read(folder / GROUPS_FILE, _groups), _networks(folder))


def references(study: str | Path | None, people: bool) -> tuple[Recorded, People | None]:
    """Return what is compared with: of the study, and of people if it is they who are played.

    ``study`` is the folder of the one or the other; default, the numbers that ship.
    """
    if people:
        found = shipped_people() if study is None else summarise_people(Path(study))
        return shipped(), found
    return shipped() if study is None else summarise(Path(study)), None


def write_people(people: People, path: Path) -> None:
    """Write the file that ships."""
    text = json_text(people.as_object(), separators=(",", ":"))
    for key in ('{"number"', '{"graph"', '"licence"'):
        text = text.replace(key, f"\n{key}")
    path.write_text(text + "\n", encoding="utf-8")


def _tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


def _read(path: Path, reader: Any) -> Any:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return reader(lines)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(
            path,
            f"it cannot be read: {error}",
            "The folder needs the files of people's experiments as pareto_tipping has them.",
        ) from error


def _groups(lines: Iterable[str]) -> tuple[Group, ...]:
    """Read the ten groups; the table begins after a few lines of text."""
    every = [line for line in lines if line.strip()]
    start = next((at for at, line in enumerate(every) if line.startswith("trial,")), None)
    if start is None:
        raise ValueError("there is no line of column names that begins with trial")
    found: dict[tuple[int, int, int], list[tuple[float, float]]] = {}
    for row in csv.DictReader(every[start:]):
        shares = found.setdefault((int(row["trial"]), int(row["N"]), int(row["cm_count"])), [])
        if int(row["rounds_played"]) != len(shares):
            raise ValueError(f"round {row['rounds_played']} of group {row['trial']} is out of turn")
        shares.append((_percent(row["adoption_alternative"]), _percent(row["adoption_other"])))
    return tuple(
        Group(*key, tuple(one for one, _ in shares), tuple(other for _, other in shares))
        for key, shares in sorted(found.items())
    )


def _percent(text: str) -> float:
    return round(float(text.rstrip("%")) / 100, DECIMALS)


def _networks(folder: Path) -> tuple[Network, ...]:
    reported = _read(folder / LEADING_FILE, lambda lines: list(csv.DictReader(lines)))
    found = []
    for name, (graph, label) in GRAPHS.items():
        pairs = _read(folder / PAIRS_FILE.format(name=name), lambda lines: [*map(_pair, lines)])
        size = PEOPLE // 2
        rounds = [_answers(pairs[at : at + size]) for at in range(0, len(pairs) - size + 1, size)]
        if len(rounds) < LAST:
            raise FileFormatError(
                folder / PAIRS_FILE.format(name=name),
                f"it has {len(pairs)} pairs, which are not {LAST} rounds of {size}",
                "Use the whole file.",
            )
        everywhere, last = Counter(_answers(pairs)), Counter(chain(*rounds[-LAST:]))
        leader = max(last, key=lambda one: (last[one], everywhere[one]))
        rows = [row for row in reported if row.get("Topology") == name]
        found.append(
            Network(
                graph,
                label,
                leader,
                len(everywhere),
                tuple(
                    round(given.count(leader) / max(1, len(given)), DECIMALS) for given in rounds
                ),
                tuple(round(1 - len(given) / PEOPLE, DECIMALS) for given in rounds),
                tuple(
                    sum(not MISSING.intersection(pair) for pair in pairs[at : at + size])
                    for at in range(0, len(rounds) * size, size)
                ),
                tuple(round(float(row["y"]), DECIMALS) for row in rows),
                rows[0]["Norm"] if rows else "",
            )
        )
    return tuple(found)


def _pair(line: str) -> tuple[str, str]:
    """Read two names and a payoff: the first name is one word, the second may be several."""
    first, *second = line.lower().split()[:-1]
    return first, " ".join(second)


def _answers(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the answers given."""
    return [name for pair in pairs for name in pair if name not in MISSING]
