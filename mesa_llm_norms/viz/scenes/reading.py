"""Reading scenes: those that come with the package, then those in a folder of one's own."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mesa_llm_norms.errors import FileFormatError, SpecError
from mesa_llm_norms.text_files import read_text
from mesa_llm_norms.viz.scenes.conditions import read_condition
from mesa_llm_norms.viz.scenes.outcomes import check_answers
from mesa_llm_norms.viz.scenes.scene import Answer, Measured, Promise, Scene
from mesa_llm_norms.viz.scenes.settings import foresee, read_settings
from mesa_llm_norms.viz.scenes.words import SEE, check_words, number, prose, whole
from mesa_llm_norms.viz.setting import Setting

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
