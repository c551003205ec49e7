"""Games by name: ``parse_game`` reads what is written for ``game=`` and ``--game``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mesa_llm_norms.core.game import GameRules
from mesa_llm_norms.core.games import SHIPPED, MatrixGame
from mesa_llm_norms.errors import SpecError, TopologyError, shown, some
from mesa_llm_norms.networks.strings import parse

GAMES: Mapping[str, type[GameRules]] = {
    re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower(): kind
    for name, kind in SHIPPED.items()
    if kind is not MatrixGame  # whose table is for Python
}
"""The games that can be typed, by name: ``prisoners_dilemma`` and so on."""


def game_of(given: Any) -> Any:
    """Return what ``game=`` stands for: the game of a name, anything else as it is."""
    return parse_game(given) if isinstance(given, str) else given


def parse_game(text: str) -> GameRules:
    """Return the game that a text names, as ``prisoners_dilemma`` or with its numbers.

    Parameters
    ----------
    text : str
        The name of a game in ``GAMES``, capitals and hyphens as you like, and in parentheses what
        is not as usual: ``"prisoners_dilemma(temptation=6, memory=3)"``.

    Returns
    -------
    GameRules
        The game.

    Raises
    ------
    SpecError
        If there is no such game, or it does not take these values.
    """
    try:
        name, given, named = parse(text)
    except TopologyError as error:
        remedy = 'Write a name and numbers: "prisoners_dilemma(temptation=6)".'
        raise SpecError("game", text, error.problem, remedy) from error
    known = {re.sub("_", "", name): kind for name, kind in GAMES.items()}
    kind = known.get(re.sub(r"\W|_", "", name).lower())
    if kind is None and (":" in text or name.replace("_", "").lower() == "matrixgame"):
        remedy = "Pass it to NetworkGame or run_ensemble: game=..."
        raise SpecError("game", text, "a game of your own is played from Python", remedy)
    if kind is None:
        remedy = f"Choose one of {', '.join(GAMES)}; the naming game is played without this."
        raise SpecError("game", text, f"there is no game {shown(name)}", remedy)
    takes = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    values = dict(zip(takes, given, strict=False))
    wrong: list[Any] = [it for it in named if it not in takes or it in values]
    wrong += given[len(takes) :]
    if wrong:
        problem = f"{name} has no place for {some(wrong)}"
        raise SpecError("game", text, problem, f"It takes {', '.join(takes)}, each once.")
    values |= named
    if isinstance(colors := values.get("colors"), str):
        values["colors"] = tuple(map(str.strip, colors.split(","))) if "," in colors else colors
    return kind(**values)
