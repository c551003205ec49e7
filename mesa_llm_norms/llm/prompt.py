"""Prompts and the names in replies: what an agent sees as words, and what counts as an answer.

A template is a text file of four parts, each under its heading on a line of its own. That of the
naming game::

    [system]   the rules; may hold $reward and $penalty
    [user]     the situation; must hold $names, $memory and $score, and may hold $length
    [round]    one remembered interaction: $number, $own, $partner, $points
    [none]     what stands for the memory of an agent that has not met anyone

One for any other game has ``$rules``, what the game says of itself, in the place of ``$reward`` and
``$penalty``, and ``$past``, its words for a remembered interaction, in that of ``$own`` and
``$partner``.

Everything an agent may know must be in it somewhere: ``Template`` refuses one that leaves a part
out. What is filled in is data: it is inserted once and never read as a template again.

A reply gives a name exactly, or not at all. Nothing is guessed, changed in case, or looked for
inside a sentence.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template as Text
from typing import Any, NamedTuple, cast

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import read_text
from mesa_llm_norms.core.formatting import signed
from mesa_llm_norms.core.game import Experience, Game, GameRules, Memory, payoff_of, score
from mesa_llm_norms.errors import FileFormatError, PoolError, SpecError, shown, some
from mesa_llm_norms.minds.mind import Sight

DEFAULT = "naming-1"
"""The template that ships. Its wording never changes under this name: a new one gets a new name."""
ANY_GAME = "game-1"
"""The template for games other than the naming game, where no other is given."""
PARAPHRASES = ("naming-2", "naming-3")
"""The same game in other words, to see what depends on the wording."""
LONGEST_NAME = 24
HEADINGS = ("system", "user", "round", "none")

_RULES = {False: ("reward", "penalty"), True: ("rules",)}
"""The fields that say what is played, in the naming game and in any other."""
_PAST = {False: ("own", "partner"), True: ("past",)}
"""Those that say what happened in a remembered interaction."""


def _required(any_game: bool) -> Mapping[str, tuple[str, ...]]:
    """Return the fields that a template must hold."""
    return {
        "system and user": (*_RULES[any_game], "names", "memory", "score"),
        "round": (*_PAST[any_game], "points"),
    }


def _allowed(any_game: bool) -> Mapping[str, tuple[str, ...]]:
    """Return the fields that each part of a template may hold."""
    rules = (*_RULES[any_game], "length")
    return {
        "system": rules,
        "user": (*rules, "names", "memory", "score"),
        "round": ("number", *_PAST[any_game], "points"),
        "none": (),
    }


_REMEDY = "See docs/live.md for what a template contains; start from a copy of the one that ships."
QUOTES = ('""', "''", "“”", "‘’", "«»", "``")  # noqa: RUF001  (these are meant)
"""The marks a model may put around a name: the opening one and the closing one."""


class Prompt(NamedTuple):
    """The two texts of one question, exactly as they are sent."""

    system: str
    user: str


class Template:
    """The wording of a prompt; ``version`` names it and no other wording.

    Parameters
    ----------
    text : str
        The four parts, each under its heading.
    name : str, default "template"
        What the template is called in ``version`` and in errors.

    Raises
    ------
    FileFormatError
        If a part or a required field is missing, or a field is not known.
    """

    def __init__(self, text: str, name: str = "template") -> None:
        self.text = text
        self.name = name
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        self.version: str = name if name in (DEFAULT, ANY_GAME) else f"{name}-{digest}"
        self.any_game: bool = "$rules" in text or "${rules}" in text
        """Whether it words any game but the naming game, and not the naming game."""
        self._parts = _read_parts(text, name, self.any_game)
        self._known: tuple[tuple[GameRules, int], Mapping[str, str]] | None = None

    def of_game(self, game: GameRules) -> Template:
        """Return the template that words a game: this one, or instead of the default another.

        Parameters
        ----------
        game : GameRules
            What is played.

        Returns
        -------
        Template
            The wording of its prompts.

        Raises
        ------
        SpecError
            If this wording is for another game.
        """
        if self.any_game != isinstance(game, Game):
            return self
        if self.name == DEFAULT and not self.any_game:
            return shipped_template(ANY_GAME)
        fields = "$rules" if not self.any_game else "$reward and $penalty"
        raise SpecError(
            "template",
            self.name,
            f"the template {self.name} does not word {type(game).__name__}",
            f"Give one that holds {fields}, or none; see docs/games.md.",
        )

    def fill(self, game: GameRules, memory: Memory, order: Sequence[str], seat: int = 0) -> Prompt:
        """Return the prompt of an agent.

        Parameters
        ----------
        game : GameRules
            The rules.
        memory : Memory
            The agent's own last interactions, oldest first.
        order : sequence of str
            The names, in the order in which they are listed.
        seat : int, default 0
            Where the agent sits, in a game whose payoffs depend on it.

        Returns
        -------
        Prompt
            The two texts to send.
        """
        rules = self._rules_of(game, 0 if game.symmetric else seat)
        line = self._parts["round"]
        if isinstance(game, Game):
            worth = {True: rules["reward"], False: rules["penalty"]}
            lines = [
                {"own": own, "partner": other, "points": worth[own == other]}
                for own, other in memory
            ]
        else:
            lines = [
                {"past": game.worded(past), "points": points(payoff_of(past, game))}
                for past in cast("Sequence[Experience]", memory)
            ]
        rounds = [line % {"number": number, **it} for number, it in enumerate(lines, start=1)]
        situation = {
            **rules,
            "names": ", ".join(order),
            "memory": "\n".join(rounds) or self._parts["none"] % (),
            "score": points(score(memory, game)),
        }
        return Prompt(rules["system"], self._parts["user"] % situation)

    def _rules_of(self, game: GameRules, seat: int) -> Mapping[str, str]:
        """Return what is the same in every prompt of a game at a seat."""
        if self._known is None or self._known[0] != (game, seat):
            rules = {"length": str(game.memory)}
            if isinstance(game, Game):
                rules |= {"reward": points(game.reward), "penalty": points(game.penalty)}
            else:
                rules["rules"] = game.rules(seat)
            rules["system"] = self._parts["system"] % rules
            self._known = (game, seat), rules
        return self._known[1]


def worded_sight(seen: Sequence[Sight]) -> str:
    """Return the prompt's lines on the attributes that an agent is shown; empty if there are none.

    Parameters
    ----------
    seen : sequence of Sight
        The attributes.

    Returns
    -------
    str
        Lines for the head of the user prompt.
    """
    lines = []
    for attribute, own, neighbors in seen:
        counts = Counter(map(_worded, neighbors))
        theirs = ", ".join(f"{value} ({times})" for value, times in counts.items())
        lines.append(f"{attribute}: yours {_worded(own)}; your neighbors' {theirs or 'none'}")
    return "\n".join(["What you know of yourself and of your neighbors:", *lines] if lines else [])


def _worded(value: Any) -> str:
    return "none yet" if value is None else f"{value:.15g}" if type(value) is float else str(value)


def default_template() -> Template:
    """Return the template that minds have if none is given.

    Returns
    -------
    Template
        That of the version ``naming-1``.
    """
    return shipped_template(DEFAULT)


@cache
def shipped_template(name: str) -> Template:
    """Return a template that ships: ``DEFAULT``, ``ANY_GAME`` or one of ``PARAPHRASES``."""
    file = resources.files(__package__).joinpath("prompts", f"{name}.txt")
    return Template(file.read_text(encoding="utf-8"), name)


def read_template(path: str | Path) -> Template:
    """Return the template in a file.

    Parameters
    ----------
    path : str or pathlib.Path
        A text file of the four parts.

    Returns
    -------
    Template
        Its wording; the version is the file's name with a checksum of the text.

    Raises
    ------
    FileFormatError
        If it is not a template; the error says what it lacks.
    """
    return Template(read_text(Path(path), _REMEDY), Path(path).stem)


def points(value: float) -> str:
    """Return a number of points with its sign: ``+100``, ``-50``, ``0``."""
    return signed(value)


def check_text(argument: str, text: object, *, empty: bool = False) -> None:
    """Raise ``SpecError`` for anything but a text that can be sent."""
    problem = ""
    if not isinstance(text, str):
        problem = f"{shown(text)} is not a text"
    elif not text.strip() and not (empty and not text):
        problem = "it is empty"
    elif len(text) not in limits.PROMPT:
        problem = f"it has {len(text):,} characters, and may have {limits.PROMPT.range}"
    elif any("\ud800" <= letter <= "\udfff" for letter in text):
        problem = "it holds half of a character (a lone surrogate), which cannot be sent"
    if problem:
        raise SpecError(argument, text, problem, f"Give {argument} as a str.")


def check_names(pool: Sequence[str]) -> None:
    """Raise ``PoolError`` for a name that a model could take for more than a name.

    In a prompt a name stands among sentences. One may have letters, digits, symbols (emoji too),
    hyphens, apostrophes, dots and low lines, 24 characters at most: no spaces, quotes or brackets.
    """
    bad = [name for name in pool if not _is_plain(name)]
    if bad:
        raise PoolError(
            "names",
            tuple(pool),
            f"not to be put into a prompt: {some(bad)}",
            f"For live minds use at most {LONGEST_NAME} letters, digits or symbols without spaces.",
        )


def _is_plain(name: str) -> bool:
    return len(name) <= LONGEST_NAME and all(
        unicodedata.category(letter)[0] in "LMN"
        or unicodedata.category(letter) in ("So", "Sk")
        or letter in "-_'."
        for letter in name
    )


def _read_parts(text: str, name: str, any_game: bool) -> Mapping[str, str]:
    """Return the parts of a template, as texts to be filled by ``%`` with a mapping of fields."""
    pieces = re.split(r"^\[(\w+)\][ \t]*$", text, flags=re.MULTILINE)
    found = dict(zip(pieces[1::2], (piece.strip() for piece in pieces[2::2]), strict=True))
    if pieces[0].strip() or sorted(pieces[1::2]) != sorted(HEADINGS):
        headings = ", ".join(f"[{heading}]" for heading in HEADINGS)
        raise FileFormatError(name, f"its parts are not {headings}, once each", _REMEDY)
    parts = {heading: Text(found[heading]) for heading in HEADINGS}
    allowed = _allowed(any_game)
    for heading, part in parts.items():
        if not part.is_valid():
            raise FileFormatError(
                name, f"[{heading}] holds a $ that names nothing", "Write $$ for a dollar sign."
            )
        unknown = [f"${field}" for field in part.get_identifiers() if field not in allowed[heading]]
        if unknown:
            known = " ".join(f"${field}" for field in allowed[heading]) or "no field"
            raise FileFormatError(
                name, f"[{heading}] holds {', '.join(unknown)}", f"It may hold {known}."
            )
    for where, fields in _required(any_game).items():
        given = {
            field for heading in where.split(" and ") for field in parts[heading].get_identifiers()
        }
        missing = [f"${field}" for field in fields if field not in given]
        if missing:
            raise FileFormatError(name, f"it never mentions {', '.join(missing)}", _REMEDY)
    if not found["none"]:
        raise FileFormatError(name, "[none] is empty", "Say there what an empty memory looks like.")
    return {heading: _for_percent(part) for heading, part in parts.items()}


def _for_percent(part: Text) -> str:
    """Return a text with ``$field`` as one with ``%(field)s``, which is filled far faster."""

    def field(found: re.Match[str]) -> str:
        return "$" if found["escaped"] else f"%({found['named'] or found['braced']})s"

    return part.pattern.sub(field, part.template.replace("%", "%%"))


def name_schema(pool: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of an object with one property, ``name``, out of ``pool``.

    The names stand in the order of the pool, whatever order a prompt shows them in: servers compile
    a schema and keep it, so each order would cost a compilation of its own.
    """
    return {
        "type": "object",
        "properties": {"name": {"type": "string", "enum": list(pool)}},
        "required": ["name"],
        "additionalProperties": False,
    }


def read_json(text: str, pool: Sequence[str]) -> str | None:
    """Return the name in a JSON object that holds ``name`` and nothing else, or None."""
    try:
        # As tuples of pairs, which no array becomes and in which a key given twice is seen.
        content = json.loads(text, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    return next((name for name in pool if content == (("name", name),)), None)


def read_plain(text: str, pool: Sequence[str]) -> str | None:
    """Return the name that a reply in words consists of, or None.

    Space around it does not count. Nor do a pair of quotation marks and one full stop at the end,
    unless the name itself has them, or different names would remain.
    """
    bare = text.strip()
    if bare in pool:
        return bare
    rests = {
        _unquoted(bare),
        _unstopped(bare),
        _unquoted(_unstopped(bare)),
        _unstopped(_unquoted(bare)),
    }
    named = [name for name in pool if name in rests]
    return named[0] if len(named) == 1 else None


def _unstopped(text: str) -> str:
    return text.removesuffix(".")


def _unquoted(text: str) -> str:
    quoted = len(text) >= 2 and text[0] + text[-1] in QUOTES
    return text[1:-1] if quoted else text
