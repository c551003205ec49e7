"""One viewer's session: one population, or two side by side, and the link that describes them.

A session knows nothing of the page's framework. A click reaches the model through three owners:
the session, the ``Player`` of a population, and its ``Source``.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode
from weakref import WeakValueDictionary

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.formatting import plural
from mesa_llm_norms.errors import NormsError, SpecError, shown
from mesa_llm_norms.model import NamingGame, NetworkGame
from mesa_llm_norms.web.frames import AgentDetails, Source
from mesa_llm_norms.web.many_runs import ManyRuns
from mesa_llm_norms.web.model_source import (
    ModelSource,
    check_setting,
    server_settings,
    usual_setting,
)
from mesa_llm_norms.web.player import DEFAULT_SPEED, SHORTEST_PAUSE, Order, Player
from mesa_llm_norms.web.replay import FolderSource, RecordedRun, read_recorded_run
from mesa_llm_norms.web.scenes.answers import result_of
from mesa_llm_norms.web.scenes.scene import Scene, read_scenes
from mesa_llm_norms.web.setting import GAME, Setting, read_query

# Keys of a link, besides those of a setting
SCENE = "scene"
SECOND = "vs"
"""The setting of the second population, as a query of its own."""
INTERVAL = "interval"
"""Seconds that an interaction takes at least."""
SPEED = "speed"
"""Population rounds per second; ``inf`` for full speed."""
PRESENT = "present"
"""For a projector; that is the page's alone."""
LANGUAGE = "lang"
"""The code of its language; that is the page's alone too."""
EXPLORE = "explore"
"""Stands in a link that says nothing else, and yet does not mean the first screen."""
REPLAY = "replay"
"""Number of the recorded run to show; may be empty."""


_SHOWN = ("scene", "prediction", "revealed", "replaying", "starting", "_run")
MOST_UNDONE = 50
"""Changes that can be undone, one after the other."""


class _Earlier(NamedTuple):
    """What was shown before a change; ``inverse`` undoes one made by hand, in any moment."""

    link: str
    prediction: int | None
    revealed: int
    inverse: Callable[[], object] | None = None


class ViewerSession:
    """The populations that one viewer sees, of ``model_type``.

    ``query`` is that of the link. If it is invalid, the default setting is shown, and ``problem``
    says why.
    """

    def __init__(self, query: str = "", model_type: type[NetworkGame] = NamingGame) -> None:
        self.model_type = model_type
        self.usual: Setting = usual_setting(model_type)
        """What is shown by a link that says nothing else."""
        self.players: tuple[Player, ...] = ()
        self.scene: Scene | None = None
        self.prediction: int | None = None
        """The answer chosen before the scene is played."""
        self.revealed: int = 0
        """How many steps of what is said of the outcome were shown after the first."""
        self.many: ManyRuns | None = None
        """Many runs of what is on screen."""
        self.replaying: bool = False
        self.starting: bool = False
        """Whether the first screen is shown, and no population yet."""
        self.problem: str = ""
        self.notice: str = ""
        """What became of the population that was shown before."""
        self.entries: int = 0
        """Changes of what is shown since the page was opened: entries of the browser's history."""
        self.before: str = ""
        """The link to what was shown before the last of them."""
        self._earlier: list[_Earlier] = []
        self._changing = False
        self.on_frame: Callable[[], object] | None = None
        """Called in some thread after each new frame; must not block."""
        self._run: int | None = None
        self._speed, self._interval = DEFAULT_SPEED, 0.0
        self._pause = SHORTEST_PAUSE
        try:
            self._open(query)
        except NormsError as error:
            self.show(self.usual)
            self.problem = str(error)

    # What is shown

    def show(self, *settings: Setting) -> None:
        """Show one or two other populations; on an error, what was shown before stays."""
        for setting in settings:
            check_setting(setting)
        self._start(lambda setting: ModelSource(setting, self.model_type), *settings)
        self.replaying = self.starting = False
        self.problem = ""

    def explore(self) -> None:
        """Go from the first screen to the usual population."""
        with self._anew():
            self.scene, self.starting = None, False

    def go_home(self) -> None:
        """Show the first screen."""
        with self._anew():
            self._open("")

    @property
    def has_start(self) -> bool:
        """Whether there is a first screen: not for a recorded run, nor a model of your own."""
        return self.model_type is NamingGame and server_settings().replay is None

    def change(self, **values: Any) -> None:
        """Start over with other values in the setting.

        A second population keeps the fields in which it differs from the first.
        """
        first, *others = self.settings
        changed = replace(first.at_start(), **values)
        differing = [
            {it: getattr(other, it) for it in GAME if getattr(other, it) != getattr(first, it)}
            for other in others
        ]
        with self._anew():
            self.scene = None
            self.show(changed, *(replace(changed, **own) for own in differing))

    def compare(self, **values: Any) -> None:
        """Start over beside a second population with other ``values``; with none, end that."""
        first = self.settings[0].at_start()
        with self._anew():
            self.scene = None
            self.show(first, *([replace(first, **values)] if values else []))

    def open_scene(self, key: str, seed: int | None = None) -> None:
        """Show a scene, by default with the current seed; ``SpecError`` for an unknown key."""
        scene = _find_scene(key)
        with self._anew():
            self.show(*scene.settings(self.settings[0].seed if seed is None else seed))
            self._set_scene(scene)

    def open_replay(self, run: int | None = None) -> None:
        """Show the recorded run that the server was started with, or one of several."""
        folder = server_settings().replay
        if folder is None:
            raise SpecError(
                "replay",
                None,
                "this page was started without a recorded run",
                "Start it with mesa-llm-norms app --replay FOLDER.",
            )
        if run is not None:
            limits.read_whole(REPLAY, run, limits.RUN_NUMBER)
        with self._anew():
            self.scene, self.replaying, self._run = None, True, run
            self._start(lambda _: FolderSource(_read(folder, run)), Setting())

    def visit(self, query: str) -> None:
        """Show what a link says, as the browser's Back and Forward do."""
        with self._anew():
            self._open(query)
        self.notice = ""

    @property
    def undoable(self) -> bool:
        """Whether there is a change to undo."""
        return bool(self._earlier) and not self.replaying

    def undo(self) -> None:
        """Take the last change back; with live minds only what was done by hand."""
        if not self._earlier:
            return
        earlier = self._earlier.pop()
        if earlier.inverse is not None and not self._free:
            earlier.inverse()
            return
        with self._anew():
            self._open(earlier.link)
            self.prediction, self.revealed = earlier.prediction, earlier.revealed
        self._earlier.pop()
        self.notice = "Undone. Back in the browser brings back what was undone."

    def restart(self, seed: int | None = None) -> None:
        """Start over without changes made by hand, with another seed if one is given."""
        with self._anew():
            self.prediction, self.revealed = None, 0
            self.stop_many()
            self.many = None
            starts = [setting.at_start() for setting in self.settings]
            self.players = tuple(
                player.restart(start if seed is None else replace(start, seed=seed))
                for player, start in zip(self.players, starts, strict=True)
            )

    def seek(self, side: int, interactions: int) -> None:
        """Show a population as it is after so many interactions, earlier or later."""
        players = list(self.players)
        setting = players[side].setting
        players[side] = players[side].restart(replace(setting, at=max(0, interactions)))
        self.players = tuple(players)

    # What it does

    def give(self, order: Order) -> None:
        """Give all populations an order."""
        for player in self.players:
            player.give(order)

    def predict(self, answer: int) -> None:
        """Predict which answer of the scene comes true; once play has begun nothing changes."""
        if not self.begun:
            self.prediction = answer

    def follow(self, side: int, index: int) -> None:
        """Play one population to the next interaction of an agent."""
        self.players[side].give(Order.AGENT, index)

    def commit(self, side: int, index: int, name: str | None) -> None:
        """Commit an agent to a name, or release it."""
        player = self.players[side]
        source = player.source
        before = None if source is None else source.committed().get(source.node(index))
        self._remember(lambda: player.commit(index, before))
        player.commit(index, name)

    def toggle_commitment(self, side: int, index: int, name: str) -> None:
        """Commit an agent to a name (the first of the pool if unknown), or release it from it."""
        pool, details = self.players[side].frame.pool, self.details(side, index)
        if details is not None:
            name = name if name in pool else pool[0]
            self.commit(side, index, None if details.committed == name else name)

    def toggle_edge(self, side: int, index: int, other: int) -> None:
        """Add the edge between two agents, or remove it."""
        source = self.players[side].source
        if source is not None and index != other:
            nodes = source.nodes
            player, present = self.players[side], source.graph.has_edge(nodes[index], nodes[other])
            self._remember(lambda: player.set_edge(index, other, present))
            player.set_edge(index, other, not present)

    def play_many(self) -> None:
        """Play what is on screen many times, in the background, and count how it ends."""
        if self.model_type is not NamingGame:
            raise SpecError(
                "model",
                self.model_type.__name__,
                "only the naming game itself is played many times here",
                "Play your model in a loop of your own, with other seeds.",
            )
        self.stop_many()
        self.many = ManyRuns(self.settings, self.scene, on_change=self._announce)
        self.many.start()

    def stop_many(self) -> None:
        """Play no more of the many runs; those played so far stay."""
        if self.many is not None:
            self.many.stop()
            self._announce()

    def hold(self, held: bool) -> None:
        """Play nothing for as long as nobody watches."""
        for player in self.players:
            player.hold(held)

    def close(self) -> None:
        """Stop all populations."""
        self.stop_many()
        for player in self.players:
            player.close()

    # How it stands

    def details(self, side: int, index: int) -> AgentDetails | None:
        """Return what the page shows about an agent; None while the population is being made."""
        return self.players[side].details(index)

    @property
    def whole_steps(self) -> bool:
        """Whether play stops between the model's own steps only."""
        return any(p.source is not None and p.source.whole_steps for p in self.players)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings of what is on screen, at this moment."""
        return tuple(player.setting for player in self.players)

    @property
    def playing(self) -> bool:
        """Whether any population is playing."""
        return any(player.playing for player in self.players)

    @property
    def begun(self) -> bool:
        """Whether any population plays or has played."""
        return self.playing or any(player.frame.interactions > 0 for player in self.players)

    @property
    def speed(self) -> float:
        """Population rounds per second."""
        return self._speed

    @speed.setter
    def speed(self, rounds: float) -> None:
        self._speed = rounds
        for player in self.players:
            player.speed = rounds

    @property
    def interval(self) -> float:
        """Seconds that an interaction takes at least, so that it can be followed; usually 0."""
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._interval = seconds
        for player in self.players:
            player.interval = seconds

    @property
    def pause(self) -> float:
        """Seconds from one frame to the next, at least."""
        return self._pause

    @pause.setter
    def pause(self, seconds: float) -> None:
        self._pause = seconds
        for player in self.players:
            player.pause = seconds

    @property
    def came_true(self) -> int | None:
        """Index of the answer of the scene that came true; None until the scene has ended."""
        scene = self.scene
        if scene is None:
            return None
        results = []
        for player in self.players:
            frame, rounds = player.frame, player.setting.rounds
            over = 0 < rounds <= frame.rounds or (scene.stop == "converged" and frame.converged)
            if not over or player.playing or frame.state != "paused":
                return None
            if not isinstance(player.source, ModelSource):
                return None
            results.append(result_of(player.source.model, frame.rounds))
        return scene.came_true(results)

    @property
    def query(self) -> str:
        """The query of the link to what is on screen."""
        if self.starting:
            return ""
        first, *others = self.settings
        slow = [urlencode({INTERVAL: f"{self.interval:g}"})] if self.interval else []
        if self.replaying:
            shown = {REPLAY: "" if self._run is None else self._run, "at": first.at}
            return "&".join([urlencode(shown), *slow])
        parts = [urlencode({SCENE: self.scene.key})] if self.scene is not None else []
        parts.append(first.query(self.usual if self.scene is None else None))
        if self.speed != (self.scene.speed if self.scene is not None else DEFAULT_SPEED):
            parts.append(urlencode({SPEED: f"{self.speed:g}"}))
        parts += slow
        parts += [urlencode({SECOND: other.query(first)}) for other in others]
        return "&".join(filter(None, parts)) or (f"{EXPLORE}=1" if self.has_start else "")

    # Private

    @property
    def _free(self) -> bool:
        return all(player.source is None or player.source.free for player in self.players)

    def _remember(self, inverse: Callable[[], object] | None = None) -> None:
        """Have what is shown now come back by ``undo``."""
        self.before = self.query
        self._earlier.append(_Earlier(self.before, self.prediction, self.revealed, inverse))
        del self._earlier[:-MOST_UNDONE]
        self.notice = ""

    @contextmanager
    def _anew(self) -> Iterator[None]:
        """Change what is shown, so that it can be undone; if that fails, all stays as it was."""
        if not self.players or self._changing:
            yield
            return
        self._changing = True
        stood = {name: getattr(self, name) for name in _SHOWN}
        earlier, settings, free = list(self._earlier), self.settings, self._free
        self._remember()
        try:
            yield
        except BaseException:
            vars(self).update(stood)
            self._earlier = earlier
            raise
        finally:
            self._changing = False
        self.entries += 1
        played = max(setting.at for setting in settings)
        if stood["replaying"] or not (played or any(setting.edits for setting in settings)):
            return
        self.notice = (
            f"Started over. Undo brings back the population after {plural(played, 'interaction')}."
            if free
            else "Started over. What live minds played is on record in "
            f"{server_settings().folder}; nobody is asked again to show it here."
        )

    def _open(self, query: str) -> None:
        given = {key: it for key, it in read_query(query).items() if key not in (PRESENT, LANGUAGE)}
        self.speed = DEFAULT_SPEED
        if INTERVAL in given:
            self.interval = _read_interval(given[INTERVAL][-1])
        if REPLAY in given or (server_settings().replay is not None and not given):
            number = given.get(REPLAY, [""])[-1]
            self.open_replay(_read_run(number) if number.isdecimal() else None)
            at = Setting.from_query(query).at
            if at:
                self.seek(0, at)
            return
        scene = _find_scene(given[SCENE][-1]) if SCENE in given else None
        bases = scene.settings(Setting.from_query(query).seed) if scene else (self.usual,)
        first = Setting.from_query(query, bases[0])
        if SECOND in given:
            self.show(first, Setting.from_query(given[SECOND][-1], first))
        else:
            self.show(first, *bases[1:])
        self._set_scene(scene)
        self.starting = self.has_start and not given
        if SPEED in given:
            self.speed = _read_speed(given[SPEED][-1])

    def _set_scene(self, scene: Scene | None) -> None:
        self.scene, self.prediction, self.revealed = scene, None, 0
        if scene is not None:
            self.speed = scene.speed
            for player in self.players:
                player.until_converged = scene.stop == "converged"

    def _start(self, make: Callable[[Setting], Source], *settings: Setting) -> None:
        self.close()
        self.many = None
        self.players = tuple(
            Player(
                make,
                setting,
                speed=self._speed,
                interval=self._interval,
                on_frame=self._announce,
            )
            for setting in settings
        )
        for player in self.players:
            player.pause = self._pause
            player.start()

    def _announce(self) -> None:
        on_frame = self.on_frame
        if on_frame is not None:
            on_frame()


def _find_scene(key: str) -> Scene:
    scenes = read_scenes(server_settings().scenes)
    if key not in scenes:
        raise SpecError(
            "scene",
            key,
            f"there is no scene {shown(key)}",
            f"Choose one of {', '.join(scenes)}.",
        )
    return scenes[key]


_reading = threading.Lock()
_latest: RecordedRun | None = None
_runs: WeakValueDictionary[tuple[Path, int | None], RecordedRun] = WeakValueDictionary()


def _read(folder: Path, run: int | None) -> RecordedRun:
    """Read a run once for all viewers; ``SpecError`` while theirs are as long as they may be."""
    global _latest
    with _reading:
        recorded = _runs.get((folder, run))
        if recorded is None:
            recorded = read_recorded_run(folder, run)
            _latest = None
            others = sum(len(other.rows) for other in _runs.values())
            if others + len(recorded.rows) not in limits.SHOWN_ROWS:
                raise SpecError(
                    REPLAY,
                    run,
                    "the viewers of this page see as many other runs as it can show",
                    "Wait until some of them have left.",
                )
            _runs[folder, run] = recorded
        _latest = recorded
        return recorded


def _read_run(text: str) -> int:
    if len(text) > 16:
        raise SpecError(REPLAY, text, f"there is no run {shown(text)}", "Give its number.")
    return int(text)


def _read_speed(text: str) -> float:
    return _read_pace(SPEED, text, 0.01, math.inf, "Give population rounds per second.")


def _read_interval(text: str) -> float:
    return _read_pace(INTERVAL, text, 0.0, 60.0, "Give seconds per interaction, 0 to 60.")


def _read_pace(name: str, text: str, least: float, most: float, remedy: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not least <= found <= most:
        raise SpecError(name, text, f"{shown(text)} is not a valid {name}", remedy)
    return found
