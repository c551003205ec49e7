"""The classical naming game in groups of two or more, on a hypergraph.

In each interaction a group is drawn uniformly, and one of its members as the speaker, who utters a
random word of its inventory, inventing one of the pool if it has none. The others hear it. The
group agrees if all of them know the word (``agreement="all"``) or at least one does (``"any"``),
and then with probability ``success`` everybody keeps that word alone; else nothing happens. If the
group does not agree, those who did not know the word add it. Committed agents hold one word and
never change. In groups of two this is the classical game.

With ``hearers="one"`` a single other member, drawn uniformly, hears the speaker: pairs on the same
hypergraph, which meet as often as their groups do.

Every draw is a function of seed, run and interaction t: ``node`` gives the group, ``neighbor`` the
speaker, ``seat_a`` the word (in the order of the pool), ``seat_b`` whether an agreement succeeds,
and a draw of its own, keyed ``hearer``, the single hearer.

References
----------
I. Iacopini, G. Petri, A. Baronchelli and A. Barrat, "Group interactions modulate critical mass
dynamics in social convention", Communications Physics 5, 64 (2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mesa_llm_norms.analysis.intervals import wilson_interval
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.game import read_pool
from mesa_llm_norms.core.limits import read_number, read_seed, read_whole, seeded_by_rng
from mesa_llm_norms.core.randomness import UNIT, RandomStream
from mesa_llm_norms.core.stopping import MOST, read_rounds
from mesa_llm_norms.errors import SpecError, shown, some
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.networks.hypergraphs import Groups
from mesa_llm_norms.networks.placement import place_committed, read_committed
from mesa_llm_norms.networks.reading import is_random, read_graph
from mesa_llm_norms.networks.validation import check_graph
from mesa_llm_norms.simulation.ensemble import Progress, load_graph

AGREEMENTS = ("all", "any")
HEARERS = ("group", "one")

_MOST_NAMES = 64


@seeded_by_rng
def run_groups(
    graph: Any = "groups(n=24, k=3, m=24)",
    names: Any = "QM",
    incumbent: str | None = None,
    committed: Mapping[str, Any] | None = None,
    agreement: str = "all",
    success: float = 1.0,
    hearers: str = "group",
    rng: Any = None,
    runs: int = 100,
    rounds: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Play independent runs of the classical game in groups, until 95% hold one word alone.

    Parameters
    ----------
    graph : str, Path or networkx graph, default "groups(n=24, k=3, m=24)"
        A random hypergraph, a file read with ``format="groups"``, ``hypergraph(groups)``, or any
        graph, whose groups are its maximal cliques. A random one is drawn anew for each run.
    names : str or sequence of str, default "QM"
        The pool that words are invented from, at most 64.
    incumbent : str, optional
        The word that everybody holds at the start. Default: empty inventories.
    committed : mapping, optional
        Who always holds one word, as for ``ClassicalGame``.
    agreement : str, default "all"
        Whether ``"all"`` hearers have to know the word for a group to agree, or ``"any"`` does.
    success : float, default 1.0
        The probability that an agreement succeeds, above 0 and up to 1.
    hearers : str, default "group"
        Who hears the speaker: the whole ``"group"``, or ``"one"`` other member.
    rng : int or generator, optional
        A seed from 0 to 2**64 - 1, or a generator to draw one from. Default: a random seed.
    runs : int, default 100
        How many runs to play.
    rounds : int, optional
        The most population rounds, of N interactions each. Default 1,000.
    progress : callable, optional
        Called with the runs done and the runs in total.

    Returns
    -------
    pandas.DataFrame
        One row per run: ``run``, ``interactions``, ``rounds``, ``agreed``, ``winner`` (the word
        that most agents hold alone), ``share`` (of the agents who do), and ``flipped``: whether
        they agreed on a word that somebody is committed to.

    Raises
    ------
    SpecError
        For an argument that cannot be used.
    """
    pool, seed = read_pool(names), read_seed(rng)
    given = read_committed(committed)
    if len(pool) > _MOST_NAMES:
        raise SpecError("names", names, f"{len(pool)} names are too many", "Use 64 at most.")
    for argument, words in (("incumbent", [incumbent] if incumbent else []), ("committed", given)):
        for word in words:
            if word not in pool:
                problem = f"{shown(word)} is not in the pool"
                raise SpecError(argument, word, problem, f"Use one of {some(pool, 26)}.")
    for argument, value, known in (
        ("agreement", agreement, AGREEMENTS),
        ("hearers", hearers, HEARERS),
    ):
        if value not in known:
            problem = f"{shown(value)} is not known"
            raise SpecError(argument, value, problem, f"Use {' or '.join(known)}.")
    below = round(read_number("success", success, limits.SUCCESS) * UNIT)
    most, runs = read_rounds(rounds, "agreed"), read_whole("runs", runs, limits.RUNS)
    how = agreement == "any", hearers == "one", below
    graph, loop = load_graph(graph), load("group_words")
    start = 0 if incumbent is None else 1 << pool.index(incumbent)
    lines, network = [], None
    for run in range(runs):
        stream = RandomStream(seed, run)
        if network is None or is_random(graph):
            drawn = read_graph(graph, stream.generator("graph"))
            check_graph(drawn)
            neighbors = Neighbors(drawn)
            network = neighbors, Groups.of(drawn, neighbors)
        neighbors, groups = network
        size = len(neighbors)
        taken = place_committed(given, neighbors, stream.generator("committed"))
        held, fixed = np.full(size, start, np.uint64), np.zeros(size, np.bool_)
        for place, word in taken.items():
            held[place], fixed[place] = 1 << pool.index(word), True
        alone = np.array([(held == 1 << at).sum() for at in range(len(pool))], np.int64)
        least = int(np.ceil(MOST * size))
        played = loop.play(
            *(np.uint64(stream.key), np.uint64(stream.of("hearer")), groups.indptr, groups.members),
            *(held, fixed, alone, len(pool), how, least, most * size),
        )
        leader = int(alone.argmax())
        agreed = bool(alone[leader] >= least)
        lines.append((run, played, -(-played // size), agreed, pool[leader], alone[leader] / size))
        if progress is not None:
            progress(run + 1, runs)
    columns = ["run", "interactions", "rounds", "agreed", "winner", "share"]
    table = pd.DataFrame(lines, columns=columns)
    return table.assign(flipped=table["agreed"] & table["winner"].isin([*given]))


def takeovers(
    shares: Sequence[float],
    word: str,
    incumbent: str,
    *,
    rng: Any = None,
    progress: Progress | None = None,
    **arguments: Any,
) -> pd.DataFrame:
    """Measure how often a committed minority takes over, in groups and in pairs.

    Parameters
    ----------
    shares : sequence of float
        The shares of the agents that are committed.
    word, incumbent : str
        What they are committed to, and what everybody else holds at the start.
    rng : int or generator, optional
        As for ``run_groups``.
    progress : callable, optional
        Called with the measurements done and their number.
    **arguments
        The other arguments of ``run_groups``, except ``committed`` and ``hearers``.

    Returns
    -------
    pandas.DataFrame
        For each of ``hearers`` and each share: the share of runs that ``flipped``, with a 95%
        interval ``low`` to ``high``, and the median ``rounds`` of those.
    """
    seed, lines = read_seed(rng), []
    for hearers in HEARERS:
        for share in shares:
            runs = run_groups(
                **arguments,
                incumbent=incumbent,
                committed={word: float(share)},
                hearers=hearers,
                rng=seed,
            )
            flipped = int(runs["flipped"].sum())
            low, high = wilson_interval(flipped, len(runs))
            median = runs.loc[runs["flipped"], "rounds"].median()
            lines.append((hearers, share, flipped / len(runs), float(low), float(high), median))
            if progress is not None:
                progress(len(lines), len(HEARERS) * len(shares))
    columns = ["hearers", "share", "flipped", "low", "high", "rounds"]
    return pd.DataFrame(lines, columns=columns)
