"""A scene: three sentences, a question with its answers, what is played, and why it comes out so.

Scenes are TOML files: those in this folder, and those in a folder of additional ones.
``docs/scenes.md`` describes the format.
"""

from __future__ import annotations

import difflib
import re
import sys
import tomllib
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import is_folder, read_text
from mesa_llm_norms.errors import FileFormatError, NormsError, SpecError, shown
from mesa_llm_norms.llm.addresses import IN_PROCESS
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.weights import WEIGHTS, ready_models
from mesa_llm_norms.networks.adjacency import Graph, to_networkx
from mesa_llm_norms.simulation.arguments import Until
from mesa_llm_norms.simulation.ensemble import Progress
from mesa_llm_norms.simulation.run_ensemble import run_ensemble
from mesa_llm_norms.web.languages import ENGLISH, find_language
from mesa_llm_norms.web.scenes.answers import (
    Condition,
    Possible,
    Result,
    came_true,
    check_answers,
    communities,
    read_condition,
    read_result,
)
from mesa_llm_norms.web.setting import Setting, describe_difference

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from mesa_llm_norms.simulation.spec import Spec

FASTEST = 100.0

_SHIPPED = Path(__file__).parent
_SEE = "See docs/scenes.md for a complete example."
_KEYS = ("title", "text", "question", "answers", "why", "setting", "speed")
_OPTIONAL = ("stop", "compare", "promise", "measured", "lesson", "headings")
_DEFAULTS = {field.name: field.default for field in fields(Setting)}
_IN_SETTING = [name for name in _DEFAULTS if name not in ("seed", "edits", "at")]
_IN_COMPARE = [name for name in _IN_SETTING if name != "rounds"]


class Answer(NamedTuple):
    """An answer: the text of its button, and the condition under which it comes true."""

    text: str
    when: Condition


class Promise(NamedTuple):
    """One of these answers, by index, comes true in at least this share of runs."""

    answers: tuple[int, ...]
    at_least: float


class Measured(NamedTuple):
    """Number of runs, and in how many of them each answer came true."""

    runs: int
    times: tuple[int, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of runs of each answer."""
        return tuple(times / self.runs for times in self.times)

    @property
    def line(self) -> str:
        """The line of a scene's file that states this."""
        return f"measured = {{runs = {self.runs}, times = {list(self.times)}}}"


class Lesson(NamedTuple):
    """What a teacher has of a scene; what a file leaves out is empty.

    ``before`` and ``after`` are questions for the class, ``notes`` are for the teacher, and
    ``people`` says what people did in the same place, with the source.
    """

    before: str = ""
    after: str = ""
    notes: str = ""
    people: str = ""


_NO_LESSON = Lesson()


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a class is shown, as read by ``read_scenes``; exactly one answer comes true.

    ``setting`` is played for its ``rounds``, with ``second`` beside it where two populations are
    compared, at ``speed`` population rounds per second; ``headings`` are those of the two, where
    they are not made from the difference. With ``stop = "converged"`` a population
    also stops when it converges. ``promise`` and ``measured`` say how often answers come true.
    """

    key: str
    title: str
    text: str
    question: str
    answers: tuple[Answer, ...]
    why: str
    setting: Setting
    second: Setting | None = None
    speed: float = 1.0
    stop: Until = None
    promise: Promise | None = None
    measured: Measured | None = None
    lesson: Lesson = _NO_LESSON
    headings: tuple[str, ...] = ()

    def explained(self, language: str = ENGLISH) -> tuple[str, ...]:
        """Return what is said once it is over: how often each comes true, why, and of people."""
        say = find_language(language).say
        often = ""
        if self.measured is not None:
            shares = zip(self.answers, self.measured.shares, strict=True)
            counted = "; ".join(f"{answer.text}: {share:.0%}" for answer, share in shares)
            often = say("In {runs:,} populations: {often}.", runs=self.measured.runs, often=counted)
        people = f"{say('And people?')} {self.lesson.people}" if self.lesson.people else ""
        talk = f"{say('To talk about')}: {self.lesson.after}" if self.lesson.after else ""
        return tuple(filter(None, (often, self.why, people, talk)))

    def settings(self, seed: int) -> tuple[Setting, ...]:
        """Return what is played with a seed: the setting of one population, or of two."""
        every = (self.setting,) if self.second is None else (self.setting, self.second)
        return tuple(replace(one, seed=seed) for one in every)

    def heading(self, side: int) -> str:
        """Return what tells one of two populations from the other; empty for one alone."""
        if self.second is None:
            return ""
        one, other = (self.setting, self.second)[:: 1 - 2 * side]
        return self.headings[side] if self.headings else describe_difference(one, other)

    def came_true(self, results: Sequence[Result]) -> int | None:
        """Return the index of the answer that came true, given a result per population.

        It can only be None if agents or edges were changed by hand.
        """
        return came_true([answer.when for answer in self.answers], results)


# Measuring


def measure(
    scene: Scene,
    runs: int,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Play a scene many times and count how often each answer comes true.

    Parameters
    ----------
    scene : Scene
        The scene.
    runs : int
        Number of runs.
    seed : int, default 1
        Seed of the ensemble. Run 0 of a seed is what the page plays.
    progress : callable, optional
        Called with the number of runs played and the number of runs in all.

    Returns
    -------
    Measured
        The number of runs in which each answer came true.

    Raises
    ------
    SpecError
        For a scene with live minds, unless they are models in this process: calls cost money.
    """
    times = [0] * len(scene.answers)
    settings = scene.settings(seed)

    def of_all(side: int) -> Progress | None:
        if progress is None:
            return None
        return lambda done, _: progress(side * runs + done, len(settings) * runs)

    played = [
        play_setting(setting, scene.stop, runs, of_all(side))
        for side, setting in enumerate(settings)
    ]
    for results in zip(*played, strict=True):
        answer = scene.came_true(results)
        assert answer is not None, "answers are checked to cover all that can happen"
        times[answer] += 1
    return Measured(runs, tuple(times))


def play_setting(
    setting: Setting, stop: Until, runs: int, progress: Progress | None = None
) -> Iterator[Result]:
    """Play runs of a setting, for its rounds or until they stop, and yield their results."""
    spec = setting.spec()
    if any(isinstance(it, LiveMind) and it.provider.place != IN_PROCESS for it in spec.minds):
        raise SpecError("mind", setting.mind, "live minds are not measured", "Use recorded minds.")
    ensemble = run_ensemble(
        runs=runs, rounds=setting.rounds, until=stop, progress=progress, **spec.arguments()
    )
    yield from read_results(spec, range(runs), ensemble.runs, ensemble.held)


def read_results(
    spec: Spec, runs: range, table: pd.DataFrame, held: Iterable[NDArray[np.int16]]
) -> Iterator[Result]:
    """Yield how runs of a spec stood in the end, given their rows of ``Ensemble.runs``."""
    graph: Graph | None = None
    groups: list[list[Hashable]] = []
    stood = table[["rounds", "interactions", "converged", "flipped"]].to_dict("records")
    for run, codes, how in zip(runs, held, stood, strict=True):
        initial = spec.initial_state(run)
        if initial.graph is not graph:
            graph, groups = initial.graph, communities(to_networkx(initial.graph))
        pool = initial.game.pool
        names = [pool[code] if code >= 0 else None for code in codes.tolist()]
        yield read_result(
            groups,
            pool,
            dict(zip(initial.neighbors.nodes, names, strict=True)),
            **{str(name): value for name, value in how.items()},
        )


# Reading


def read_scenes(folder: Path | None = None, language: str = ENGLISH) -> dict[str, Scene]:
    """Read the scenes that ship with the package, and those in a folder.

    Parameters
    ----------
    folder : Path, optional
        A folder of additional scenes, each a file in ``*.toml``.
    language : str, default "en"
        The language of the shipped scenes; others are in that of their file.

    Returns
    -------
    dict of str to Scene
        Scenes by key, the name of the file without its number and ending. Each folder is in the
        order of the numbers; a scene with the key of a shipped one replaces it. Shipped scenes of a
        model that is not on this machine are left out.

    Raises
    ------
    FileFormatError
        If a file is not a valid scene, or the folder holds none.
    SpecError
        If there is no such language.
    """
    missing = set(WEIGHTS) - set(ready_models())
    scenes = {
        key: translated(scene, language)
        for key, scene in _shipped().items()
        if missing.isdisjoint(
            mind.partition("=")[0] for setting in scene.settings(0) for mind in setting.mind
        )
    }
    if folder is not None:
        scenes |= _read_folder(folder)
    return scenes


def translated(scene: Scene, language: str) -> Scene:
    """Return a scene in another language if it ships; ``SpecError`` if there is no language."""
    given = find_language(language).scenes.get(scene.key)
    if given is None or scene != _shipped()[scene.key]:
        return scene
    answers = zip(given["answers"], scene.answers, strict=True)
    return replace(
        scene,
        **{key: given[key] for key in ("title", "text", "question", "why")},
        answers=tuple(Answer(text, answer.when) for text, answer in answers),
        lesson=Lesson(**{key: given[key] for key in Lesson._fields}),
        headings=tuple(given.get("headings", ())),
    )


@cache
def _shipped() -> dict[str, Scene]:
    return _read_folder(_SHIPPED)


def read_scene(path: Path) -> Scene:
    """Return the scene in a file; ``FileFormatError`` says what is wrong with an invalid one."""
    try:
        given = tomllib.loads(read_text(path, "A scene is a text file in TOML."))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        said = str(error)
        problem = f"it is not TOML: {said[:1].lower()}{said[1:]}"
        raise FileFormatError(path, problem, "Correct that line.") from error
    try:
        return _read_scene(given, re.sub(r"^\d+[-_ .]*", "", path.stem) or path.stem)
    except SpecError as error:
        raise FileFormatError(path, f"{error.argument}: {error.problem}", error.remedy) from error


def _read_folder(folder: Path) -> dict[str, Scene]:
    def order(path: Path) -> tuple[int, str]:
        found = re.match(r"\d+", path.stem)
        return int(found[0]) if found else sys.maxsize, path.stem

    paths = sorted(folder.glob("*.toml"), key=order)
    if not paths:
        problem = "it contains no scenes" if is_folder(folder) else "there is no such folder"
        raise FileFormatError(folder, problem, "Give a folder with scenes, files in *.toml.")
    scenes: dict[str, Scene] = {}
    for path in paths:
        scene = read_scene(path)
        if scene.key in scenes:
            raise FileFormatError(
                path, f"another file in the folder is {shown(scene.key)} too", "Rename one of them."
            )
        scenes[scene.key] = scene
    return scenes


def _read_scene(given: Mapping[str, Any], key: str) -> Scene:
    _check_keys(given, (*_KEYS, *_OPTIONAL), "scene", needed=_KEYS)
    text = _prose(given, "text")
    found = sentences(text)
    if found != 3:
        raise SpecError(
            "text",
            text,
            f"it has {found} sentences",
            "Write three, each ending in a full stop, a question mark or an exclamation mark.",
        )
    stop = given.get("stop")
    if stop not in (None, "converged"):
        remedy = 'Write "converged", or leave it out.'
        raise SpecError("stop", stop, f"it cannot be {shown(stop)}", remedy)
    settings = _read_settings(given)
    answers = _read_answers(given["answers"], settings)
    return Scene(
        key=key,
        title=_prose(given, "title"),
        text=text,
        question=_prose(given, "question"),
        answers=answers,
        why=_prose(given, "why"),
        setting=settings[0],
        second=settings[1] if len(settings) > 1 else None,
        speed=_number("speed", given["speed"], 0.01, FASTEST),
        stop=stop,
        promise=_read_promise(given["promise"], len(answers)) if "promise" in given else None,
        measured=_read_measured(given["measured"], len(answers)) if "measured" in given else None,
        lesson=_read_lesson(given.get("lesson", {})),
        headings=_read_headings(given["headings"], len(settings)) if "headings" in given else (),
    )


def sentences(text: str) -> int:
    """Return the number of sentences: what ends in . ! or ? before a space or at the end."""
    return len(re.findall(r"[.!?][\"')]*(?=\s|$)|[^.!?\"')]$", text))


def _read_settings(given: Mapping[str, Any]) -> tuple[Setting, ...]:
    first = _read_setting("setting", given["setting"], _IN_SETTING)
    if first.get("rounds", 0) not in limits.SCENE_ROUNDS:
        raise SpecError(
            "setting",
            first.get("rounds"),
            "it does not say when the scene ends",
            f"Write rounds = 30, or another number up to {limits.SCENE_ROUNDS.high:,}.",
        )
    setting = Setting(**first)
    if "compare" not in given:
        return (setting,)
    differing = _read_setting("compare", given["compare"], _IN_COMPARE)
    second = replace(setting, **differing)
    if len(differing) != 1 or second == setting:
        raise SpecError(
            "compare",
            differing,
            "the second population must differ in exactly one thing",
            "Give one key of the setting, with another value.",
        )
    return setting, second


def _read_setting(where: str, given: Any, known: Collection[str]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise SpecError(where, given, "it must be a table", f"Write [{where}]. {_SEE}")
    _check_keys(given, known, where)
    return {name: _read_value(where, name, value) for name, value in given.items()}


def _read_value(where: str, name: str, value: Any) -> Any:
    """Return a value of the setting, of the type it has there."""
    default = _DEFAULTS[name]
    if isinstance(default, tuple):
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            return tuple(texts)
        problem, remedy = f"{name} must be a list of text", f'Write {name} = ["..."].'
    elif isinstance(default, str):
        if isinstance(value, str):
            return value
        problem, remedy = f"{name} must be text", f'Write {name} = "..."'
    elif isinstance(default, float) or name in ("reward", "penalty"):
        return _number(f"{where}: {name}", value, -1e9, 1e9)
    else:
        if _is_whole(value) and value >= 0:
            return value
        problem, remedy = f"{name} must be a whole number", f"Write {name} = 30."
    raise SpecError(where, value, problem, remedy)


def _foresee(setting: Setting) -> tuple[Possible, bool]:
    """Return what is known of a population in advance, and whether it has communities."""
    try:
        spec = setting.spec()
        initial = spec.initial_state()
    except NormsError as error:
        problem, remedy = getattr(error, "problem", str(error)), getattr(error, "remedy", _SEE)
        argument = getattr(error, "argument", "")
        said = f"{argument}: {problem}" if argument else problem
        raise SpecError("setting", setting, f"it cannot be played: {said}", remedy) from error
    known = Possible(
        initial.game.pool, len(initial.neighbors), spec.committed_names, setting.rounds
    )
    return known, len(communities(to_networkx(initial.graph))) > 1


def _read_answers(given: Any, settings: Sequence[Setting]) -> tuple[Answer, ...]:
    tables = isinstance(given, list) and all(isinstance(one, Mapping) for one in given)
    if not tables or len(given) not in limits.SCENE_ANSWERS:
        problem = f"there must be {limits.SCENE_ANSWERS.range}"
        raise SpecError("answers", given, problem, f"Write [[answers]]. {_SEE}")
    possible, with_communities = zip(*map(_foresee, settings), strict=True)
    pool = tuple(dict.fromkeys(name for one in possible for name in one.pool))
    answers = []
    for i, one in enumerate(given, 1):
        _check_keys(one, ("text", "when"), f"answer {i}", needed=("text", "when"))
        try:
            condition = read_condition(one["when"], len(settings), pool)
        except SpecError as error:
            where = f"answer {i}, when"
            raise SpecError(where, error.value, error.problem, error.remedy) from error
        answers.append(Answer(_prose(one, "text", f"answer {i}"), condition))
        for part in condition.parts:
            if part.key == "communities" and not with_communities[part.population or 0]:
                raise SpecError(
                    "when",
                    part.value,
                    "the network has no communities",
                    "Use one with groups and bridges, such as barbell(clique=12, path=0).",
                )
    check_answers([answer.when for answer in answers], possible)
    return tuple(answers)


def _read_promise(given: Any, answers: int) -> Promise:
    """Return what is promised; answers are numbered from 1 in a file."""
    if not isinstance(given, Mapping):
        remedy = "Write {answer = 1, at_least = 0.9}."
        raise SpecError("promise", given, "it must be a table", remedy)
    _check_keys(given, ("answer", "at_least"), "promise", needed=("answer", "at_least"))
    named = given["answer"] if isinstance(given["answer"], list) else [given["answer"]]
    if not named or not all(_is_whole(one) and 1 <= one <= answers for one in named):
        remedy = f"Give a number from 1 to {answers}, or a list."
        raise SpecError("promise", named, "there is no such answer", remedy)
    at_least = _number("promise: at_least", given["at_least"], 0, 1)
    return Promise(tuple(one - 1 for one in named), at_least)


def _read_measured(given: Any, answers: int) -> Measured:
    remedy = "Copy the line that python -m mesa_llm_norms.web.scenes prints."
    if not isinstance(given, Mapping) or set(given) != {"runs", "times"}:
        raise SpecError("measured", given, "it must hold runs and times", remedy)
    runs, times = given["runs"], given["times"]
    valid = isinstance(times, list) and all(_is_whole(one) and one >= 0 for one in times)
    if not (valid and _is_whole(runs) and runs >= 1 and len(times) == answers):
        raise SpecError("measured", given, "it must have a number of times per answer", remedy)
    if sum(times) != runs:
        raise SpecError("measured", given, "its times do not add up to its runs", remedy)
    return Measured(runs, tuple(times))


def _read_headings(given: Any, populations: int) -> tuple[str, ...]:
    texts = isinstance(given, list) and all(isinstance(one, str) and one.strip() for one in given)
    if not texts or len(given) != populations or populations == 1:
        problem = "it must be two texts, for the two populations of a comparison"
        raise SpecError("headings", given, problem, 'Write headings = ["...", "..."].')
    return tuple(given)


def _read_lesson(given: Any) -> Lesson:
    if not isinstance(given, Mapping):
        raise SpecError("lesson", given, "it must be a table", f"Write [lesson]. {_SEE}")
    _check_keys(given, Lesson._fields, "lesson")
    return Lesson(**{key: _prose(given, key, "lesson") for key in given})


def _check_keys(
    given: Mapping[str, Any], known: Collection[str], where: str, needed: Sequence[str] = ()
) -> None:
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise SpecError(where, key, f"unknown key {key!r}{hint}", f"Use {', '.join(known)}.")
    for key in needed:
        if key not in given:
            raise SpecError(where, key, f"the key {key!r} is missing", _SEE)


def _prose(given: Mapping[str, Any], key: str, where: str = "scene") -> str:
    """Return a text on one line."""
    text = given[key]
    if not isinstance(text, str) or not text.strip():
        raise SpecError(where, text, f"its {key!r} must be text", f'Write {key} = "..."')
    return " ".join(text.split())


def _number(argument: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        remedy = f"Give a number from {low:g} to {high:g}."
        raise SpecError(argument, value, f"it cannot be {shown(value)}", remedy)
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
