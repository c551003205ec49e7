"""The types of the game's arguments are those of the game."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_args

from mesa_llm_norms import NamingGame, run_ensemble
from mesa_llm_norms.simulation.arguments import EngineArgument, GameArguments, PairingArgument
from mesa_llm_norms.simulation.kernel import check_engine
from mesa_llm_norms.simulation.pairing import PAIRINGS


def annotated(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    return {name: parameter.annotation for name, parameter in parameters.items()}


def test_a_subclass_is_typed_by_the_arguments_of_the_game_besides_reporters() -> None:
    expected = annotated(NamingGame.__init__)
    for name in ("self", "reporters", "agent_reporters"):
        del expected[name]
    typed = {name: hint.__forward_arg__ for name, hint in GameArguments.__annotations__.items()}
    assert typed == expected


def test_an_ensemble_takes_the_same_types() -> None:
    """But for calls shared with other models, which only its own runs share."""
    ensemble = annotated(run_ensemble)
    shared = set(ensemble) & set(GameArguments.__annotations__) - {"llm"}
    assert len(shared) > 10
    assert {name: ensemble[name] for name in shared} == {
        name: annotated(NamingGame.__init__)[name] for name in shared
    }


def test_names_of_rules_and_engines_are_those_that_are_played() -> None:
    names, _ = get_args(PairingArgument)
    assert set(get_args(names)) == set(PAIRINGS)
    for engine in get_args(EngineArgument):
        check_engine(engine)
