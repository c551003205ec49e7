"""``mesa-llm-norms record``: a live mind, asked once, as a file that plays for ever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.live import announce, require_budget
from mesa_llm_norms.cli.options import GAME, LIVE_MINDS, OUTPUT, RUNS, option
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import check_folder
from mesa_llm_norms.core.formatting import count, percent
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.simulation.spec import STUDY_GRAPH
from mesa_llm_norms.simulation.typed import parse_names

if TYPE_CHECKING:
    from mesa_llm_norms.experiments.recording import Recorded

JOURNALS = ".calls"
"""What the folder with the journal has instead of the file's ``.json``."""

ALL_WORTH = 3
"""Memories never asked about that are listed."""


@options.expanded
def record(
    mind: Annotated[str, option(GAME, "Live mind to record.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="File for the mind, ending in .json. The journal of all calls is kept in a "
            "folder beside it, whose name ends in .calls.",
            rich_help_panel=OUTPUT,
        ),
    ],
    names: options.Names = "QM",
    memory: Annotated[
        int, option(GAME, "Interactions that an agent remembers.", limit=limits.RECORDED_MEMORY)
    ] = 3,
    reward: options.Reward = 100,
    penalty: options.Penalty = -50,
    label: Annotated[
        str | None, option(GAME, "What the mind will be called. Default: MODEL (recorded).")
    ] = None,
    exhaustive: Annotated[
        bool | None,
        option(
            LIVE_MINDS,
            "Ask about every memory, or where simulated populations need it most. Default: every "
            "one where there are at most 3,000.",
            "--exhaustive/--adaptive",
        ),
    ] = None,
    asks: Annotated[
        int,
        option(
            LIVE_MINDS,
            "How often to ask about each memory, where the model gives no probabilities.",
            limit=limits.ASKS,
        ),
    ] = 20,
    orders: Annotated[
        int,
        option(
            LIVE_MINDS,
            "In how many orders of the names, where it does and there are more than three names.",
            limit=limits.ASKS,
        ),
    ] = 10,
    tolerance: Annotated[
        float,
        option(
            RUNS,
            "How far populations may still change for an adaptive recording to end: in success "
            "rates, winners and convergence times, each from 0 to 1.",
            limit=limits.SHARE,
        ),
    ] = 0.05,
    topology: Annotated[
        str, option(RUNS, "Network of these populations.", *options.TOPOLOGY)
    ] = STUDY_GRAPH,
    runs: Annotated[
        int, option(RUNS, "How many are simulated each time.", limit=limits.SIMULATED_RUNS)
    ] = 2_000,
    seed: options.FixedSeed = 0,
    resume: Annotated[
        bool,
        option(LIVE_MINDS, "Continue where it was interrupted; no call is repeated.", "--resume"),
    ] = False,
    force: Annotated[bool, option(OUTPUT, "Replace a file that exists.", "--force")] = False,
    as_json: options.AsJson = False,
    *,
    live: options.LiveOptions,
) -> None:
    r"""Record a live mind: ask it once, and play what it answered for ever.

    Asks the model about every memory that an agent can have, in every order of the names where that
    matters; where there are too many, about those that simulated populations visit most and that
    are known least. What was not asked is predicted by a conditional logit fitted to what was. The
    file is a mind for --mind and load_mind: free, offline, and as fast as those that ship.

    [b]Examples[/b]

    mesa-llm-norms record --mind claude:claude-haiku-5-5 --memory 2 -o haiku.json --budget-usd 1

    mesa-llm-norms record --mind llama:http://127.0.0.1:8080/v1#qwen --names ABCDEFGHIJ --memory 5
    -o qwen.json --resume
    """
    from mesa_llm_norms.experiments.recording.forecast import forecast_recording
    from mesa_llm_norms.experiments.recording.recorder import plan_recording, run_recording

    plan = plan_recording(
        live.mind_reader()(mind),
        parse_names(names),
        memory,
        reward=reward,
        penalty=penalty,
        exhaustive=exhaustive,
        asks=asks,
        orders=orders,
        tolerance=tolerance,
        graph=topology,
        runs=runs,
        label=label,
        rng=seed,
    )
    if live.forecast:
        with output.progress("simulating"):
            expected = forecast_recording(plan, live.calls())
        if as_json:
            output.print_json(expected.as_object())
        else:
            output.print_pairs(expected.rows())
        return
    folder = _journal_folder(out, resume=resume, force=force)
    llm = live.calls(folder, resume=resume)
    if not plan.mind.provider.free:
        require_budget(llm, "the questions")
    announce([plan.mind], llm)
    with output.progress("recording") as report:
        found = run_recording(plan, progress=report, llm=llm)
    found.save(out)
    if as_json:
        output.print_json({"file": str(out), **found.as_object()})
        return
    _print(found, out)


def _journal_folder(out: Path, *, resume: bool, force: bool) -> Path:
    """Return the folder of the journal; raise ``SpecError`` for what may not be written."""
    if out.suffix.lower() != ".json":
        raise SpecError(
            "out", str(out), f"{out.name} does not end in .json", "Give a file such as mine.json."
        )
    if out.is_dir() or (out.exists() and not (resume or force)):
        remedy = "Give another file, --force to replace it, or --resume to continue it."
        raise SpecError("out", str(out), f"{out} exists", remedy)
    folder = out.with_suffix(JOURNALS)
    if not resume:
        check_folder(folder)
    return folder


def _print(found: Recorded, out: Path) -> None:
    """Print what was asked, how well it predicts, and what was never asked."""
    known = f"{count(found.memories)} of {count(found.possible)} possible"
    pairs = [
        ("mind", found.mind.label),
        ("memories asked about", known),
        ("questions", f"{count(found.questions)}, {count(found.unusable)} without a usable reply"),
        ("ended", found.ended),
        (
            "log-loss",
            f"{found.held_out:.3f} on memories left out of the fit (at best {found.known:.3f})",
        ),
        ("choices on asked memories", percent(found.visited)),
    ]
    pairs += [
        ("" if place else "never asked, visited most", f"{memory}  {share:.3%}")
        for place, (memory, share) in enumerate(found.never_asked[:ALL_WORTH])
    ]
    output.print_pairs(pairs)
    used = output.usage_sentence(found.usage)
    if used is not None:
        output.complain("note", used)
    output.say(f"Written to {out}")
