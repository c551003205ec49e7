"""Which recorded mind stands in for a live model, by the model's id alone."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from mesa_llm_norms.minds.catalogue import load_mind
from mesa_llm_norms.minds.live import LiveMind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.spec import Seating

CLAUDE = "claude-3.5-sonnet"
LLAMAS = {
    "2": "llama-2-70b-chat",
    "3": "llama-3-70b-instruct",
    "3.x": "llama-3.1-70b-instruct",
}
OTHERS = "llama-3-70b-instruct"
"""Stands in for models of no recorded kind."""

_LLAMA = re.compile(
    r"""llama[\s._-]*v?
        ([23])(?![\d.]*b)                   # the version, and not the size of a "llama-3b"
        (?:[\s._p-]([1-9])(?!\d*\.?\d*b))?  # its second part, and not the size either
        (?!\d)
    """,
    re.IGNORECASE | re.VERBOSE,
)


class StandIn(NamedTuple):
    """The name of a recorded mind, and whether it is of the model's own kind."""

    name: str
    alike: bool

    @property
    def is_llama(self) -> bool:
        """Whether the model itself is one of the recorded Llamas' kind."""
        return self.alike and self.name in LLAMAS.values()


def nearest(model: str) -> StandIn:
    """Return the recorded mind that is nearest to a model.

    Versions of Llama are recognised as the makers of files and servers write them: ``llama3.1:8b``,
    ``Meta-Llama-3-70B-Instruct``, ``llama-v3p3-70b``, ``llama2``.
    """
    if "claude" in model.lower():
        return StandIn(CLAUDE, True)
    found = _LLAMA.search(model)
    if found is None:
        return StandIn(OTHERS, False)
    version, part = found.groups()
    return StandIn(LLAMAS["3.x" if version == "3" and part else version], True)


def offline(seating: Seating) -> Seating:
    """Return a run made ready with every live mind stood in for, the others as they are."""

    def put(mind: Mind) -> Mind:
        if not isinstance(mind, LiveMind):
            return mind
        return _recorded(mind.server.model).for_run(seating.game, seating.draws)

    return seating._replace(roster=tuple(put(mind) for mind in seating.roster))


@cache
def _recorded(model: str) -> Mind:
    return load_mind(nearest(model).name)
