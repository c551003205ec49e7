"""``mesa-llm-norms reproduce``: the study's main results, with recorded or live minds.

``mesa-llm-norms classical``: the classical naming game beside what is published about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.live import SIMULATING, announce, print_parts, require_budget
from mesa_llm_norms.cli.options import GAME, LIVE_MINDS, RUNS, option
from mesa_llm_norms.cli.papers import Request, list_papers, play_paper, refuse_unused
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import check_folder, write_csv
from mesa_llm_norms.core.formatting import estimate, p_number
from mesa_llm_norms.errors import MindError, SpecError, shown
from mesa_llm_norms.minds.registry import STUDY_MINDS, is_live, load_mind, model_of

if TYPE_CHECKING:
    from mesa_llm_norms.classical.published import Found
    from mesa_llm_norms.llm.settings import LLMSettings
    from mesa_llm_norms.reproduction import Reproduction
    from mesa_llm_norms.reproduction.observed import People
    from mesa_llm_norms.reproduction.protocol import Experiment
    from mesa_llm_norms.reproduction.recorded import Recorded


@options.expanded
def reproduce(
    context: typer.Context,
    paper: Annotated[
        str | None,
        option(GAME, "Reproduce this paper instead; [b]--list[/b] names those there are."),
    ] = None,
    listed: Annotated[bool, option(GAME, "List the papers, and play nothing.", "--list")] = False,
    people: Annotated[
        bool,
        option(
            GAME,
            "Hold minds to two experiments with people instead: networks and tipping points.",
            "--people",
        ),
    ] = False,
    scorecard: Annotated[
        bool,
        option(
            GAME,
            "Hold recorded minds to everything at once, and say what none gets right.",
            "--scorecard",
        ),
    ] = False,
    mind: Annotated[
        list[str] | None,
        option(GAME, "Recorded or live mind; may be repeated. Default: all recorded minds."),
    ] = None,
    study: Annotated[
        Path | None,
        option(
            GAME,
            "The study's recordings, or with --people theirs. Default: the numbers that ship.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        option(GAME, "A file with published results, for a paper that reads one."),
    ] = None,
    quick: Annotated[
        bool, option(RUNS, "Play a tenth of the runs, for a first look.", "--quick")
    ] = False,
    seed: options.FixedSeed = 1,
    workers: options.Workers = 2,
    out: options.Out = None,
    as_json: options.AsJson = False,
    runs: Annotated[
        int,
        option(
            LIVE_MINDS, "Runs of each experiment with a live mind.", limit=limits.REPRODUCED_RUNS
        ),
    ] = 5,
    *,
    live: options.LiveOptions,
) -> None:
    """Reproduce the study's main results, or those of another paper, and test which of them hold.

    Recorded minds play offline: success rates, winners, single decisions, the stability of
    conventions, critical mass, 200 agents, larger pools. Every result is tested against what was
    recorded or published. A minute or two on two processors. Live minds play the main conditions
    within a budget ([b]--forecast[/b] estimates it); the same command resumes them in --out.

    [b]Examples[/b]

    mesa-llm-norms reproduce --seed 1 --out reproduction/

    mesa-llm-norms reproduce --paper xie2011 --out xie/

    mesa-llm-norms reproduce --scorecard --quick --out scorecard/

    mesa-llm-norms reproduce --mind claude:claude-haiku-5-5 --runs 2 --budget-usd 20 --out live/
    """
    if listed:
        list_papers(as_json)
        return
    calls = ("runs", *(one.name for one in fields(live)))
    if scorecard:
        unused: dict[str, object] = {"paper": paper, "people": people, "study": study, "data": data}
        refuse_unused("--scorecard", unused | options.typed(context, calls))
        _scorecard(mind, quick, seed, workers, out, as_json)
        return
    if data is not None and paper is None:
        raise SpecError("data", str(data), "no paper is named", "Give --paper.")
    if paper is not None:
        from mesa_llm_norms.reproduction.papers.catalog import read_paper

        known = read_paper(paper)
        if known.play is not None:
            others = options.typed(context, ("runs", "forecast") if known.live else calls)
            refuse_unused(known.name, {"people": people, "study": study, **others})
            typed = Request(paper, tuple(mind or ()), quick, data, seed, workers, out, as_json)
            play_paper(typed, live)
            return
        refuse_unused(known.name, {"data": data, "people": people})
        people = known.people

    from mesa_llm_norms.reports.reproduction import draw_reproduction, write_reproduction
    from mesa_llm_norms.reproduction import protocol

    labels = list(dict.fromkeys(mind or STUDY_MINDS))
    if _all_live(labels):
        read = live.mind_reader()
        minds, llm = [read(label) for label in labels], live.calls()
        if live.forecast:
            todo = _live_experiments(runs, _recordings(study, people)[1])
            with output.progress(SIMULATING):
                parts = protocol.foresee(minds, todo, seed, llm)
            print_parts(parts, as_json)
            return
        found = _reproduce_live(minds, runs, seed, llm, study, out, people)
        write = partial(write_reproduction, found)
    else:
        if live.forecast:
            raise MindError("mind", labels, "no mind is live", "Recorded minds cost nothing.")
        found = _reproduce_recorded(labels, seed, workers, quick, study, out, people)
        write = partial(_write_reproduction, found, study)

    def show() -> None:
        if as_json:
            output.print_json(found.as_object())
            return
        _print_reproduction(found)
        if out is not None:
            output.list_folder(out)

    draw = partial(draw_reproduction, found)
    output.finish(out, write, draw, show, live=_all_live(labels))


def _scorecard(
    mind: list[str] | None, quick: bool, seed: int, workers: int, out: Path | None, as_json: bool
) -> None:
    """Play everything, write what there is to write, and print what no mind gets right."""
    from mesa_llm_norms.reports.scorecard import draw_scorecard, missed_text
    from mesa_llm_norms.reproduction import scorecard

    if out is not None:
        check_folder(out)
    with output.progress("playing") as report:
        found = scorecard.scorecard(mind, quick, seed, workers, report)

    def show() -> None:
        if as_json:
            output.print_json(found.as_object())
            return
        missed = found.by_none()
        if missed:
            output.say("What no mind gets right", "bold")
        for lines in missed:
            output.say(output.one_line(f"- {missed_text(lines)}"))
        output.say(f"\n{found.sentence}" if missed else found.sentence)
        if out is not None:
            output.list_folder(out)

    write = partial(scorecard.write_scorecard, found)
    output.finish(out, write, partial(draw_scorecard, found), show)


def _write_reproduction(found: Reproduction, study: Path | None, folder: Path) -> None:
    """Write the results, and the numbers of recordings that do not ship."""
    from mesa_llm_norms.reports.reproduction import write_reproduction
    from mesa_llm_norms.reproduction.observed import write_people
    from mesa_llm_norms.reproduction.recorded import write_recorded

    write_reproduction(found, folder)
    if study is not None and found.people is not None:
        write_people(found.people, folder / "people.json")
    elif study is not None:
        write_recorded(found.recorded, folder / "recorded.json")


def _all_live(labels: Sequence[str]) -> bool:
    """Return whether the minds are live; raise an error where only some are, or where one cannot
    be used.
    """
    live = [is_live(label) for label in labels]
    for label, one in zip(labels, live, strict=True):
        if not one and model_of(label) not in STUDY_MINDS:
            load_mind(label)  # a better error for an unknown name
            raise MindError(
                "mind",
                label,
                f"the study did not record {shown(label)}, so there is nothing to compare it with",
                "Use one that it recorded or a live mind; for your own, see validate --mind.",
            )
    if any(live) and not all(live):
        raise SpecError(
            "mind", list(labels), "recorded and live minds together", "Use a command for each."
        )
    return all(live)


def _recordings(study: Path | None, people: bool) -> tuple[Recorded, People | None]:
    from mesa_llm_norms.reproduction.observed import references

    with output.progress("reading the recordings"):
        return references(study, people)


def _live_experiments(runs: int, people: People | None) -> list[Experiment]:
    from mesa_llm_norms.reproduction import people as with_people
    from mesa_llm_norms.reproduction import protocol

    if people is None:
        return protocol.live_experiments(runs)
    return with_people.experiments(people, runs, live=True)


def _reproduce_live(
    minds: Sequence[Any],
    runs: int,
    seed: int,
    llm: LLMSettings,
    study: Path | None,
    folder: Path | None,
    people: bool,
) -> Reproduction:
    """Play the live experiments within a budget."""
    from mesa_llm_norms.experiments.cost_forecast.simulation import nearest
    from mesa_llm_norms.reproduction import people as with_people
    from mesa_llm_norms.reproduction import protocol, results
    from mesa_llm_norms.reproduction.rows import command_line, judge

    require_budget(llm, "these experiments")
    if folder is None:
        raise SpecError("out", None, "live replies need a folder to be kept in", "Give --out.")
    if not (folder / protocol.JOURNALS).is_dir():
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
    recorded, observed = _recordings(study, people)
    announce(minds, llm)
    with output.progress("playing") as report:
        experiments = _live_experiments(runs, observed)
        played, used = protocol.play_live(minds, experiments, seed, llm, folder, report)
        against = {mind.label: nearest(mind.provider.model).name for mind in minds}
        if observed is not None:
            rows = with_people.compare(played, observed)
        else:
            rows = results.compare(played, {mind.label: mind for mind in minds}, recorded, against)
    labels = [mind.label for mind in minds]
    command = command_line(people, labels, f"--runs {runs}", seed)
    found = results.Reproduction(command, judge(rows), played, recorded, against, observed)
    usage = output.usage_sentence(used)
    if usage is not None:
        output.complain("note", usage)
    return found


def _reproduce_recorded(
    labels: Sequence[str],
    seed: int,
    workers: int,
    quick: bool,
    study: Path | None,
    folder: Path | None,
    people: bool,
) -> Reproduction:
    """Play all experiments with recorded minds."""
    from mesa_llm_norms.reproduction import results

    if folder is not None:
        check_folder(folder)
    with output.progress("playing") as report:
        return results.reproduce(labels, people, quick, study, seed, workers, report)


def _print_reproduction(found: Reproduction) -> None:
    """Print what does not match, then every result of each mind."""
    from mesa_llm_norms.reproduction.rows import mismatches, number, published_text

    output.say("What does not match", "bold")
    for line in filter(None, mismatches(found.judged)):
        output.say(output.one_line(line.replace("**", "")))
    groups: dict[str, list[tuple[str | Text, ...]]] = {}
    for one in found.judged:
        row = one.row
        cells = (
            row.what,
            published_text(row.published),
            "" if row.recorded is None else number(row.recorded.value),
            number(row.here.value),
            p_number(one.corrected),
            "" if one.within else Text("differs", "bold red"),
        )
        groups.setdefault(output.one_line(f"{row.mind}: {row.part}"), []).append(cells)
    for title in sorted(groups):
        output.say(f"\n{title}", "bold")
        output.print_table(("", "published", "recorded", "here", "p", ""), groups[title])
    output.say("\np-values are corrected for the number of results in each part (Holm).")


def classical(
    quick: Annotated[
        bool, option(RUNS, "Play fewer and smaller runs: seconds instead of minutes.", "--quick")
    ] = False,
    seed: options.FixedSeed = 1,
    workers: Annotated[
        int, option(RUNS, "Threads; they do not change the results.", limit=limits.WORKERS)
    ] = 2,
    out: options.Out = None,
    as_json: options.AsJson = False,
) -> None:
    """Play the classical naming game and compare it with what is published about it.

    No minds and no payoffs: agents pass words on until all use one (Baronchelli and others, 2006).
    How long that takes, and how many words there are meanwhile, is known for many networks. Sizes
    are finite, so exponents agree within 0.1 (time) or 0.05 (words). About three minutes on one
    processor.

    [b]Examples[/b]

    mesa-llm-norms classical --quick

    mesa-llm-norms classical --seed 3 --workers 4 --out classical/
    """
    from mesa_llm_norms.classical import published

    if out is not None:
        check_folder(out)
    with output.progress("compiling") as report:
        runs = published.play_experiments(seed, quick, workers, report)
        found = published.compare(runs)
    table = published.table(found)

    def write(folder: Path) -> None:
        runs.to_parquet(folder / "runs.parquet", index=False)
        write_csv(table, folder / "classical.csv")

    def draw(folder: Path) -> None:
        from mesa_llm_norms.plots.comparisons import plot_classical
        from mesa_llm_norms.plots.style import save_figure

        figure = plot_classical(published.points(runs), published.shares(runs))
        save_figure(figure, folder / "classical")

    def show() -> None:
        if as_json:
            output.print_json(table.to_dict(orient="records"))
            return
        _print_claims(found)
        if out is not None:
            output.list_folder(out)

    output.finish(out, write, draw, show)


def _print_claims(found: Sequence[Found]) -> None:
    rows = []
    for one in found:
        decimals = 3 if one.claim.published < 1 else 2 if one.claim.published < 100 else 0
        form = f".{decimals}f"
        rows.append(
            (
                one.claim.what,
                format(one.claim.published, form),
                estimate((one.here, one.low, one.high), form),
                "yes" if one.agrees else Text("no", "bold red"),
            )
        )
    output.print_table(("", "published", "here (95%)", "agrees"), rows)
