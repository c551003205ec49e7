"""The journal of live runs, in one SQLite file: every call, decision and interaction.

It knows nothing of providers or models. SQLite is imported on first use.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesa_llm_norms.llm.journal.journal import Journal

__all__ = ["read_journal"]


def read_journal(path: str | Path) -> Journal:
    """Return a copy of a journal as it is on disk now, while others may write it.

    Parameters
    ----------
    path : str or pathlib.Path
        Its file, ``journal.sqlite`` in a run's folder.

    Returns
    -------
    Journal
        For a ``with`` block. ``attempts_of(run, interaction)`` gives the calls made for an
        interaction, ``usage(run)`` what a run's calls used, ``spec`` what is played.

    Raises
    ------
    JournalError
        If it is missing, damaged or of another version.
    """
    from mesa_llm_norms.llm.journal.journal import Journal

    return Journal.read(path)
