"""``mesa-llm-norms export``: a run, or a scene, as one HTML file that plays by itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.options import OUTPUT, STOPPING, option
from mesa_llm_norms.cli.run import GameOptions
from mesa_llm_norms.core.files import new_file
from mesa_llm_norms.core.limits import choose
from mesa_llm_norms.core.stopping import WINDOW, Goal, check_goal
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.simulation.spec import Spec

_SCENE = "A scene for a class"
_OF_A_GAME = (
    *("until", "rounds", "window", "threshold"),
    *(one.name for kind in (GameOptions, options.FileOptions) for one in fields(kind)),
)
"""Options that a scene has no use for."""


@options.expanded
def export(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="The file to write, FILE.html.", metavar="FILE")],
    scene: Annotated[
        str | None, option(_SCENE, "The scene, instead of a game; an unknown name lists all.")
    ] = None,
    scenes: Annotated[Path | None, option(_SCENE, "Folder of additional scenes.")] = None,
    until: Annotated[
        str, option(STOPPING, "When to stop: converged, agreed, flipped, or none.")
    ] = "converged",
    rounds: options.Rounds = None,
    window: options.Window = WINDOW,
    threshold: options.Threshold = 1.0,
    seed: options.FixedSeed = 1,
    force: Annotated[bool, option(OUTPUT, "Overwrite the file if it exists.", "--force")] = False,
    *,
    game: GameOptions,
    files: options.FileOptions,
) -> None:
    """Write a run as one HTML file that plays in any browser, without a server or the internet.

    For homework, a talk or a paper: the file holds the network, the recorded minds and the seed,
    and plays the very interactions that [b]mesa-llm-norms run[/b] plays. Some 30 to 200 KB.

    [b]Examples[/b]

    mesa-llm-norms export convention.html --names QM --seed 7

    mesa-llm-norms export hubs.html --scene hubs

    mesa-llm-norms export tipping.html --names QM --incumbent Q --committed M=9 --until flipped
    """
    if out.suffix.lower() not in (".html", ".htm"):
        problem = f"{shown(out.name)} is not the name of a page"
        raise SpecError("FILE", str(out), problem, "Write a name that ends in .html.")
    options.check_files([out], force)
    page = (
        _game_page(
            game.spec(seed, None, str, files), Goal(_until(until), window, threshold), rounds
        )
        if scene is None and scenes is None
        else _scene_page(scene, scenes, seed, options.typed(context, _OF_A_GAME))
    )
    with new_file(out) as hidden:
        hidden.write_text(page, encoding="utf-8")
    output.say(f"Written to {out}, {len(page.encode()) / 1000:,.0f} KB. Open it in a browser.")


def _until(typed: str) -> str | None:
    return None if typed.lower() == "none" else typed


def _game_page(spec: Spec, goal: Goal, rounds: int | None) -> str:
    from mesa_llm_norms.reports.playable import Population, playable_page

    check_goal(goal, spec.committed_names)
    return playable_page([Population(spec, goal, rounds)], "Naming game")


def _scene_page(name: str | None, folder: Path | None, seed: int, unused: Collection[str]) -> str:
    from mesa_llm_norms.web.playable import scene_page
    from mesa_llm_norms.web.scenes.scene import read_scenes

    known = read_scenes(folder)
    if name is None:
        raise SpecError("scene", name, "no scene is chosen", f"Use one of {', '.join(known)}.")
    if unused:
        typed = ", ".join(f"--{option.replace('_', '-')}" for option in unused)
        remedy = f"Leave out {typed}, or --scene."
        raise SpecError("scene", name, "a scene says itself what is played", remedy)
    (name,) = choose("scene", [name], tuple(known))
    return scene_page(known[name], seed)
