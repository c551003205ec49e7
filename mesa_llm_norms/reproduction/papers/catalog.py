"""The list of papers, and playing one of them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mesa_llm_norms.core.limits import read_seed, read_workers
from mesa_llm_norms.errors import MindError, SpecError, shown
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.minds.registry import STUDY_MINDS, load_mind
from mesa_llm_norms.reproduction.papers import (
    barrie2025,
    dallasta2006,
    demarzo2024,
    denobili2026,
    flint2025,
    mehdizadeh2026,
    xie2011,
)
from mesa_llm_norms.reproduction.papers.paper import Paper, Report, Result, Setting
from mesa_llm_norms.reproduction.recorded import NETWORKS, STUDY, TIPPING

PAPERS = {
    paper.name: paper
    for paper in (
        dallasta2006.PAPER,
        xie2011.PAPER,
        Paper(
            "centola2015",
            NETWORKS,
            "conventions among people on three networks, beside minds",
            "2 min",
            None,
            minds=STUDY_MINDS,
            people=True,
        ),
        Paper(
            "centola2018",
            TIPPING,
            "committed minorities among people, beside minds",
            "2 min",
            None,
            minds=STUDY_MINDS,
            people=True,
        ),
        demarzo2024.PAPER,
        Paper(
            "ashery2025",
            STUDY,
            "the study of this package: conventions, collective bias, critical mass",
            "2 min",
            None,
            minds=STUDY_MINDS,
        ),
        barrie2025.PAPER,
        flint2025.PAPER,
        mehdizadeh2026.PAPER,
        denobili2026.PAPER,
    )
}
"""By name, in the order of their years. To add one, write a module with a ``PAPER`` and list it."""


def read_paper(name: Any) -> Paper:
    """Return the paper of a name; raise ``SpecError`` where there is none."""
    if isinstance(name, str) and name in PAPERS:
        return PAPERS[name]
    close = get_close_matches(str(name).lower(), PAPERS, n=1)
    raise SpecError(
        "paper",
        name,
        f"there is no paper {shown(name)}" + (f" (did you mean {close[0]!r}?)" if close else ""),
        f"Use one of {', '.join(PAPERS)}.",
    )


def reproduce_paper(
    paper: str,
    minds: Sequence[Any] | None = None,
    quick: bool = False,
    data: str | Path | None = None,
    rng: Any = None,
    workers: int = 1,
    progress: Report | None = None,
    llm: LLMSettings | None = None,
) -> Result:
    """Play what a paper reports, and test which of its statements hold here.

    Parameters
    ----------
    paper : str
        A name of ``PAPERS``, but for those that ``reproduce`` plays.
    minds : sequence of str or Mind, optional
        Recorded minds or mind files that play; live minds for a paper that asks. Default: those of
        the paper.
    quick : bool, default False
        Play a tenth of the runs, for a first look.
    data : str or Path, optional
        A file with published results, where the paper reads one.
    rng : int or generator, optional
        The seed.
    workers : int, default 1
        Threads or processes where the paper uses them; they do not change the results.
    progress : callable, optional
        Called with what is played, how much is done, and how much there is in total.
    llm : LLMSettings, optional
        How live minds are called.

    Returns
    -------
    Result
        The findings, the panels of the figure, notes, and the table behind them.

    Raises
    ------
    SpecError
        For an unknown paper, and for minds or a file that it has no use for.
    MindError
        For a mind that gives no probabilities, which has to be recorded first; and for one that
        does where the paper asks live minds.
    FileFormatError
        For a file that does not hold what the paper reads.
    """
    found = read_paper(paper)
    if found.play is None:
        raise SpecError(
            "paper",
            paper,
            f"{found.name} is what reproduce plays by itself",
            f"Use reproduce(people={found.people}).",
        )
    if data is not None and not found.data:
        raise SpecError("data", str(data), f"{found.name} reads no file", "Leave it out.")
    if minds is not None and not found.minds:
        raise SpecError("minds", minds, f"no mind plays {found.name}", "Leave minds out.")
    playing = tuple(dict.fromkeys(found.minds if minds is None else minds))
    for mind in playing:
        _check_mind(found, mind)
    setting = Setting(
        playing,
        quick,
        read_seed(rng),
        None if data is None else Path(data),
        read_workers(workers),
        llm,
        progress or (lambda *_: None),
    )
    return found.play(setting)


def _check_mind(paper: Paper, mind: Any) -> None:
    """Raise ``MindError`` for a mind that the paper cannot be played with."""
    loaded = load_mind(mind)
    if paper.live and not isinstance(loaded, LiveMind):
        raise MindError(
            "mind",
            mind,
            f"{shown(mind)} is not live",
            f"{paper.name} asks models: give a live one.",
        )
    if not paper.live and not isinstance(loaded, Policy):
        raise MindError(
            "mind",
            mind,
            f"{shown(mind)} gives no probabilities",
            "Use a recorded mind or a mind file; record a live mind first.",
        )
