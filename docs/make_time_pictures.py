"""Draw the figures of ``networks-in-time.md``, and print their numbers.

``python docs/make_time_pictures.py`` plays, with seed 7: names on the contact sequence of that
page and on its static projection, adaptive and static networks, and a committed minority in groups
and in pairs. It takes some minutes on one processor.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.analysis.intervals import wilson_interval
from mesa_llm_norms.classical import takeovers
from mesa_llm_norms.networks import contact_graph
from mesa_llm_norms.plots import write_figure

PICTURES = Path(__file__).parent / "pictures"
MINDS = ("claude-3.5-sonnet", "llama-2-70b-chat")
SEED = 7


def school() -> pd.DataFrame:
    """Return the contacts of a made-up week of two classes, as on the page."""
    chance = random.Random(SEED)
    rows = []
    for day in range(5):
        for minute in range(0, 240, 5):
            mixing = 120 <= minute < 140
            for _ in range(6):
                u, v = chance.sample(range(24), 2)
                if mixing or u // 12 == v // 12:
                    rows.append((1440 * day + minute, u, v))
    return pd.DataFrame(rows, columns=["t", "u", "v"])


def agreed_by(runs: pd.DataFrame, rounds: int) -> list[float]:
    """Return the share of runs that have agreed by each round."""
    ended = runs["rounds"].where(runs["agreed"])
    return [float((ended <= number).mean()) for number in range(rounds + 1)]


def contacts(axes: Axes) -> None:
    """Draw how soon populations agree on contacts in time, and on their projection."""
    graph, rounds = contact_graph(school()), 100
    pairings: tuple[Any, ...] = ("contacts", "edge")
    for color, mind in enumerate(MINDS):
        for pairing, style in zip(pairings, ("-", "--"), strict=True):
            given: dict[str, Any] = {"graph": graph, "names": "QM", "mind": mind, "rng": SEED}
            runs = run_ensemble(
                **given, pairing=pairing, runs=200, rounds=rounds, until="agreed"
            ).runs
            said = "in time order" if pairing == "contacts" else "static projection"
            axes.plot(agreed_by(runs, rounds), style, color=f"C{color}", label=f"{mind}, {said}")
            median = runs["rounds"].where(runs["agreed"]).median()
            print(f"{mind}, {said}: {runs['agreed'].mean():.0%} agreed, median round {median}")
    axes.set(xlabel="population round", ylabel="share of runs that agreed", ylim=(0, 1.02))


def adaptive(axes: Axes) -> None:
    """Draw how often populations agree where edges are dropped after misses."""
    misses = (None, 5, 3, 2, 1)
    for color, mind in enumerate(MINDS):
        shares = []
        for rewire in misses:
            runs = run_ensemble(
                "ring(n=24, k=4)",
                "QM",
                mind,
                rewire=rewire,
                rng=SEED,
                runs=60,
                rounds=200,
                until="agreed",
            ).runs
            shares.append(int(runs["agreed"].sum()))
            median = runs["rounds"].where(runs["agreed"]).median()
            print(f"{mind}, rewire={rewire}: {shares[-1] / 60:.0%} agreed, median round {median}")
        bounds = np.abs(np.array(wilson_interval(shares, 60)) - np.array(shares) / 60)
        axes.errorbar(
            range(len(misses)),
            np.array(shares) / 60,
            bounds,
            fmt="o-",
            color=f"C{color}",
            label=mind,
        )
    axes.set_xticks(range(len(misses)), ["static", *map(str, misses[1:])])
    axes.set(xlabel="misses before an edge is dropped", ylim=(0, 1.02))
    axes.set_ylabel("share of runs that agreed")


def groups(axes: Axes) -> None:
    """Draw how often a committed minority takes over in groups and in pairs."""
    shares = [0.02, 0.04, 0.06, 0.08, 0.10, 0.12]
    for color, agreement in enumerate(("any",)):
        found = takeovers(
            shares,
            "B",
            "A",
            graph="groups(n=200, k=3, m=800)",
            names="AB",
            agreement=agreement,
            runs=50,
            rounds=200,
            rng=SEED,
        )
        print(found.assign(agreement=agreement).to_string())
        for hearers, style in (("group", "-"), ("one", "--")):
            lines = found[found["hearers"] == hearers]
            bounds = [lines["flipped"] - lines["low"], lines["high"] - lines["flipped"]]
            said = f"groups of 3, {agreement} must know" if hearers == "group" else "pairs"
            axes.errorbar(
                lines["share"],
                lines["flipped"],
                bounds,
                fmt=f"o{style}",
                color=f"C{color}" if hearers == "group" else "gray",
                label=said,
            )
    axes.set(xlabel="share of committed agents", ylabel="share of runs they took over")


FIGURES: dict[str, Callable[[Axes], None]] = {
    "contacts": contacts,
    "adaptive": adaptive,
    "groups": groups,
}


def main() -> None:
    """Play and draw all figures."""
    for name, draw in FIGURES.items():
        figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
        draw(axes)
        axes.legend(frameon=False)
        write_figure(figure, PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
