"""``mesa-llm-norms minds``: what minds there are, and what is known of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.core.formatting import count
from mesa_llm_norms.errors import shortened
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import TableMind
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.registry import load_mind, mind_names


class MindCommands(TyperGroup):
    """The commands about minds; without one of them, what was typed is for ``show``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what was typed, such as ``minds`` and ``minds NAME``."""
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


minds = typer.Typer(cls=MindCommands)


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
        lines = [(pool_text(it.get("pool")), _loss(it)) for it in fitted] or [(one["what"], "")]
        for place, line in enumerate(lines):
            first = ("", "") if place else (one["name"], decisions)
            rows.append((Text(first[0], "bold"), first[1], *line))
    output.print_table(("mind", "decisions", "fitted to the names", "log-loss"), rows, prose=2)
    for source in dict.fromkeys(one["source"] for one in described if one["source"]):
        output.say(f"\nRecorded minds were fitted to: {source}.")
    output.say(
        "\nThey also play with other names, without a preference for names that were never "
        "recorded. Live minds call a model: claude:MODEL or llama:URL#MODEL (see run --help)."
    )


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


options.register(minds, show)
