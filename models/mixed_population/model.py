"""Two groups with different minds settle their own conventions, then mix: which name wins?

``python -m models.mixed_population.model`` plays many such contests of two recorded minds, and of
each mind with itself. ``--left claude:MODEL`` or ``--right llama:URL#MODEL`` makes a side live.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import pandas as pd
from scipy import stats

from mesa_llm_norms import Mind, Neighbors, NormsError, Pairing, load_mind, run_ensemble
from mesa_llm_norms.analysis import Estimate, wilson_interval
from mesa_llm_norms.llm import JOURNAL, LLMSettings, Totals
from mesa_llm_norms.networks import Pair
from mesa_llm_norms.simulation import RandomStream, index_of

LEFT, RIGHT = "claude-3.5-sonnet", "llama-3-70b-instruct"
NAMES = "QMXYFJPRCD"
HELD = 0.75
"""A group has a convention when this share of its agents holds one name."""


class Setting(NamedTuple):
    """How large the groups are, how many edges join them, and for how long they play.

    ``apart`` is the population rounds before the bridge opens, ``together`` those after it.
    """

    size: int = 12
    bridges: int = 3
    apart: int = 20
    together: int = 100


STANDARD = Setting()


class LateBridge(Pairing):
    """The study's rule, a node and then a neighbor, but nobody crosses in the first rounds.

    The groups are the first ``size`` nodes and the others; every node needs a neighbor in its own.
    """

    label = "late bridge"

    def __init__(self, size: int, apart: int) -> None:
        self.size = size
        self.apart = apart

    def pairs(
        self, neighbors: Neighbors, round_number: int, first: int, stream: RandomStream
    ) -> Iterator[Pair]:
        """Yield N pairs, each a function of its interaction's number and the round alone."""
        closed = round_number < self.apart
        for number in range(first, first + len(neighbors)):
            drawn = stream.interaction(number)
            a = index_of(drawn.node, len(neighbors))
            others: Sequence[int] = neighbors.of(a)
            if closed:
                others = [b for b in others if (a < self.size) == (b < self.size)]
            yield a, others[index_of(drawn.neighbor, len(others))]


def two_groups(size: int, bridges: int) -> nx.Graph[int]:
    """Return two complete graphs of ``size`` nodes, joined by ``bridges`` edges with no common end.

    The left group is 0 to size - 1, and node i of it has its edge, if any, to node size + i.
    """
    if not 1 <= bridges <= size or size < 2:
        raise ValueError(
            f"no {bridges} bridges between groups of {size}: use 1 to the size, from 2"
        )
    graph = nx.disjoint_union(nx.complete_graph(size), nx.complete_graph(size))
    graph.add_edges_from((node, size + node) for node in range(bridges))
    return graph


def population(left: Mind | str, right: Mind | str, setting: Setting = STANDARD) -> dict[str, Any]:
    """Return the arguments ``graph``, ``mind`` and ``pairing`` of ``NamingGame``."""
    size = setting.size
    one, other = load_mind(left), load_mind(right)
    return {
        "graph": two_groups(size, setting.bridges),
        "mind": {node: one if node < size else other for node in range(2 * size)},
        "pairing": LateBridge(size, setting.apart),
    }


class Contests(NamedTuple):
    """The results of many runs.

    In ``met`` of the runs the groups had different conventions when the bridge opened. In some of
    those, both groups held the left one's name at the end (``left_won``), the right one's, or a
    third. The others were undecided: two names, or no convention in a group.
    """

    left: str
    right: str
    runs: int
    met: int
    left_won: int
    right_won: int
    third_won: int
    usage: Totals | None = None
    """What the calls to live minds used, None where no mind is live."""

    @property
    def undecided(self) -> int:
        """How many contests no name had won at the end."""
        return self.met - self.left_won - self.right_won - self.third_won

    @property
    def share(self) -> Estimate:
        """The left name's share of the contests that either name won, with Wilson's interval."""
        decided = self.left_won + self.right_won
        low, high = wilson_interval(self.left_won, decided)
        value = self.left_won / decided if decided else math.nan
        return Estimate(value, float(low), float(high))

    @property
    def p_value(self) -> float:
        """How often a fair coin deviates as much: the exact test, two-sided.

        If both sides have the same mind, the contest is a fair coin, as nothing distinguishes them.
        """
        decided = self.left_won + self.right_won
        return float(stats.binomtest(self.left_won, decided).pvalue) if decided else 1.0


def meet(
    left: Mind | str = LEFT,
    right: Mind | str = RIGHT,
    *,
    names: Any = NAMES,
    runs: int = 100,
    rng: Any = 1,
    setting: Setting = STANDARD,
    llm: LLMSettings | None = None,
) -> Contests:
    """Play contests and count who won them; ``llm`` says how live minds are called."""
    arguments = population(left, right, setting)
    result = run_ensemble(
        **arguments,
        names=names,
        runs=runs,
        rng=rng,
        rounds=setting.apart + setting.together,
        until=None,
        keep_interactions=True,
        llm=llm,
    )
    assert result.interactions is not None
    size = setting.size
    opening = last_names(result.interactions, setting.apart, 2 * size)
    ending = last_names(result.interactions, setting.apart + setting.together, 2 * size)
    found: Counter[str] = Counter()
    for start, end in zip(opening, ending, strict=True):
        own = convention(start[:size]), convention(start[size:])
        later = {convention(end[:size]), convention(end[size:])}
        if None in own or own[0] == own[1]:
            continue
        found["met"] += 1
        if len(later) == 1 and None not in later:
            (name,) = later
            found["left" if name == own[0] else "right" if name == own[1] else "third"] += 1
    return Contests(
        left=arguments["mind"][0].label,
        right=arguments["mind"][size].label,
        runs=runs,
        met=found["met"],
        left_won=found["left"],
        right_won=found["right"],
        third_won=found["third"],
        usage=result.usage,
    )


def last_names(interactions: pd.DataFrame, rounds: int, agents: int) -> list[list[str | None]]:
    """Return for every run what each node played last in its first rounds, None for nothing."""
    early = interactions[interactions["round"] < rounds]
    held: dict[int, list[str | None]] = {}
    for run in interactions["run"].unique():
        held[run] = [None] * agents
    columns = ["run", "node_a", "node_b", "name_a", "name_b"]
    for run, node_a, node_b, name_a, name_b in early[columns].itertuples(index=False):
        held[run][node_a], held[run][node_b] = name_a, name_b
    return list(held.values())


def convention(held: Sequence[str | None]) -> str | None:
    """Return the name that a group holds, or None where too few of its agents hold one."""
    name, count = Counter(held).most_common(1)[0]
    return name if count >= HELD * len(held) else None


def remaining(llm: LLMSettings, used: Totals | None) -> LLMSettings:
    """Return the settings with what is left of the budgets."""
    if used is None:
        return llm
    tokens = used.input_tokens + used.output_tokens
    spent = {"budget_calls": used.calls, "budget_tokens": tokens, "budget_usd": used.cost}
    limits = {budget: getattr(llm, budget) for budget in spent}
    left = {it: max(0, limit - spent[it]) for it, limit in limits.items() if limit is not None}
    return replace(llm, **left)


def table(contests: Sequence[Contests]) -> pd.DataFrame:
    """Return the table of some populations, a row each."""
    rows = []
    for it in contests:
        value, low, high = it.share
        decided = it.left_won + it.right_won
        share = f"{value:.0%} ({100 * low:.0f} to {100 * high:.0f})" if decided else ""
        won = [it.left_won, it.right_won, it.third_won, it.undecided]
        rows.append([it.left, it.right, it.runs, it.met, *won, share])
    counts = ["runs", "met", "left won", "right won", "third", "undecided"]
    return pd.DataFrame(rows, columns=["left", "right", *counts, "left's share"])


def answer(it: Contests) -> str:
    """Return in one sentence whether a side won more often than the other."""
    decided = it.left_won + it.right_won
    if not decided:
        return f"None of {it.met} contests was decided: the names coexist."
    p = "p < 0.001" if it.p_value < 0.001 else f"p = {it.p_value:.2g}"
    winner, wins = (it.left, it.left_won)
    if it.right_won > it.left_won:
        winner, wins = (it.right, it.right_won)
    verdict = "wins more often" if it.p_value < 0.05 else "could not be shown to win more often"
    return f"{winner} {verdict}: {wins} of {decided} that were decided ({p} against 1/2)."


def main(arguments: Sequence[str] | None = None) -> None:
    """Play, print the table, and say whether a side won."""
    parser = argparse.ArgumentParser(
        prog="python -m models.mixed_population.model",
        description=__doc__.partition("\n")[0] if __doc__ else None,
    )
    add = parser.add_argument
    default = "(default %(default)s)"
    add("--left", default=LEFT, help=f"mind of the left group, may be live {default}")
    add("--right", default=RIGHT, help=f"mind of the right group, may be live {default}")
    add("--names", default=NAMES, help=f"the pool {default}")
    add("--runs", type=int, default=100, help=f"of each population {default}")
    add("--seed", type=int, default=1, help=default)
    for field, value in STANDARD._asdict().items():
        said = {
            "size": "agents in a group",
            "bridges": "edges between the groups",
            "apart": "population rounds before the bridge opens",
            "together": "population rounds after that",
        }[field]
        add(f"--{field}", type=int, default=value, help=f"{said} {default}")
    add("--without-null", action="store_true", help="leave out the populations of one mind")
    live = parser.add_argument_group("live minds (claude:MODEL, llama:URL#MODEL)")
    live.add_argument("--budget-usd", type=float, help="for all populations together")
    live.add_argument("--budget-calls", type=int)
    live.add_argument("--budget-tokens", type=int)
    live.add_argument("--max-concurrency", type=int, default=32, help=f"calls at once {default}")
    live.add_argument("--folder", type=Path, help="keeps the journals; the same command resumes")
    given = parser.parse_args(arguments)
    try:
        contests = play_all(given)
    except (NormsError, ValueError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        parser.exit(130, "interrupted: run the same command again to resume from --folder\n")
    print(table(contests).to_string(index=False))
    print()
    print(answer(contests[0]))
    for it in contests:
        if (used := it.usage) is not None:
            tokens = f"{used.input_tokens:,} input tokens, {used.output_tokens:,} output tokens"
            print(f"{it.left} and {it.right}: {used.calls:,} calls, {tokens}, ${used.cost:,.4f}")


def play_all(given: argparse.Namespace) -> list[Contests]:
    """Return the contests of both minds and, for the null, of each with itself."""
    setting = Setting(given.size, given.bridges, given.apart, given.together)
    if setting.apart < 1 or setting.together < 1:
        raise ValueError("--apart and --together: use 1 round or more")
    calls = LLMSettings(
        max_concurrency=given.max_concurrency,
        budget_usd=given.budget_usd,
        budget_calls=given.budget_calls,
        budget_tokens=given.budget_tokens,
    )
    left, right = load_mind(given.left), load_mind(given.right)
    sides = {"both": (left, right), "left": (left, left), "right": (right, right)}
    if given.without_null:
        sides = {"both": sides["both"]}
    found = []
    for place, (label, (one, other)) in enumerate(sides.items()):
        print(f"{one.label} and {other.label} ({place + 1} of {len(sides)})", file=sys.stderr)
        folder = given.folder and given.folder / label
        mine = replace(calls, folder=folder, resume=bool(folder and (folder / JOURNAL).exists()))
        how = {"runs": given.runs, "rng": given.seed}
        it = meet(one, other, names=given.names, setting=setting, llm=mine, **how)
        calls = remaining(calls, it.usage)
        found.append(it)
    return found


if __name__ == "__main__":
    main()
