"""What a scene's file has played: the setting, and the one beside it that differs in one thing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any

from mesa_llm_norms.errors import NormsError, SpecError
from mesa_llm_norms.topologies import to_networkx
from mesa_llm_norms.viz.scenes.outcomes import Possible
from mesa_llm_norms.viz.scenes.result import communities
from mesa_llm_norms.viz.scenes.words import SEE, check_words, number
from mesa_llm_norms.viz.setting import Setting

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
        seating = spec.seat()
    except NormsError as error:
        problem, remedy = getattr(error, "problem", str(error)), getattr(error, "remedy", SEE)
        argument = getattr(error, "argument", "")
        said = f"{argument}: {problem}" if argument else problem
        raise SpecError("setting", setting, f"it cannot be played: {said}", remedy) from error
    groups = communities(to_networkx(seating.graph))
    known = Possible(seating.game.pool, len(seating.contacts), spec.committed_names, setting.rounds)
    return known, len(groups) > 1
