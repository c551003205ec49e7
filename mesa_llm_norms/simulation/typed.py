"""A spec as people type it: ``parse_spec`` reads one from the command line, and from links."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from mesa_llm_norms.core.files import read_json
from mesa_llm_norms.core.game import GameRules, separated
from mesa_llm_norms.core.games import SHIPPED, MatrixGame
from mesa_llm_norms.core.limits import check_seed
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import (
    FileFormatError,
    MindError,
    PoolError,
    SpecError,
    TopologyError,
    shown,
    some,
)
from mesa_llm_norms.llm.provider import LiveMind, live_mind
from mesa_llm_norms.minds.policies import UniformMind
from mesa_llm_norms.minds.registry import DEFAULT_MIND, is_live
from mesa_llm_norms.networks.adjacency import to_networkx
from mesa_llm_norms.networks.placement import Nodes, parse_committed
from mesa_llm_norms.networks.reading import read_graph
from mesa_llm_norms.networks.strings import parse
from mesa_llm_norms.simulation.spec import Spec

GAMES: Mapping[str, type[GameRules]] = {
    re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower(): kind
    for name, kind in SHIPPED.items()
    if kind is not MatrixGame  # whose table is for Python
}
"""The games that can be typed, by name: ``prisoners_dilemma`` and so on."""


def parse_spec(
    *,
    topology: str,
    names: str,
    mind: Sequence[str] | None,
    committed: Sequence[str] | None,
    seed: int,
    minds_by_node: Path | None = None,
    persona: str | None = None,
    personas_by_node: Path | None = None,
    load: Callable[[str], Any] = str,
    game: str | None = None,
    **others: Any,
) -> Spec:
    """Return the spec that typed arguments stand for.

    Parameters
    ----------
    topology : str
        A topology or a graph file.
    names, mind, committed
        As ``parse_names``, ``parse_mind`` and ``parse_committed`` read them.
    seed : int
        The seed.
    minds_by_node : Path, optional
        A JSON file, ``{"node": "mind", ...}``, instead of ``mind``.
    persona : str, optional
        The persona of all.
    personas_by_node : Path, optional
        A JSON file, ``{"node": "persona", ...}``, instead of ``persona``.
    load : callable, optional
        Makes a mind of each typed name. By default the name itself is the mind.
    game : str, optional
        A game as ``Spec`` reads it, whose mind is ``uniform`` where none is typed. By
        default the naming game.
    **others
        The other fields of ``Spec``, unchanged.

    Raises
    ------
    NormsError
        A ``SpecError`` or ``FileFormatError`` that names what cannot be used.
    """

    def nodes() -> Mapping[str, Hashable]:
        graph = to_networkx(read_graph(topology, RandomStream(seed, 0).generator("graph")))
        return {str(node): node for node in graph}

    check_seed(seed)
    if minds_by_node is None:
        mind = mind or ([UniformMind.label] if game is not None else ())
        minds = parse_mind(mind, load)
    elif mind:
        raise SpecError("mind", mind, "minds are given twice", "Give --mind or --minds-by-node.")
    else:
        minds = _parse_by_node(minds_by_node, nodes, load)
    personas: Any = persona
    if personas_by_node is not None:
        if persona is not None:
            remedy = "Give --persona or --personas-by-node."
            raise SpecError("persona", persona, "personas are given twice", remedy)
        personas = _personas_by_node(personas_by_node, nodes)
    return Spec(
        graph=topology,
        names=parse_names(names),
        mind=minds,
        committed=parse_committed(committed or (), nodes) or None,
        persona=personas,
        seed=seed,
        rules=game_of(game),
        **others,
    )


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


def parse_names(text: str) -> str | list[str]:
    """Return a pool from text: names between commas, or else the letters of ``text``.

    Raises ``PoolError`` for what has other marks or spaces in it, which may mean either.
    """
    if "," in text:
        return [name.strip() for name in text.split(",")]
    names = separated(text)
    if names:
        problem = f"{shown(text)} is neither letters nor names between commas"
        raise PoolError(
            "names", text, problem, f"Write {shown(','.join(names))}, or letters alone."
        )
    return text


def parse_mind(given: Sequence[str], load: Callable[[str], Any] = str) -> Any:
    """Return a ``mind=`` argument from texts: one mind for all, or minds by share.

    Parameters
    ----------
    given : sequence of str
        Nothing (the default mind), a mind, or several, all of them as ``NAME=SHARE`` or none.
    load : callable, optional
        Makes a mind of each name. By default the name itself is the mind.

    Raises
    ------
    MindError
        If only some minds have a share, or one is named twice.
    """
    if not given:
        return load(DEFAULT_MIND)
    typed = [_name_and_share(text) for text in given]
    shares = [share for _, share in typed if share is not None]
    if shares and len(shares) < len(typed):
        raise MindError("mind", list(given), "only some minds have a share", "Give all or none.")
    names = [name for name, _ in typed]
    if len(set(names)) < len(names):
        raise MindError("mind", list(given), "a mind is named twice", "Name each mind once.")
    if not shares and len(names) == 1:
        return load(names[0])
    return dict(zip(map(load, names), shares or [1.0] * len(names), strict=True))


def _parse_by_node(path: Path, nodes: Nodes, load: Callable[[str], Any]) -> dict[Hashable, Any]:
    remedy = 'It holds one JSON object, {"node": "mind", ...}, with every node once.'
    content = read_json(path, remedy)
    if not all(isinstance(mind, str) for mind in content.values()):
        raise FileFormatError(path, "it is not an object of minds by node", remedy)
    known = nodes()
    minds = {name: _from_file(load(name)) for name in content.values()}
    return {known.get(node, node): minds[name] for node, name in content.items()}


def _personas_by_node(path: Path, nodes: Nodes) -> dict[Hashable, str]:
    remedy = 'It holds one JSON object, {"node": "persona", ...}.'
    content = read_json(path, remedy)
    if not content or not all(isinstance(text, str) for text in content.values()):
        raise FileFormatError(path, "it is not an object of personas by node", remedy)
    known = nodes()
    return {known.get(node, node): text for node, text in content.items()}


def _from_file(mind: Any) -> Any:
    """Return a mind whose name is in a file; if it is live, its address was not given by a user."""
    if isinstance(mind, str) and is_live(mind):
        return live_mind(mind, given=False)
    if isinstance(mind, LiveMind):
        mind.provider.given = False
    return mind


def _name_and_share(text: str) -> tuple[str, float | None]:
    """Return a mind and its share, a number or a percentage; None for a mind alone."""
    name, equals, share = text.rpartition("=")
    found = re.fullmatch(r"([+-]?[\d.]+(?:e[+-]?\d+)?|nan|inf)(%?)", share.strip(), re.ASCII | re.I)
    if not equals or found is None:
        return text, None
    try:
        return name, float(found[1]) / (100 if found[2] else 1)
    except ValueError:
        return text, None
