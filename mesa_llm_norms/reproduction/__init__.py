"""Reproduces the study's main results: what is played, what it is compared with, and the tests.

``protocol`` defines and plays the experiments; ``recorded`` holds what is compared with;
``results`` compares the two, a ``rows.Row`` for each result; ``people`` does all of that for two
experiments with people, and ``papers`` for other papers. ``reports.reproduction`` writes the
report.
"""

from mesa_llm_norms.reproduction.papers.catalog import reproduce_paper
from mesa_llm_norms.reproduction.results import Reproduction, reproduce

__all__ = ["Reproduction", "reproduce", "reproduce_paper"]
