"""The first screen: what this is, a tile for each scene, and the way to explore freely."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache

import solara

from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.networks.drawing import drawing_text
from mesa_llm_norms.web.model_source import check_setting, make_model, server_settings
from mesa_llm_norms.web.page_state import PageState
from mesa_llm_norms.web.scenes.scene import Scene, read_scenes
from mesa_llm_norms.web.setting import Setting

WHAT_IT_IS = (
    "Agents that only ever meet in pairs can come to agree on a name, although nobody leads and "
    "nobody sees the others: here you watch it happen, with agents that choose as large language "
    "models did. Pick a scene and predict how it ends, or explore freely and change what you like."
)

_FREE = "Choose the network, the names, the minds and the rules, and step in while they play."
_NOBODY = "#B8B8B8"
_TILE_ROUNDS = 2


@solara.component_vue("vue/start.vue", vuetify=False)  # type: ignore[untyped-decorator]
def _Tiles(  # noqa: N802
    title: str = "",
    words: str = "",
    tiles: str = "",
    free: str = "",
    free_words: str = "",
    event_open: Callable[[str], object] | None = None,
    event_explore: Callable[[object], object] | None = None,
) -> None:
    """Show a tile for each scene, and a button to explore."""


@solara.component  # type: ignore[untyped-decorator]
def Start(state: PageState, title: str) -> None:  # noqa: N802
    """Show the first screen."""
    language = state.language.value

    def draw() -> str:
        scenes = read_scenes(server_settings().scenes, language)
        return json_text([_tile(scene) for scene in scenes.values()])

    tiles = solara.use_memo(draw, [language])
    session = state.session
    _Tiles(
        title=state.say(title),
        words=state.say(WHAT_IT_IS),
        free=state.say("Explore freely"),
        free_words=state.say(_FREE),
        tiles=tiles,
        event_open=lambda key: state.attempt(lambda: session.open_scene(key)),
        event_explore=lambda *_: state.attempt(session.explore),
    )


def _tile(scene: Scene) -> dict[str, str]:
    return {
        "key": scene.key,
        "title": scene.title,
        "line": scene.question,
        "picture": picture(scene.setting),
    }


@lru_cache(maxsize=64)
def picture(setting: Setting) -> str:
    """Return a small drawing of a population after two rounds, or before play with live minds.

    That is too early to tell how a scene ends.
    """
    spec, agents, _ = check_setting(setting)
    model = make_model(NamingGame, spec) if not spec.live else None
    if model is None:  # calls would cost money
        model = make_model(NamingGame, Setting(topology=setting.topology).spec())
    else:
        for _ in model.play(_TILE_ROUNDS * agents):
            pass
    held = model.names_held
    drawing = json.loads(drawing_text(model.network.G, model.game.pool))
    color = dict(zip(drawing["names"], drawing["colors"], strict=True))
    places = list(zip(drawing["x"], drawing["y"], strict=True))
    size = max(drawing["size"], 26)
    lines = "".join(
        f"M{x} {y}L{a} {b}"
        for (x, y), (a, b) in ((places[i], places[j]) for i, j in drawing["edges"])
    )
    spots = "".join(
        f'<circle cx="{x}" cy="{y}" r="{size / 2:g}" fill="{color.get(held[node], _NOBODY)}"/>'
        for node, (x, y) in zip(model.network.G, places, strict=True)
    )
    return (
        '<svg viewBox="-40 -40 1080 1080" aria-hidden="true">'
        f'<path class="norms-tile-edges" d="{lines}"/>{spots}</svg>'
    )
