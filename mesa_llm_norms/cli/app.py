"""``mesa-llm-norms app``: the page, served on this computer."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import typer

from mesa_llm_norms.cli import output
from mesa_llm_norms.core.files import RUNS
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.registry import DEFAULT_MIND, mind_names
from mesa_llm_norms.networks.reading import names_file
from mesa_llm_norms.simulation.serialization import parse_mind
from mesa_llm_norms.simulation.spec import DEFAULT_GRAPH, DEFAULT_NAMES
from mesa_llm_norms.validation import choose
from mesa_llm_norms.web.model_source import ServerSettings, configure_server
from mesa_llm_norms.web.serve import LOOPBACK, PORT, Listening, listen, new_token, serve

_SHOWN, _SERVER = "What is shown first", "The server"


def app(
    topology: Annotated[
        str | None,
        typer.Option(
            "--topology",
            "--graph",
            "-t",
            help="Who can meet whom: a topology (see [b]mesa-llm-norms topologies[/b]) or a graph "
            f"file. Without it {DEFAULT_GRAPH}.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(
            help="The pool: letters (QM), or names between commas (yes,no,maybe). Without it "
            f"{DEFAULT_NAMES}.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    mind: Annotated[
        list[str] | None,
        typer.Option(
            help="Who decides, as in [b]mesa-llm-norms run[/b]; without it "
            f"{DEFAULT_MIND}. Live minds and mind files are offered on the page only if they are "
            "named here.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="The same seed gives the same run. Without it 1.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    scene: Annotated[
        str | None,
        typer.Option(
            help="Begin with this scene for class. A name that is wrong lists them.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            help="Look at a run that was played: the folder it left.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    scenes: Annotated[
        Path | None,
        typer.Option(
            help="A folder with scenes of your own; they come after those that ship.",
            show_default=False,
            rich_help_panel=_SERVER,
        ),
    ] = None,
    folder: Annotated[
        Path,
        typer.Option(help="Where runs with live minds are kept.", rich_help_panel=_SERVER),
    ] = RUNS,
    budget_calls: Annotated[
        int,
        typer.Option(
            min=1, help="How many calls a run with live minds may make.", rich_help_panel=_SERVER
        ),
    ] = ServerSettings.budget_calls,
    budget_usd: Annotated[
        float | None,
        typer.Option(
            help="How many US dollars a run with live minds may cost.",
            show_default=False,
            rich_help_panel=_SERVER,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help=f"The port; 0 for any that is free. Without it {PORT}, or the next one free.",
            show_default=False,
            rich_help_panel=_SERVER,
        ),
    ] = None,
    address: Annotated[
        str,
        typer.Option(
            "--host",
            help="The address to serve at. Other computers reach the page only with another than "
            "this one: 0.0.0.0 is all addresses of this computer.",
            rich_help_panel=_SERVER,
        ),
    ] = LOOPBACK,
    no_browser: Annotated[
        bool,
        typer.Option(
            "--no-browser", help="Print the link, and open no browser.", rich_help_panel=_SERVER
        ),
    ] = False,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Fetch nothing from the internet, ever. Needs the offline extra, which brings "
            r'the scripts and fonts of the page: pip install "mesa-llm-norms\[offline]". Without '
            "this option, what is missing is fetched at the first visit and kept.",
            rich_help_panel=_SERVER,
        ),
    ] = False,
) -> None:
    """Show a population in the browser: who holds which name, and why; change it and watch.

    Prints a link and opens it. The link holds a token: whoever has it can use the page, and nobody
    else can. Every viewer has a population of their own. Ctrl-C ends the server and all that plays.

    [b]Examples[/b]

    mesa-llm-norms app

    mesa-llm-norms app --topology "ring(n=24, k=4)" --names QM --mind llama-2-70b-chat --seed 7

    mesa-llm-norms app --replay runs/first

    mesa-llm-norms app --mind claude:claude-haiku-5-5 --names QM --budget-usd 1

    mesa-llm-norms app --host 0.0.0.0 --port 9000 --no-browser
    """
    given = _read(topology, names, mind or (), seed, scene, replay, scenes)
    configure_server(
        ServerSettings(
            replay=replay,
            scenes=scenes,
            minds=tuple(name for name in _named(mind or ()) if name not in mind_names()),
            topologies=(topology,) if topology is not None and names_file(topology) else (),
            folder=folder,
            budget_calls=budget_calls,
            budget_usd=budget_usd,
        )
    )
    listening, token = listen(address, port), new_token()
    query = urlencode([("token", token), *given])

    def started() -> None:
        _say(listening, query)
        if not no_browser and _has_screen():
            link = f"{listening.origin}/?{query}"
            threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()

    try:
        serve(listening, token, started, offline=offline)
    except KeyboardInterrupt:
        output.stderr().print("stopped")


def _read(
    topology: str | None,
    names: str | None,
    mind: Sequence[str],
    seed: int | None,
    scene: str | None,
    replay: Path | None,
    scenes: Path | None,
) -> list[tuple[str, str]]:
    """Return what a link says of what is given; raise an error of this package if it is wrong."""
    from mesa_llm_norms.web.setting import Setting

    values = (("topology", topology), ("names", names), ("seed", seed))
    pairs = [(key, str(value)) for key, value in values if value is not None]
    pairs += [("mind", name) for name in mind]
    bases: Sequence[Setting] = (Setting(),)
    if scene is not None or scenes is not None:
        from mesa_llm_norms.web.scenes.scene import read_scenes

        known = read_scenes(scenes)
        if scene is not None:
            (scene,) = choose("scene", [scene], tuple(known))
            bases = known[scene].settings(1 if seed is None else seed)
    if replay is not None:
        from mesa_llm_norms.web.replay import read_recorded_run

        if pairs or scene is not None:
            raise SpecError(
                "replay",
                str(replay),
                "a run that was played has its own topology, names, minds and seed",
                "Give --replay without them, and without --scene.",
            )
        read_recorded_run(replay)
        return [("replay", "")]
    for basis in bases:
        Setting.from_query(urlencode(pairs), basis).spec().initial_state()
    return pairs if scene is None else [("scene", scene), *pairs]


def _named(mind: Sequence[str]) -> list[str]:
    read = parse_mind(mind)
    return [read] if isinstance(read, str) else list(read)


def _say(listening: Listening, query: str) -> None:
    console = output.stdout()
    if not listening.private:
        output.complain(
            "note",
            "other computers can reach this page: whoever has the link can use it, and what is "
            "sent is not encrypted. Without --host only this computer can.",
        )
        elsewhere = f"{listening.origin_elsewhere}/?{query}"
        console.print(elsewhere, markup=False, soft_wrap=True)
        console.print("and on this computer", style="dim")
    console.print(f"{listening.origin}/?{query}", markup=False, soft_wrap=True, style="bold")
    console.print("Ctrl-C ends it.", style="dim")
    console.file.flush()


def _has_screen() -> bool:
    """Whether a browser would open in a window rather than in this terminal."""
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
