"""``mesa-llm-norms app``: serves the page on this computer."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from mesa_llm_norms.classroom.classroom import Classroom
from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.live import announce
from mesa_llm_norms.cli.options import option
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import RUNS
from mesa_llm_norms.core.limits import choose
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.llm.provider import live_mind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.registry import DEFAULT_MIND, is_live, mind_names
from mesa_llm_norms.networks.reading import file_within, names_file
from mesa_llm_norms.networks.registry import size_limit
from mesa_llm_norms.simulation.spec import DEFAULT_GRAPH, DEFAULT_NAMES
from mesa_llm_norms.simulation.typed import parse_mind
from mesa_llm_norms.web.languages import ENGLISH, find_language
from mesa_llm_norms.web.model_source import Invitation, ServerSettings, configure_server
from mesa_llm_norms.web.serve import (
    EVERYWHERE,
    LOOPBACK,
    PORT,
    VIEWERS,
    Listening,
    listen,
    new_token,
    serve,
)

_SHOWN, _SERVER = "What is shown first", "The server"


@options.expanded
def app(
    topology: Annotated[
        str | None,
        option(_SHOWN, f"{options.TOPOLOGY_TEXT} Default {DEFAULT_GRAPH}.", *options.TOPOLOGY),
    ] = None,
    names: Annotated[
        str | None, option(_SHOWN, f"{options.NAMES_TEXT} Default {DEFAULT_NAMES}.")
    ] = None,
    mind: Annotated[
        list[str] | None,
        option(
            _SHOWN,
            "Mind, mind file or live mind, as in mesa-llm-norms run. Live minds and mind files are "
            f"on offer only if they are named here. Default {DEFAULT_MIND}.",
        ),
    ] = None,
    seed: Annotated[
        int | None, option(_SHOWN, "Random seed. Default 1.", limit=limits.SEED)
    ] = None,
    scene: Annotated[
        str | None, option(_SHOWN, "Start with a scene for a class; an unknown name lists all.")
    ] = None,
    language: Annotated[
        str, option(_SHOWN, "Language of the page: en or de.", "--language")
    ] = ENGLISH,
    replay: Annotated[Path | None, option(_SHOWN, "Show a recorded run: its folder.")] = None,
    scenes: Annotated[Path | None, option(_SERVER, "Folder of additional scenes.")] = None,
    folder: Annotated[Path, option(_SERVER, "Where runs with live minds are saved.")] = RUNS,
    budget_calls: Annotated[
        int,
        option(
            _SERVER,
            "Maximum calls to live minds, for all viewers together.",
            limit=limits.PAGE_CALLS,
        ),
    ] = ServerSettings.budget_calls,
    budget_usd: Annotated[
        float | None,
        option(
            _SERVER,
            "Maximum cost of live minds, in US dollars, for all viewers together.",
            limit=limits.BUDGET,
        ),
    ] = None,
    viewers: Annotated[
        int,
        option(
            _SERVER,
            "People who may see the page at the same time; others are told that the room is full.",
            min=limits.VIEWERS.low,
            max=limits.VIEWERS.high,
        ),
    ] = VIEWERS,
    port: Annotated[
        int | None,
        option(
            _SERVER,
            f"Port; 0 for any free one. Default {PORT}, or the next free one.",
            limit=limits.PORT,
        ),
    ] = None,
    address: Annotated[
        str | None,
        option(
            _SERVER,
            "Address to serve at. By default only this computer can reach the page, or with "
            "--class every address of this computer, which is 0.0.0.0.",
            "--host",
        ),
    ] = None,
    class_: Annotated[
        bool,
        option(
            _SERVER,
            "Let students join with their phones, to vote and to play. Their phones see nothing "
            "else.",
            "--class",
        ),
    ] = False,
    no_browser: Annotated[
        bool, option(_SERVER, "Print the link without opening it.", "--no-browser")
    ] = False,
    offline: Annotated[
        bool,
        option(
            _SERVER,
            "Download nothing. Needs the scripts and fonts of the page: "
            r'pip install "mesa-llm-norms\[offline]". Without this option, missing files are '
            "downloaded at the first visit and kept.",
            "--offline",
        ),
    ] = False,
    *,
    files: options.FileOptions,
) -> None:
    """Show a population in the browser: who holds which name and why. Change it and watch.

    Prints a link and opens it. The link contains a token: only people who have it can use the page.
    Every viewer has a population of their own. Ctrl-C stops the server and everything that plays.

    [b]Examples[/b]

    mesa-llm-norms app

    mesa-llm-norms app --topology "ring(n=24, k=4)" --names QM --mind llama-2-70b-chat --seed 7

    mesa-llm-norms app --replay runs/first

    mesa-llm-norms app --mind claude:claude-haiku-5-5 --names QM --budget-usd 1

    mesa-llm-norms app --host 0.0.0.0 --port 9000 --no-browser

    mesa-llm-norms app --class
    """
    if topology is not None or files.read or files.clean:
        (topology,) = files.apply(topology or DEFAULT_GRAPH)
    opened = names_file(topology) or file_within(topology) is not None
    given = _read(topology, names, mind or (), seed, scene, replay, scenes)
    if find_language(language).code != ENGLISH:
        given.append(("lang", language))
    classroom = Classroom() if class_ else None
    if address is None:
        address = LOOPBACK if classroom is None else EVERYWHERE
    listening, token, guest = listen(address, port), new_token(), new_token()
    configure_server(
        ServerSettings(
            replay=replay,
            scenes=scenes,
            minds=tuple(name for name in _named(mind or ()) if name not in mind_names()),
            topologies=(topology,) if topology is not None and opened else (),
            folder=folder,
            budget_calls=budget_calls,
            budget_usd=budget_usd,
            classroom=classroom,
            invitation=Invitation(listening.origin_elsewhere, guest, listening.private),
        )
    )
    announce((live_mind(name) for name in _named(mind or ()) if is_live(name)), LLMSettings())
    query = urlencode([("token", token), *given], errors="replace")

    def started() -> None:
        _say(listening, query)
        if classroom is not None:
            _say_class(listening)
        if not no_browser and _has_screen():
            link = f"{listening.origin}/?{query}"
            threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()

    serve(
        listening,
        token,
        started,
        offline=offline,
        viewers=viewers,
        classroom=classroom,
        guest=guest,
        note=partial(output.complain, "note"),
    )


def _read(
    topology: str | None,
    names: str | None,
    mind: Sequence[str],
    seed: int | None,
    scene: str | None,
    replay: Path | None,
    scenes: Path | None,
) -> list[tuple[str, str]]:
    """Return the arguments as the keys and values of a link; check them first."""
    from mesa_llm_norms.web.setting import Setting

    values = (("topology", topology), ("names", names), ("seed", seed))
    pairs = [(key, str(value)) for key, value in values if value is not None]
    pairs += [("mind", name) for name in mind]
    bases: Sequence[Setting] = (Setting(),)
    if scene is not None or scenes is not None:
        from mesa_llm_norms.web.scenes import read_scenes

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
                "a recorded run has its own topology, names, minds and seed",
                "Use --replay without them, and without --scene.",
            )
        read_recorded_run(replay)
        return [("replay", "")]
    for basis in bases:
        with size_limit(limits.SHOWN_AGENTS.high, limits.SHOWN_EDGES.high):
            Setting.from_query(urlencode(pairs, errors="replace"), basis).spec().initial_state()
    return pairs if scene is None else [("scene", scene), *pairs]


def _named(mind: Sequence[str]) -> list[str]:
    read = parse_mind(mind)
    return [read] if isinstance(read, str) else list(read)


def _say(listening: Listening, query: str) -> None:
    console = output.stdout()
    if not listening.private:
        output.complain(
            "note",
            "other computers can reach this page: anyone who has the link can use it, and the "
            "connection is not encrypted. Omit --host to serve this computer only.",
        )
        elsewhere = f"{listening.origin_elsewhere}/?{query}"
        console.print(elsewhere, markup=False, soft_wrap=True)
        console.print("On this computer:", style="dim")
    console.print(f"{listening.origin}/?{query}", markup=False, soft_wrap=True, style="bold")
    console.print("Press Ctrl-C to stop.", style="dim")
    console.file.flush()


def _say_class(listening: Listening) -> None:
    if listening.private:
        output.complain(
            "note", "phones cannot reach this page: leave out --host, or give an address of a LAN."
        )
    console = output.stdout()
    text = f"The class: {listening.origin}/class, once you have opened the link above."
    console.print(text, markup=False, soft_wrap=True)
    console.file.flush()


def _has_screen() -> bool:
    """Whether a browser would open in a window rather than in this terminal."""
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
