"""All there is to know about one agent, on a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import solara

from mesa_llm_norms.viz.frame import Card, Exchange

NOTHING = "\N{EN DASH}"
SHOWN = 12
"""How many choices and partners are listed."""


@solara.component_vue("agent.vue", vuetify=False)  # type: ignore[untyped-decorator]
def _Agent(  # noqa: N802
    card: str = "",
    changeable: bool = False,
    event_commit: Callable[[str | None], object] | None = None,
) -> None: ...


def AgentView(  # noqa: N802
    card: Card, pool: Sequence[str], on_commit: Callable[[str | None], object] | None = None
) -> solara.Element:
    """Return a card as a Solara element.

    ``on_commit`` is called with the name the agent is to be committed to, None to release it;
    without it the card offers no such thing.
    """
    element: Any = _Agent(
        card=card_text(card, pool), changeable=on_commit is not None, event_commit=on_commit
    )
    return element


def card_text(card: Card, pool: Sequence[str]) -> str:
    """Return a card as the view takes it: JSON of texts alone."""
    memory = [(own, partner, f"{payoff:+g}") for own, partner, payoff in card.memory]
    tables = [_table("Memory, oldest first", ("played", "partner", "points"), memory, "memory")]
    if card.choices is not None:
        likely = sorted(card.choices, key=lambda choice: -choice.probability)[:SHOWN]
        rows = [(name, f"{probability:.1%}") for name, probability in likely]
        tables.append(_table("Would choose now", ("name", "chance"), rows, "choices"))
    often = sorted(card.partners, key=lambda partner: -partner.met)[:SHOWN]
    more = len(card.partners) - len(often)
    tables.append(
        _table(
            "Can meet" + (f" (and {more} more)" if more else ""),
            ("agent", "holds", "matched"),
            [(one.node, one.name or NOTHING, f"{one.matched} of {one.met}") for one in often],
            "partners",
        )
    )
    texts = _exchange(card.exchange) if card.exchange is not None else []
    if card.asked is not None:
        title = "Would be asked now (the order of names is drawn anew)"
        texts.append({"title": title, "text": card.asked, "testid": "asked"})
    return json.dumps(
        {
            "node": card.node,
            "mind": card.mind,
            "name": card.name,
            "committed": card.committed,
            "score": f"{card.score:g}",
            "pool": list(pool),
            "tables": tables,
            "texts": texts,
        }
    )


def _table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], testid: str
) -> dict[str, Any]:
    return {"title": title, "heads": heads, "rows": rows, "testid": testid}


def _exchange(exchange: Exchange) -> list[dict[str, str]]:
    read, written = exchange.tokens
    took = f"{read:,} tokens read, {written:,} written, {exchange.seconds:.2f} s"
    answer = exchange.reply if exchange.reply is not None else f"no reply: {exchange.problem}"
    asked = f"{exchange.system}\n\n{exchange.prompt}".strip()
    return [
        {"title": "Was asked", "text": asked, "testid": "prompt"},
        {"title": f"Answered ({took})", "text": answer, "testid": "reply"},
    ]
