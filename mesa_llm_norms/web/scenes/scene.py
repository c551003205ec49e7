"""The words of a scene's file and what they hold, as TOML gives them.

A scene: three sentences, a question with its answers, what is played, and why.

What a scene's file has played: the setting, and the one beside it that differs in one thing.

Reading scenes: those that come with the package, then those in a folder of one's own.
"""

from __future__ import annotations

import difflib
import re
import sys
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from mesa_llm_norms.core.files import read_text
from mesa_llm_norms.errors import FileFormatError, NormsError, SpecError
from mesa_llm_norms.networks.adjacency import to_networkx
from mesa_llm_norms.web.scenes.answers import (
    Condition,
    Possible,
    Result,
    came_true,
    check_answers,
    communities,
    read_condition,
)
from mesa_llm_norms.web.setting import Setting

SEE = "See docs/scenes.md for a whole example."


def check_words(
    given: Mapping[str, Any], known: Collection[str], where: str, needed: Sequence[str] = ()
) -> None:
    """Raise ``SpecError`` for a word that is not ``known``, or one ``needed`` that is missing."""
    for word in given:
        if word not in known:
            close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
            raise SpecError(
                where,
                word,
                f"it has no {word!r}" + (f" (did you mean {close[0]!r}?)" if close else ""),
                f"There are {', '.join(known)}.",
            )
    for word in needed:
        if word not in given:
            raise SpecError(where, word, f"it does not say its {word!r}", SEE)


def prose(given: Mapping[str, Any], word: str, where: str = "scene") -> str:
    """Return a text on one line."""
    text = given[word]
    if not isinstance(text, str) or not text.strip():
        raise SpecError(where, text, f"its {word!r} is no text", f'Write {word} = "..."')
    return " ".join(text.split())


def number(argument: str, value: Any, low: float, high: float) -> float:
    """Return a number that is within bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        remedy = f"Give a number from {low:g} to {high:g}."
        raise SpecError(argument, value, f"it cannot be {value!r}", remedy)
    return value


def whole(value: Any) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


class Answer(NamedTuple):
    """An answer as it is on its button, and when it comes true."""

    text: str
    when: Condition


class Promise(NamedTuple):
    """One of these answers (by place, from 0) comes true in at least this share of runs."""

    answers: tuple[int, ...]
    at_least: float


class Measured(NamedTuple):
    """In how many of so many runs each answer came true."""

    runs: int
    times: tuple[int, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of runs for each answer."""
        return tuple(times / self.runs for times in self.times)

    @property
    def line(self) -> str:
        """The line of a scene's file that says this."""
        return f"measured = {{runs = {self.runs}, times = {list(self.times)}}}"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a class is shown: read from a file by ``read_scenes``.

    ``setting`` is what is played, for its ``rounds``; ``second`` is the population beside it, where
    two are compared. ``speed`` is in population rounds per second. With ``stop = "converged"`` a
    population also stops where it converges.
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
    stop: str | None = None
    promise: Promise | None = None
    measured: Measured | None = None

    def settings(self, seed: int) -> tuple[Setting, ...]:
        """Return what is played with a seed: one population, or two."""
        every = (self.setting,) if self.second is None else (self.setting, self.second)
        return tuple(replace(one, seed=seed) for one in every)

    def came_true(self, results: Sequence[Result]) -> int | None:
        """Return the place of the answer that came true, given one result per population.

        None can only be where agents or ties were changed by hand while it was played.
        """
        return came_true([answer.when for answer in self.answers], results)


MOST_ROUNDS = 10_000


_SETTING = {field.name: field.default for field in fields(Setting)}


_IN_SETTING = [name for name in _SETTING if name not in ("seed", "edits", "at")]


_IN_COMPARE = [name for name in _IN_SETTING if name != "rounds" and "budget" not in name]


def read_settings(given: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Return the settings of a file, one or two; ``SpecError`` where they are not as they should.

    Whether they can be played, ``foresee`` finds.
    """
    first = _setting("setting", given["setting"], _IN_SETTING)
    if not 1 <= first.get("rounds", 0) <= MOST_ROUNDS:
        raise SpecError(
            "setting",
            first.get("rounds"),
            "it does not say when the scene ends",
            f"Write rounds = 30, or another number up to {MOST_ROUNDS:,}.",
        )
    settings = [Setting(**first)]
    if "compare" in given:
        differing = _setting("compare", given["compare"], _IN_COMPARE)
        second = replace(settings[0], **differing)
        if len(differing) != 1 or second == settings[0]:
            raise SpecError(
                "compare",
                differing,
                "the second population does not differ in one thing",
                "Give it one word of the setting, with another value.",
            )
        settings.append(second)
    return tuple(settings)


def _setting(where: str, given: Any, known: Collection[str]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise SpecError(where, given, "it is no table", f"Write [{where}]. {SEE}")
    check_words(given, known, where)
    return {name: _value(where, name, value) for name, value in given.items()}


def _value(where: str, name: str, value: Any) -> Any:
    """Return a value of the setting as the kind that it is there."""
    usual = _SETTING[name]
    if isinstance(usual, tuple):
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            return tuple(texts)
        raise SpecError(where, value, f"{name} is no list of texts", f'Write {name} = ["..."].')
    if isinstance(usual, str):
        if not isinstance(value, str):
            raise SpecError(where, value, f"{name} is no text", f'Write {name} = "..."')
        return value
    if isinstance(usual, float) or name in ("reward", "penalty", "budget_usd"):
        return number(f"{where}: {name}", value, -1e9, 1e9)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SpecError(where, value, f"{name} is no whole number", f"Write {name} = 30.")
    return value


def foresee(setting: Setting) -> tuple[Possible, bool]:
    """Return what is known of a population beforehand, and whether there are communities in it.

    Raises ``SpecError`` for a setting that cannot be played.
    """
    try:
        spec = setting.spec()
        initial = spec.initial_state()
    except NormsError as error:
        problem, remedy = getattr(error, "problem", str(error)), getattr(error, "remedy", SEE)
        argument = getattr(error, "argument", "")
        said = f"{argument}: {problem}" if argument else problem
        raise SpecError("setting", setting, f"it cannot be played: {said}", remedy) from error
    groups = communities(to_networkx(initial.graph))
    known = Possible(
        initial.game.pool, len(initial.neighbors), spec.committed_names, setting.rounds
    )
    return known, len(groups) > 1


SHIPPED = Path(__file__).parent


MOST_ANSWERS = 8


FASTEST = 100.0


_WORDS = ("title", "text", "question", "answers", "why", "setting", "speed")


_MAY = ("stop", "compare", "promise", "measured")


def read_scenes(folder: Path | None = None) -> dict[str, Scene]:
    """Return all scenes by key: the name of the file without its number and ``.toml``.

    Those in ``folder`` come after the shipped ones, each folder in the order of the numbers; one
    with the key of a shipped scene takes its place. Raises ``FileFormatError`` for a file that is
    no scene, or a folder without any.
    """
    scenes = _read_folder(SHIPPED)
    if folder is not None:
        scenes |= _read_folder(folder)
    return scenes


def read_scene(path: Path) -> Scene:
    """Return the scene in a file; ``FileFormatError`` says what is wrong with one that is none."""
    try:
        given = tomllib.loads(read_text(path, "A scene is a text file in TOML."))
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(
            path, f"it is not TOML: {_lower(str(error))}", "Correct that line."
        ) from error
    try:
        return _scene(given, key_of(path))
    except SpecError as error:
        raise FileFormatError(path, f"{error.argument}: {error.problem}", error.remedy) from error


def key_of(path: Path) -> str:
    """Return what a scene is called in links, by the name of its file."""
    return re.sub(r"^\d+[-_ .]*", "", path.stem) or path.stem


def _read_folder(folder: Path) -> dict[str, Scene]:
    paths = sorted(folder.glob("*.toml"), key=_order)
    if not paths:
        problem = "it holds no scene" if folder.is_dir() else "there is no such folder"
        raise FileFormatError(folder, problem, "Give a folder with scenes, files in *.toml.")
    scenes: dict[str, Scene] = {}
    for path in paths:
        scene = read_scene(path)
        if scene.key in scenes:
            raise FileFormatError(
                path, f"another file in the folder is {scene.key!r} too", "Rename one of them."
            )
        scenes[scene.key] = scene
    return scenes


def _order(path: Path) -> tuple[int, str]:
    found = re.match(r"\d+", path.stem)
    return int(found[0]) if found else sys.maxsize, path.stem


def _scene(given: Mapping[str, Any], key: str) -> Scene:
    check_words(given, (*_WORDS, *_MAY), "scene", needed=_WORDS)
    text = prose(given, "text")
    found = sentences(text)
    if found != 3:
        raise SpecError(
            "text",
            text,
            f"it is {found} sentences long",
            "Write three, each ending in a full stop, a question mark or an exclamation mark.",
        )
    stop = given.get("stop")
    if stop not in (None, "converged"):
        raise SpecError(
            "stop", stop, f"it cannot be {stop!r}", 'Write "converged", or leave it out.'
        )
    settings = read_settings(given)
    answers = _answers(given["answers"], settings)
    return Scene(
        key=key,
        title=prose(given, "title"),
        text=text,
        question=prose(given, "question"),
        answers=answers,
        why=prose(given, "why"),
        setting=settings[0],
        second=settings[1] if len(settings) > 1 else None,
        speed=number("speed", given["speed"], 0.01, FASTEST),
        stop=stop,
        promise=_promise(given["promise"], len(answers)) if "promise" in given else None,
        measured=_measured(given["measured"], len(answers)) if "measured" in given else None,
    )


def sentences(text: str) -> int:
    """Return how many sentences a text has: what ends in . ! or ? before a space or at the end."""
    return len(re.findall(r"[.!?][\"')]*(?=\s|$)|[^.!?\"')]$", text))


def _answers(given: Any, settings: Sequence[Setting]) -> tuple[Answer, ...]:
    if (
        not isinstance(given, list)
        or not 2 <= len(given) <= MOST_ANSWERS
        or not all(isinstance(one, Mapping) for one in given)
    ):
        raise SpecError(
            "answers", given, f"there are not 2 to {MOST_ANSWERS}", f"Write [[answers]]. {SEE}"
        )
    possible, with_communities = zip(*map(foresee, settings), strict=True)
    pool = tuple(dict.fromkeys(name for one in possible for name in one.pool))
    answers = []
    for place, one in enumerate(given, 1):
        check_words(one, ("text", "when"), f"answer {place}", needed=("text", "when"))
        try:
            condition = read_condition(one["when"], len(settings), pool)
        except SpecError as error:
            said = f"answer {place}, when"
            raise SpecError(said, error.value, error.problem, error.remedy) from error
        answers.append(Answer(prose(one, "text", f"answer {place}"), condition))
    for answer in answers:
        for part in answer.when.parts:
            if part.word == "communities" and not with_communities[part.population or 0]:
                raise SpecError(
                    "when",
                    part.value,
                    "the network has no communities",
                    "Take one of groups and bridges, such as barbell(clique=12, path=0).",
                )
    check_answers([answer.when for answer in answers], possible)
    return tuple(answers)


def _promise(given: Any, answers: int) -> Promise:
    """Return what is promised; answers are counted from 1 in a file."""
    if not isinstance(given, Mapping):
        raise SpecError("promise", given, "it is no table", "Write {answer = 1, at_least = 0.9}.")
    check_words(given, ("answer", "at_least"), "promise", needed=("answer", "at_least"))
    named = given["answer"] if isinstance(given["answer"], list) else [given["answer"]]
    if not named or not all(whole(one) and 1 <= one <= answers for one in named):
        raise SpecError(
            "promise", named, "it names no answer", f"Give a number from 1 to {answers}, or a list."
        )
    at_least = number("promise: at_least", given["at_least"], 0, 1)
    return Promise(tuple(one - 1 for one in named), at_least)


def _measured(given: Any, answers: int) -> Measured:
    remedy = "Copy the line that python -m mesa_llm_norms.viz.scenes prints."
    if not isinstance(given, Mapping) or set(given) != {"runs", "times"}:
        raise SpecError("measured", given, "it does not hold runs and times", remedy)
    runs, times = given["runs"], given["times"]
    if (
        not whole(runs)
        or not isinstance(times, list)
        or not all(whole(one) and one >= 0 for one in times)
        or len(times) != answers
        or sum(times) != runs
        or runs < 1
    ):
        raise SpecError("measured", given, "its times are not one per answer that add up", remedy)
    return Measured(runs, tuple(times))


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
