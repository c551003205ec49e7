"""``mesa-llm-norms groups``: a committed minority in groups of more than two, and in pairs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.options import GAME, RUNS
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.formatting import percent
from mesa_llm_norms.core.limits import read_percentage


@options.expanded
def groups(
    topology: Annotated[
        str,
        options.option(
            GAME, "Hypergraph, or a graph whose cliques are the groups.", "--topology", "-t"
        ),
    ] = "groups(n=200, k=3, m=800)",
    shares: Annotated[
        str, options.option(GAME, "Shares of committed agents, between commas.")
    ] = "4%,6%,8%,10%,12%,14%",
    agreement: Annotated[
        str, options.option(GAME, "Whether all hearers must know a word to agree on it, or any.")
    ] = "all",
    success: Annotated[
        float,
        options.option(GAME, "Probability that an agreement succeeds.", limit=limits.SUCCESS),
    ] = 1.0,
    runs: Annotated[
        int, options.option(RUNS, "Number of runs for each share.", limit=limits.RUNS)
    ] = 100,
    rounds: options.Rounds = None,
    seed: options.FixedSeed = 1,
    as_json: options.AsJson = False,
    *,
    files: options.FileOptions,
) -> None:
    """Measure how large a committed minority must be in groups, and in pairs on the same groups.

    The classical naming game in groups: a speaker utters a word to all others of its group, and
    they agree on it if all of them know it. In pairs one other member hears the speaker. All agents
    hold one word at first, but for those who are committed to another; it takes over when 95% of
    the agents hold it alone (Iacopini and others, 2022).

    [b]Examples[/b]

    mesa-llm-norms groups

    mesa-llm-norms groups -t "groups(n=500, k=4, m=2000)" --shares 5%,10%,15% --runs 50

    mesa-llm-norms groups -t classes.txt --read format=groups --agreement any --success 0.5
    """
    from mesa_llm_norms.classical.groups import takeovers

    (topology,) = files.apply(topology)
    amounts = [read_percentage(text.strip()) for text in shares.split(",")]
    try:
        amounts = [float(amount) for amount in amounts]
    except ValueError as error:
        raise typer.BadParameter("--shares takes shares between commas: 5%,0.1.") from error
    with output.progress("playing") as report:
        found = takeovers(
            amounts,
            "B",
            "A",
            graph=topology,
            names="AB",
            agreement=agreement,
            success=success,
            runs=runs,
            rounds=rounds,
            rng=seed,
            progress=lambda done, total: report("measurements", done, total),
        )
    if as_json:
        output.print_json(found.to_dict(orient="records"))
        return
    output.say(output.one_line(f"{runs:,} runs for each share on {topology}"), "bold")
    output.print_table(
        ("committed", "took over in groups", "in pairs"),
        [
            (percent(share), *map(_cell, found[found["share"] == share].itertuples()))
            for share in amounts
        ],
    )


def _cell(line: Any) -> str:
    return f"{percent(line.flipped)} ({percent(line.low)} to {percent(line.high)})"
