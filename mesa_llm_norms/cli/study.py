"""``mesa-llm-norms fit`` and ``validate``: recorded minds, made from recordings and compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.live import announce, check_budget
from mesa_llm_norms.cli.minds import pool_text
from mesa_llm_norms.cli.options import GAME, OUTPUT, RUNS, option
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import check_folder, new_file
from mesa_llm_norms.core.formatting import count, p_number
from mesa_llm_norms.core.limits import choose
from mesa_llm_norms.errors import MindError, SpecError, shown
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.minds.files import write_recorded
from mesa_llm_norms.minds.mind import Mind, Policy
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.registry import STUDY_MINDS, load_mind, recorded_names
from mesa_llm_norms.simulation.results import versions

Data = Annotated[
    Path, typer.Argument(help="The study's interactions.csv.gz, or the folder that holds it.")
]
Models = Annotated[
    list[str] | None,
    option(GAME, "Use only this model of the recordings; may be repeated.", "--model"),
]


def fit(
    data: Data,
    out: Annotated[Path, option(OUTPUT, "Folder for MODEL.json; created if missing.")],
    model: Models = None,
    refits: Annotated[
        int,
        option(
            GAME,
            "Fit again to runs drawn with replacement, so many times, for MODEL.refits: how "
            "uncertain the fit is.",
            limit=limits.REFITS,
        ),
    ] = 0,
    force: Annotated[bool, option(OUTPUT, "Overwrite minds that exist.", "--force")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Fit a recorded mind to the recorded populations of each model.

    About a minute per model. The same recordings always give the same files. The log-loss is that
    of the odd-numbered runs under a fit to the even-numbered ones; the mind that is written is
    fitted to all runs. Refits take a second or two each; with them the mind can be played as
    uncertain as its fit is: [b]--mind minds/MODEL.json~[/b].

    [b]Examples[/b]

    mesa-llm-norms fit study/ --out minds/

    mesa-llm-norms fit study/interactions.csv.gz --out minds/ --model claude-3.5-sonnet

    mesa-llm-norms fit study/ --out minds/ --refits 50
    """
    from mesa_llm_norms.minds.refits import SUFFIX, write_refits
    from mesa_llm_norms.study.fit import fit_mind
    from mesa_llm_norms.study.refits import refit

    recordings = _read_recordings(data)
    targets = _targets(choose("model", model or (), recordings.models), out, force)
    beside = {name: target.with_name(f"{name}{SUFFIX}") for name, target in targets.items()}
    options.check_files(beside.values(), force)  # without --refits those there are would go
    version = versions()["mesa_llm_norms"] or "unknown"
    fitted = []
    with output.progress("fitting") as report:
        for number, (name, target) in enumerate(targets.items()):

            def step(what: str, name: str = name, number: int = number) -> None:
                report(f"{name}: {what}", number, len(targets))

            mind = fit_mind(recordings, name, version, step)
            again = refit(recordings, mind, refits, step) if refits else None
            with new_file(target) as hidden:
                write_recorded(mind, hidden)
            beside[name].unlink(missing_ok=True)  # which were those of the mind before
            if again is not None:
                with new_file(beside[name]) as hidden:
                    write_refits(again, mind, hidden)
            fitted.append(mind)
    if as_json:
        files = {mind.label: {"file": str(targets[mind.label])} for mind in fitted}
        output.print_json({mind.label: files[mind.label] | mind.provenance for mind in fitted})
        return
    _print_fits(fitted)
    for target in [*targets.values(), *(beside.values() if refits else ())]:
        output.say(f"Written to {target}")


def _read_recordings(data: Path) -> Any:
    from mesa_llm_norms.study.recordings import read_recordings

    with output.progress("reading the recordings"):
        return read_recordings(data)


def _targets(models: Sequence[str], out: Path, force: bool) -> dict[str, Path]:
    """Return the file of each model; raise ``SpecError`` for what may not be written."""
    for name in models:
        if not re.fullmatch(r"\w[\w.+-]*", name):
            problem = f"{shown(name)} cannot be a file name"
            raise SpecError("model", name, problem, "Rename it in the data.")
    targets = {name: out / f"{name}.json" for name in models}
    options.check_files(targets.values(), force)
    return targets


def _print_fits(fitted: Sequence[RecordedMind]) -> None:
    rows = []
    for mind in fitted:
        for it in mind.provenance["conditions"]:
            loss = it["log_loss_even_to_odd"]
            rows.append(
                (
                    mind.label,
                    it["kind"],
                    pool_text(it["pool"]),
                    count(it["decisions"]),
                    "-" if loss is None else f"{loss:.3f}",
                )
            )
    output.print_table(("mind", "condition", "names", "decisions", "log-loss"), rows)


@options.expanded
def validate(
    data: Annotated[
        Path,
        typer.Argument(
            help="The study's interactions.csv.gz, or the folder that holds it; or a recording of "
            "a live mind: its file (.json), or its name if it ships."
        ),
    ],
    model: Models = None,
    mind: Annotated[
        str | None,
        option(
            GAME,
            "Mind or mind file to compare with the recordings. Default: each model's own. With a "
            "recording of a live mind: the live mind.",
        ),
    ] = None,
    runs: Annotated[
        int, option(RUNS, "Simulated populations per condition.", limit=limits.SIMULATED_RUNS)
    ] = 1_000,
    seed: options.FixedSeed = 1,
    workers: options.Workers = 2,
    out: options.Out = None,
    as_json: options.AsJson = False,
    *,
    live: options.LiveOptions,
) -> None:
    """Compare minds, and populations of them, with the recordings.

    Scores every recorded decision (log-loss, calibration), simulates populations under the recorded
    conditions, and tests how long they take to converge and which names win. About a minute per 100
    runs for the whole study.

    A recording of a live mind is played against that mind: row by row with the orders of names kept
    where it can be, and in distribution by how long populations take, what they play at the end and
    how much of it matches.

    [b]Examples[/b]

    mesa-llm-norms validate study/ --out validation/

    mesa-llm-norms validate study/ --model llama-3-70b-instruct --mind mine.json

    mesa-llm-norms validate haiku.json --mind claude:claude-haiku-5-5 --budget-usd 2
    """
    ships = str(data) in set(recorded_names()) - set(STUDY_MINDS)
    if ships or data.suffix.lower() == ".json":
        _validate_recording(
            load_mind(str(data) if ships else data), mind, runs, seed, live, as_json
        )
        return
    from mesa_llm_norms.reports.reproduction import draw_validation, write_validation
    from mesa_llm_norms.study import validate as validation

    if out is not None:
        check_folder(out)
    recordings = _read_recordings(data)
    models = choose("model", model or (), recordings.models)
    minds = {name: _read_policy(mind or name) for name in models}
    with output.progress("scoring decisions") as report:
        found = validation.validate(
            recordings,
            minds,
            runs=runs,
            rng=seed,
            workers=workers,
            report=lambda condition: report(f"{condition}: scoring decisions", 0, runs),
            progress=lambda done, total: report("simulated runs", done, total),
        )
    rows = validation.summary(found).to_dict(orient="records")

    def show() -> None:
        if as_json:
            output.print_json(rows)
            return
        _print_validation(rows)
        if out is not None:
            output.list_folder(out)

    draw = partial(draw_validation, found, runs=runs, seed=seed)
    output.finish(out, partial(write_validation, found), draw, show)


def _validate_recording(
    recorded: Mind, name: str | None, runs: int, seed: int, live: options.LiveOptions, as_json: bool
) -> None:
    """Compare a recording with its live mind."""
    from mesa_llm_norms.experiments.recording import check_recording

    mind = live.mind_reader()(name) if name is not None else None
    if not isinstance(recorded, RecordedMind) or not isinstance(mind, LiveMind):
        remedy = "Give a file that mesa-llm-norms record wrote, and the live mind as --mind."
        raise MindError("mind", name, "a recording is compared with its live mind", remedy)
    llm = live.calls()
    check_budget(llm, [mind])
    announce([mind], llm)
    with output.progress("playing") as report:
        found = check_recording(recorded, mind, runs=runs, rng=seed, progress=report, llm=llm)
    if as_json:
        output.print_json(found.as_object())
        return
    rows = [
        (name, *(f"{value:,.3g}" for value in found.medians.get(name, ())), p_number(p_value))
        if name in found.medians
        else (name, "", "", p_number(p_value))
        for name, p_value in found.p_values.items()
    ]
    output.print_table(("", "live (median)", "recorded (median)", "p"), rows)
    output.say(found.sentence, "bold")
    used = output.usage_sentence(found.usage)
    if used is not None:
        output.complain("note", used)


def _read_policy(mind: str) -> Policy:
    loaded = load_mind(mind)
    if not isinstance(loaded, Policy):
        raise MindError(
            "mind",
            mind,
            f"{shown(mind)} does not give probabilities",
            "Use a recorded mind or a measured table.",
        )
    return loaded


def _print_validation(rows: Sequence[dict[Any, Any]]) -> None:
    output.print_table(
        ("condition", "log-loss", "interactions", "p", "winner", "p"),
        [
            (
                f"{row['model']} {pool_text(row['pool'].split())}",
                f"{row['log_loss']:.3f}",
                f"{count(row['median_recorded'])} / {count(row['median_simulated'])}",
                p_number(row["time_p"]),
                f"{row['winner']} {row['share_recorded']:.2f} / {row['share_simulated']:.2f}",
                p_number(row["winners_p"]),
            )
            for row in rows
        ],
    )
    output.say("Medians and shares of wins: recorded / simulated. More is in the report (--out).")
