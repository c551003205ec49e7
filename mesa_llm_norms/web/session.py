"""One viewer's visit to the page: one population, or two side by side, and where they come from.

Nothing here knows the page's framework. What a visit shows is what its link says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from mesa_llm_norms.errors import NormsError, SpecError
from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.web.frames import Source
from mesa_llm_norms.web.model_source import ModelSource, check_setting, hosting
from mesa_llm_norms.web.player import Order, Runner
from mesa_llm_norms.web.replay import FolderSource, RecordedRun, read_recorded_run
from mesa_llm_norms.web.scenes.answers import result_of
from mesa_llm_norms.web.scenes.scene import Scene, read_scenes
from mesa_llm_norms.web.setting import Setting

SECOND = "vs"
"""The key under which a link has the setting of the second population."""


SCENE = "scene"


SPEED = "speed"
"""In a link: population rounds a second, ``inf`` for as many as there can be."""


REPLAY = "replay"
"""In a link: look at the recorded run that the page was started with."""


USUAL_SPEED = 2.0


class Visit:
    """The populations that one viewer sees; ``model_type`` is ``NamingGame`` or a subclass.

    ``query`` is that of the link; what cannot be read of it is told in ``problem``, and the usual
    setting shown instead.
    """

    def __init__(self, query: str = "", model_type: type[NamingGame] = NamingGame) -> None:
        self._model_type = model_type
        self.scene: Scene | None = None
        self.prediction: int | None = None
        self.problem = ""
        self.replaying = False
        self._run: int | None = None
        self.runners: tuple[Runner, ...] = ()
        self._speed = USUAL_SPEED
        self._on_frame: Callable[[], object] | None = None
        try:
            self._open(query)
        except NormsError as error:
            self.show(Setting())
            self.problem = str(error)

    def show(self, *settings: Setting) -> None:
        """Show other populations, one or two; raise an error of this package where that cannot be.

        Those shown before are then left as they are.
        """
        for setting in settings:
            check_setting(setting)
        self._begin(lambda setting: ModelSource(setting, self._model_type), settings)
        self.replaying = False
        self.problem = ""

    def change(self, **values: Any) -> None:
        """Show what is shown with something else in the setting, from its start.

        Where there are two populations that differ in just that, the second keeps its own.
        """
        first, *others = self.settings
        changed = replace(first.at_start(), **values)
        differing = [
            {
                name: getattr(other, name)
                for name in _GAME
                if getattr(other, name) != getattr(first, name)
            }
            for other in others
        ]
        self.scene = None
        self.show(changed, *(replace(changed, **other) for other in differing))

    def compare(self, **values: Any) -> None:
        """Put a second population beside the first that differs from it in something, or none."""
        first = self.settings[0].at_start()
        self.scene = None
        self.show(first, *([replace(first, **values)] if values else []))

    def open_scene(self, key: str, seed: int | None = None) -> None:
        """Show a scene; ``SpecError`` where there is none of that key."""
        scene = self._scene(key)
        self.show(*scene.settings(self.settings[0].seed if seed is None else seed))
        self._set_scene(scene)

    def open_replay(self, run: int | None = None) -> None:
        """Show the recorded run that the page was started with, one of them if there are many."""
        folder = hosting().replay
        if folder is None:
            raise SpecError(
                "replay",
                None,
                "this page was started without a run to look at",
                "Start it with mesa-llm-norms app --replay FOLDER.",
            )
        self.scene, self.replaying, self._run = None, True, run
        self._begin(lambda _: FolderSource(_read(folder, run)), (Setting(),))

    def give(self, order: Order) -> None:
        """Have all populations do something."""
        for runner in self.runners:
            runner.give(order)

    def restart(self, seed: int | None = None) -> None:
        """Begin anew, with nothing changed by hand, and with another seed if one is given."""
        starts = [setting.at_start() for setting in self.settings]
        self.prediction = None
        for runner, start in zip(self.runners, starts, strict=True):
            runner.reset(start if seed is None else replace(start, seed=seed))

    def close(self) -> None:
        """Play nothing any more."""
        for runner in self.runners:
            runner.close()

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings of what is on screen, at this moment."""
        return tuple(runner.setting for runner in self.runners)

    @property
    def playing(self) -> bool:
        """Whether any population plays."""
        return any(runner.playing for runner in self.runners)

    @property
    def came_true(self) -> int | None:
        """Which answer of the scene came true, None while that is open."""
        if self.scene is None:
            return None
        results = []
        for runner in self.runners:
            source, rounds = runner.source, runner.frame.rounds
            if not isinstance(source, ModelSource) or not self._has_ended(runner, self.scene):
                return None
            results.append(result_of(source.model, rounds))
        return self.scene.came_true(results)

    @property
    def speed(self) -> float:
        """Population rounds a second."""
        return self._speed

    @speed.setter
    def speed(self, rounds: float) -> None:
        self._speed = rounds
        for runner in self.runners:
            runner.speed = rounds

    def tell(self, on_frame: Callable[[], object] | None) -> None:
        """Have this called by some thread whenever there is a new frame; it must not wait."""
        self._on_frame = on_frame
        for runner in self.runners:
            runner.on_frame = on_frame

    @property
    def query(self) -> str:
        """The link to what is on screen, without the part before the question mark."""
        first, *others = self.settings
        if self.replaying:
            return urlencode({REPLAY: "" if self._run is None else self._run, "at": first.at})
        parts = [urlencode({SCENE: self.scene.key})] if self.scene is not None else []
        parts.append(first.query())
        usual = self.scene.speed if self.scene is not None else USUAL_SPEED
        if self.speed != usual:
            parts.append(urlencode({SPEED: f"{self.speed:g}"}))
        parts += [urlencode({SECOND: other.query(first)}) for other in others]
        return "&".join(part for part in parts if part)

    def _open(self, query: str) -> None:
        given = parse_qs(query, keep_blank_values=True)
        if REPLAY in given or (hosting().replay is not None and not given):
            number = given.get(REPLAY, [""])[-1]
            self.open_replay(int(number) if number.isdecimal() else None)
            at = Setting.from_query(query).at
            if at:
                self.runners[0].seek(at)
            return
        scene = self._scene(given[SCENE][-1]) if SCENE in given else None
        bases = scene.settings(Setting.from_query(query).seed) if scene else (Setting(),)
        first = Setting.from_query(query, bases[0])
        if SECOND in given:
            self.show(first, Setting.from_query(given[SECOND][-1], first))
        else:
            self.show(first, *bases[1:])
        self._set_scene(scene)
        if SPEED in given:
            self.speed = _read_speed(given[SPEED][-1])

    def _scene(self, key: str) -> Scene:
        scenes = read_scenes(hosting().scenes)
        if key not in scenes:
            raise SpecError(
                "scene", key, f"there is no scene {key!r}", f"There are {', '.join(scenes)}."
            )
        return scenes[key]

    def _set_scene(self, scene: Scene | None) -> None:
        self.scene, self.prediction = scene, None
        if scene is not None:
            self.speed = scene.speed
            for runner in self.runners:
                runner.until_converged = scene.stop == "converged"

    def _has_ended(self, runner: Runner, scene: Scene) -> bool:
        frame, rounds = runner.frame, runner.setting.rounds
        over = 0 < rounds <= frame.rounds or (scene.stop == "converged" and frame.converged)
        return over and not runner.playing and frame.state == "paused"

    def _begin(self, make: Callable[[Setting], Source], settings: tuple[Setting, ...]) -> None:
        before, self.runners = self.runners, tuple(Runner(make, setting) for setting in settings)
        for runner in before:
            runner.close()
        for runner in self.runners:
            runner.speed, runner.on_frame = self._speed, self._on_frame
            runner.start()


_GAME = (
    "topology",
    "names",
    "mind",
    "pairing",
    "memory",
    "reward",
    "penalty",
    "incumbent",
    "committed",
    "seed",
)
"""The fields in which two populations side by side may differ."""


@lru_cache(maxsize=4)
def _read(folder: Path, run: int | None) -> RecordedRun:
    """Read a run once for all viewers."""
    return read_recorded_run(folder, run)


def _read_speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if math.isnan(speed) or speed < 0.01:
        raise SpecError(SPEED, text, f"{text!r} is no speed", "Give population rounds a second.")
    return speed
