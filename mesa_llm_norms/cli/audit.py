"""``mesa-llm-norms audit``: the bias of one mind, alone and in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.live import SIMULATING, announce
from mesa_llm_norms.cli.options import GAME, LIVE_MINDS, RUNS, STOPPING, TOPOLOGY, option
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.formatting import bounds, percent
from mesa_llm_norms.core.stopping import WINDOW
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.simulation.spec import STUDY_GRAPH
from mesa_llm_norms.simulation.typed import parse_names

if TYPE_CHECKING:
    from mesa_llm_norms.experiments.audits import Audit
    from mesa_llm_norms.experiments.audits.runner import AuditPlan
    from mesa_llm_norms.llm.settings import LLMSettings


@options.expanded
def audit(
    mind: Annotated[
        str,
        option(
            GAME,
            "Mind to audit: one of mesa-llm-norms minds, a mind file such as a measured table, or "
            "a live mind.",
        ),
    ] = DEFAULT_MIND,
    names: options.Names = "QM",
    topology: Annotated[
        str,
        option(
            GAME,
            f"{options.TOPOLOGY_TEXT} With {{size}} in it, as in ring(n={{size}}, k=4), --sizes "
            "uses it too; otherwise --sizes uses complete graphs.",
            *TOPOLOGY,
        ),
    ] = STUDY_GRAPH,
    size: Annotated[
        int | None,
        option(GAME, "Value of {size} in --topology. Default 24.", limit=limits.SPARSE_NODES),
    ] = None,
    pairing: options.PairingRule = "node",
    memory: options.Memory = 5,
    reward: options.Reward = 100,
    penalty: options.Penalty = -50,
    runs: Annotated[
        int | None,
        option(
            RUNS,
            "Populations, and as many for each null model. Default 1000 (20 for live minds).",
            limit=limits.AUDIT_RUNS,
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        option(
            RUNS,
            "Population sizes, separated by commas (2,10,100), or none. Default from 2 to 1000 "
            "(none for live minds).",
        ),
    ] = None,
    size_runs: Annotated[
        int | None, option(RUNS, "Populations of each size. Default: as --runs.", limit=limits.RUNS)
    ] = None,
    rounds: options.Rounds = None,
    window: options.Window = WINDOW,
    threshold: options.Threshold = 1.0,
    level: Annotated[
        float,
        option(
            STOPPING, "Rate of false alarms for a mind without bias.", limit=limits.FALSE_ALARMS
        ),
    ] = 0.05,
    asks: Annotated[
        int,
        option(
            LIVE_MINDS,
            "How often to ask for the first choice, and in each probe.",
            limit=limits.ASKS,
        ),
    ] = 60,
    asks_after: Annotated[
        int,
        option(
            LIVE_MINDS,
            "How often to ask for each memory of one or two interactions.",
            limit=limits.ASKS,
        ),
    ] = 12,
    no_probes: Annotated[
        bool,
        option(
            LIVE_MINDS,
            "Skip the probes: wordings, orders, made-up names and comprehension questions.",
            "--no-probes",
        ),
    ] = False,
    *,
    files: options.FileOptions,
    how: options.ExperimentOptions,
    live: options.LiveOptions,
) -> None:
    r"""Measure whether a mind is biased, and whether groups of it are.

    A group can prefer a name that none of its members prefers. The audit compares the mind's first
    choices, and those after one and two interactions, with equal shares and with a symmetric copy
    of the mind; and the winners of many populations with what first choices alone would explain. It
    reports a verdict in words, confidence intervals, and the bias by population size. About a
    minute for two names.

    [b]Examples[/b]

    mesa-llm-norms audit --mind llama-2-70b-chat --names QM --out audit/

    mesa-llm-norms audit --mind claude:claude-haiku-5-5 --runs 0 --forecast
    """
    from mesa_llm_norms.experiments.audits.runner import plan_audit, run_audit
    from mesa_llm_norms.reports.experiments import draw_audit, write_audit

    read = live.mind_reader()
    plan = plan_audit(
        mind=read(mind),
        names=parse_names(names),
        graph=files.apply(topology)[0],
        size=size,
        pairing=pairing,
        memory=memory,
        reward=reward,
        penalty=penalty,
        rng=how.read_seed(),
        runs=runs,
        rounds=rounds,
        window=window,
        threshold=threshold,
        sizes=_read_sizes(sizes),
        size_runs=size_runs,
        level=level,
        times=asks,
        times_after=asks_after,
        probes=not no_probes,
    )
    asked = plan.live is not None
    llm = how.settings(live, live=asked)
    if live.forecast or asked:
        _print_forecast(plan, llm, how.as_json and live.forecast, alone=live.forecast)
    if live.forecast:
        return
    announce([plan.mind], llm)
    with output.progress("auditing") as report:
        found = run_audit(plan, workers=how.workers, progress=report, llm=llm)
    how.finish(
        found,
        plan.spec.seed,
        write_audit,
        draw_audit,
        lambda it: it.as_object(),
        _print_audit,
        live=asked,
    )


def _read_sizes(text: str | None) -> list[int] | None:
    if text is None:
        return None
    if text.strip().lower() in ("none", ""):
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SpecError(
            "sizes", text, f"{shown(text)} is not a list of sizes", "Write 2,10,100, or none."
        ) from None


def _print_forecast(plan: AuditPlan, llm: LLMSettings, as_json: bool, alone: bool) -> None:
    """Print what a live audit will take; to standard error, unless that is all there is to do."""
    from mesa_llm_norms.experiments.audits.runner import forecast_audit

    with output.progress(SIMULATING):
        found = forecast_audit(plan, llm)
    if as_json:
        output.print_json(found.as_object())
    else:
        output.print_pairs(found.rows(), output.stdout() if alone else output.stderr())


def _print_audit(found: Audit) -> None:
    """Print the verdict, the bias by population size, and the results of the probes."""
    from mesa_llm_norms.experiments.audits import KINDS

    verdict = found.verdict
    output.say(output.one_line(f"{found.mind}: {KINDS[verdict.kind]}"), "bold")
    for sentence in verdict.sentences:
        output.say(output.one_line(sentence))
    if found.sizes is not None:
        strong, interval = found.sizes.strong, f"{percent(1 - found.level)} interval"
        rows = []
        for point in found.sizes.points:
            share, played = point.preference.of(strong).share, point.played
            settled = f"{played.settled:,} of {played.runs:,}"
            shown = (f"{share.value:.3f}", bounds(share))
            rows.append((f"{played.agents:,}", settled, *shown, point.effect))
        head = ("agents", "converged", f"{strong} wins", interval, "effect")
        output.print_table(head, rows, prose=4)
    for one in found.probes.probes:
        output.say(output.one_line(f"{one.kind}: {one.sentence}"))
    if found.probes.comprehension:
        output.say(found.probes.sentence)
