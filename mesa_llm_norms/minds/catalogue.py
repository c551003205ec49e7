"""Minds by name: the recorded ones that ship, the unbiased one, and minds in files."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from mesa_llm_norms.errors import MindError, some
from mesa_llm_norms.minds.files import read_mind
from mesa_llm_norms.minds.live import LIVE, live_mind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.unbiased import UnbiasedMind

DEFAULT_MIND = "claude-3.5-sonnet"


def mind_names() -> tuple[str, ...]:
    """Return the names that ``load_mind`` knows, recorded minds first."""
    return (*recorded_names(), UnbiasedMind.label)


def recorded_names() -> tuple[str, ...]:
    """Return the names of the recorded minds that ship with the package."""
    files = resources.files(__package__).joinpath("recordings").iterdir()
    return tuple(
        sorted(file.name[: -len(".json")] for file in files if file.name.endswith(".json"))
    )


def load_mind(mind: Any) -> Mind:
    """Return the mind that ``mind`` stands for.

    A mind is itself; a string is a name in ``mind_names()``; that of a live mind, ``claude:MODEL``
    or ``llama:URL#MODEL``; or, like a path, a file of a recorded mind (JSON) or a measured table
    (JSON or CSV). Raises ``MindError`` or ``FileFormatError``.
    """
    if isinstance(mind, Mind):
        if not isinstance(getattr(mind, "label", None), str):
            raise MindError("mind", mind, f"{mind!r} has no label", "Set label to a short text.")
        return mind
    if isinstance(mind, Path):
        return read_mind(mind)
    if not isinstance(mind, str):
        raise MindError(
            "mind", mind, f"{mind!r} is no mind", "Give a Mind, the name of one, or a mind file."
        )
    if mind == UnbiasedMind.label:
        return UnbiasedMind()
    if mind in recorded_names():
        return _recorded(mind)
    if mind.partition(":")[0] in LIVE:
        return live_mind(mind)
    if mind.lower().endswith((".json", ".csv")):
        return read_mind(mind)
    close = difflib.get_close_matches(mind, mind_names(), n=1, cutoff=0.4)
    raise MindError(
        "mind",
        mind,
        f"there is no mind {mind!r}" + (f" (did you mean {close[0]!r}?)" if close else ""),
        f"Known are {some(mind_names(), 20)}, files that end in .json or .csv, and live minds: "
        "claude:MODEL and llama:URL#MODEL.",
    )


@cache
def _recorded(name: str) -> RecordedMind:
    with resources.as_file(
        resources.files(__package__).joinpath("recordings", f"{name}.json")
    ) as path:
        mind = read_mind(path)
    assert isinstance(mind, RecordedMind)
    return mind
