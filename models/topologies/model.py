"""Which network agrees fastest, and does the topology change *which* name wins?

``python models/topologies/model.py`` plays many runs of recorded minds on fourteen networks,
prints what it found and draws it. ``--help`` lists its options.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from mesa_llm_norms import NormsError, run_classical, run_ensemble
from mesa_llm_norms.analysis import Estimate, convergence_time, wilson_interval

TOPOLOGIES = {
    "complete": "complete(n=24)",
    "ring": "ring(n=24, k=2)",
    "ring, degree 4": "ring(n=24, k=4)",
    "lattice": "lattice(rows=4, columns=6)",
    "torus": "torus(rows=4, columns=6)",
    "star": "star(n=24)",
    "wheel": "wheel(n=24)",
    "random regular": "random_regular(n=24, d=4)",
    "Erdős-Rényi": "erdos_renyi(n=24, p=0.2)",
    "Barabási-Albert": "barabasi_albert(n=24, m=2)",
    "small world": "watts_strogatz(n=24, k=4, p=0.1)",
    "caveman": "connected_caveman(cliques=4, size=6)",
    "two blocks": "stochastic_block(sizes=[12, 12], p_in=0.5, p_out=0.05)",
    "barbell": "barbell(clique=10, path=4)",
}
"""Networks of 24 agents each."""

MINDS = ("claude-3.5-sonnet", "llama-3.1-70b-instruct")
CLASSICAL = "classical game"
AGENTS = 24
ROUNDS = 1_000
WINDOW, SHARE = 3, 0.95
"""A name has won when it makes up this share of the names played in so many population rounds. The
study's rule (all interactions in three rounds matched) would not do here: where communities seldom
meet, coexisting names can pass it by chance."""
ENOUGH = 0.9
"""The test of winners takes topologies on which a name won at least this share of the runs."""
TABLES = 9_999


class Finding(NamedTuple):
    """What the runs of one player (a mind, or the classical game) on one topology gave."""

    runs: int
    time: Estimate
    """Interactions until a name had won, the median; infinite if none had in half of the runs."""
    agreement: float
    """Share of edges whose ends hold the same name after the last round, the mean over runs."""
    wins: dict[str, int]
    """How many runs each name of the pool won."""

    @property
    def settled(self) -> float:
        """Share of the runs that a name won."""
        return sum(self.wins.values()) / self.runs


def play(
    player: str, graph: str, names: str, runs: int, rng: Any, executor: Executor | None = None
) -> Finding:
    """Play ``runs`` runs of a mind, or of the classical game, and summarize them."""
    given: dict[str, Any] = {"graph": graph, "names": names, "runs": runs, "rng": rng}
    given |= {"rounds": ROUNDS, "executor": executor}
    if player == CLASSICAL:
        table = run_classical(**given, keep_rounds=False).runs
        times, won, winners = table["interactions"], table["converged"], table["winner"]
        agreement = math.nan  # inventories, not names held
    else:
        result = run_ensemble(**given, mind=player, until=None, engine="kernel")
        times, won, winners = find_winners(result.rounds, names)
        agreement = result.runs["local_agreement"].mean()
    time = convergence_time(times, won).median
    wins = {name: int(np.count_nonzero(won & (winners == name))) for name in names}
    return Finding(runs, time, agreement, wins)


def find_winners(rounds: pd.DataFrame, names: str) -> tuple[Any, Any, Any]:
    """Return for each run how many interactions it took, whether a name won, and which leads.

    ``rounds`` is that of an ensemble whose runs are all of the same length.
    """
    shares = rounds[[f"share_{name}" for name in names]].to_numpy()
    by_run = shares.reshape(rounds["run"].nunique(), -1, len(names))
    recent = np.lib.stride_tricks.sliding_window_view(by_run, WINDOW, axis=1).mean(axis=-1)
    there = recent.max(axis=2) >= SHARE
    won = there.any(axis=1)
    first = np.where(won, there.argmax(axis=1), recent.shape[1] - 1)
    winners = np.array(list(names))[recent[np.arange(len(first)), first].argmax(axis=1)]
    return AGENTS * (first + WINDOW), won, winners


def play_all(
    players: Sequence[str], names: str, runs: int, seed: int, workers: int
) -> dict[str, dict[str, Finding]]:
    """Return the findings by player and topology."""
    found: dict[str, dict[str, Finding]] = {player: {} for player in players}
    with ExitStack() as stack:
        executor: Executor | None = None
        if workers > 1:
            # The same processes throughout: new ones would each have to load the minds.
            pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
            executor = stack.enter_context(pool)
        for player in players:
            for place, (label, graph) in enumerate(TOPOLOGIES.items()):
                print(f"{player}: {label} ({place + 1} of {len(TOPOLOGIES)})", file=sys.stderr)
                # A seed for each topology, because the test of winners requires independent runs.
                rng = np.random.default_rng((seed, place))
                found[player][label] = play(player, graph, names, runs, rng, executor)
    return found


def tabulate(findings: dict[str, Finding]) -> pd.DataFrame:
    """Return the table of one player: one row per topology, the fastest first."""
    rows = {}
    for label, found in sorted(findings.items(), key=lambda item: item[1].time.value):
        time = found.time
        rows[label] = {
            "interactions, median": f"{time.value:,.0f} ({time.low:,.0f} to {time.high:,.0f})",
            "runs won": f"{found.settled:.0%}",
            "edges agree": "" if math.isnan(found.agreement) else f"{found.agreement:.0%}",
            "by": ", ".join(share_of(found.wins)[:3]),
        }
    return pd.DataFrame(rows).T


def share_of(wins: dict[str, int]) -> list[str]:
    """Return what share of the runs that were won each name won, with Wilson's interval."""
    total = sum(wins.values())
    said = []
    for name, count in sorted(wins.items(), key=lambda item: -item[1]):
        low, high = wilson_interval(count, total)
        if count:
            said.append(f"{name} {count / total:.0%} ({100 * low:.0f} to {100 * high:.0f})")
    return said


class Answer(NamedTuple):
    """A test of whether winners and topologies are independent."""

    chi_square: float
    effect: float
    """Cramér's V: 0 if all topologies have the same shares, 1 if they have no winner in common."""
    p_value: float


def compare_winners(wins: Sequence[Mapping[str, int]], tests: int = 1) -> Answer:
    """Test whether the winner depends on the topology: for each, the runs won by each name.

    Pearson's chi-square; its p-value is the share of random tables with the same totals that
    deviate as much, so that rare names need no special care. Times ``tests`` (Bonferroni).
    """
    observed = np.array([list(one.values()) for one in wins] or [[]])
    observed = observed[observed.sum(axis=1) > 0][:, observed.sum(axis=0) > 0]
    if min(observed.shape, default=0) < 2:
        return Answer(0.0, 0.0, 1.0)
    rows, columns = observed.sum(axis=1), observed.sum(axis=0)
    expected = np.outer(rows, columns) / observed.sum()
    by_chance = stats.random_table(rows, columns).rvs(TABLES, random_state=1)
    chi_square = ((observed - expected) ** 2 / expected).sum()
    others = ((by_chance - expected) ** 2 / expected).sum(axis=(1, 2))
    p_value = (1 + np.count_nonzero(others >= chi_square - 1e-9)) / (1 + TABLES)
    effect = math.sqrt(chi_square / observed.sum() / (min(observed.shape) - 1))
    return Answer(float(chi_square), effect, min(1.0, float(p_value) * tests))


def answer(player: str, findings: dict[str, Finding], tests: int) -> str:
    """Return in words whether the topology changed which name wins."""
    tested = {label: found for label, found in findings.items() if found.settled >= ENOUGH}
    wins = pd.DataFrame({label: found.wins for label, found in tested.items()}).T
    if len(tested) < 2:
        return f"{player}: too few topologies to compare winners on."
    it = compare_winners([found.wins for found in tested.values()], tests)
    shares = wins.div(wins.sum(axis=1), axis=0)
    favourite = str(wins.sum().idxmax())
    by_topology = shares[favourite].sort_values()
    least, most = by_topology.index[0], by_topology.index[-1]
    verdict = "depends on" if it.p_value < 0.05 else "could not be shown to depend on"
    shown = "< 0.001" if it.p_value < 0.001 else f"= {it.p_value:.2g}"
    return (
        f"{player}: the winner {verdict} the topology (chi-square {it.chi_square:.0f}, Cramér's V "
        f"{it.effect:.2f}, p {shown} for {tests} tests, {len(tested)} topologies): {favourite} "
        f"wins {by_topology.iloc[0]:.0%} on {least}, {by_topology.iloc[-1]:.0%} on {most}."
    )


def draw(found: dict[str, dict[str, Finding]], names: str, path: Path) -> None:
    """Draw, for each mind, time by topology on the left and winners by topology on the right."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    from mesa_llm_norms.plots import GREY, name_colors, write_figure

    minds = [player for player in found if player != CLASSICAL]
    colors = name_colors(names)
    order = sorted(TOPOLOGIES, key=lambda label: found[minds[0]][label].time.value, reverse=True)
    rows = np.arange(len(order))
    never = ROUNDS * AGENTS
    figure = Figure(figsize=(11, 0.6 + 4 * len(minds)), layout="constrained")
    axes = figure.subplots(len(minds), 2, squeeze=False, sharex="col", sharey=True)
    for mind, (times, winners) in zip(minds, axes, strict=True):
        for player, style in ((CLASSICAL, "d"), (mind, "o")):
            estimates = [found[player][label].time for label in order]
            bounds = np.minimum(np.array(estimates), never)
            color = GREY if player == CLASSICAL else "black"
            times.hlines(rows, bounds[:, 1], bounds[:, 2], color=color, linewidth=1.5)
            label = CLASSICAL if player == CLASSICAL else "mind"
            times.plot(bounds[:, 0], rows, style, color=color, label=label, clip_on=False)
        times.set_xscale("log")
        times.set_xlim(right=never)
        times.set_yticks(rows, order)
        times.set_title(mind, loc="left")
        start = np.zeros(len(order))
        for name in names:
            won = [found[mind][label].wins[name] / found[mind][label].runs for label in order]
            winners.barh(rows, won, left=start, color=colors[name], label=name, edgecolor="white")
            start += won
        winners.barh(rows, 1 - start, left=start, color=GREY, alpha=0.4, label="none")
        winners.set_xlim(0, 1)
        winners.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        for panel in (times, winners):
            panel.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel(f"interactions until a name had won (at the edge: {never:,} or more)")
    axes[-1, 1].set_xlabel("share of runs that each name won")
    places: Any = ("outside upper left", "outside upper right")
    for panel, place in zip(axes[0], places, strict=True):
        handles, labels = panel.get_legend_handles_labels()
        columns: dict[str, Any] = {"ncols": len(labels), "frameon": False, "columnspacing": 1}
        figure.legend(handles, labels, loc=place, **columns)
    write_figure(figure, path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Play, print the tables and the answers, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--names", default="QMXYFJPRCD", help="the pool (default %(default)s)")
    parser.add_argument(
        "--mind", action="append", help=f"may be repeated (default {' and '.join(MINDS)})"
    )
    parser.add_argument("--runs", type=int, default=200, help="per topology (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("topologies.png"), help="the figure (default %(default)s)"
    )
    given = parser.parse_args(arguments)
    if given.out.suffix not in (".png", ".svg") or not given.out.parent.is_dir():
        parser.error(f"--out: {given.out} is not a .png or .svg file in an existing folder")
    players = [*dict.fromkeys(given.mind or MINDS), CLASSICAL]
    try:
        found = play_all(players, given.names, given.runs, given.seed, given.workers)
    except NormsError as error:
        parser.error(str(error))
    for player in players:
        print(f"\n{player}\n{tabulate(found[player]).to_string()}")
    print()
    for player in players:
        print(answer(player, found[player], len(players)))
    draw(found, given.names, given.out)
    print(f"Drawn in {given.out}.")


if __name__ == "__main__":
    main()
