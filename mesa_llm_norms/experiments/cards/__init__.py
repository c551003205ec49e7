"""Mind cards: what is known of a mind on one page, every quantity with its definition."""

from mesa_llm_norms.experiments.cards.card import DEFINITIONS, Entry, MindCard, mind_card

__all__ = ["DEFINITIONS", "Entry", "MindCard", "mind_card"]
