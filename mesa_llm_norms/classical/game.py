"""The classical naming game on one page: inventories of words, a speaker, a hearer, one word.

Rules after Baronchelli, Felici, Loreto, Caglioti and Steels (J. Stat. Mech. 2006, P06014). Every
agent has an inventory of words, empty at first. The speaker utters a random word of its own,
inventing one where it has none. If the hearer has the word too, both keep that word only; if not,
the hearer adds it. A committed agent holds one word and never changes. Nobody gains or loses
points. *Consensus* is that every agent holds the same one word.

**Every draw is one of the four of** ``draws.interaction(t)``, t being the interaction's number:

- ``node`` and ``neighbour`` draw the pair as ``NodePairing`` does for ``direct`` and ``reverse``,
  and as ``EdgePairing`` does for ``neutral``;
- ``seat_a`` picks the word: the one at ``index_of(seat_a, size)`` of the speaker's inventory, which
  is in the order in which it took the words in, the oldest first;
- ``seat_b`` picks what a speaker without words takes from a pool of names, at
  ``index_of(seat_b, size)`` of it. Where invention is free nothing is drawn: an agent invents at
  most once, so the agent on node number i invents ``w<i>``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from mesa_llm_norms.contacts import Contacts, Pair
from mesa_llm_norms.draws import Draws, index_of
from mesa_llm_norms.errors import PairingError, PoolError, SpecError, some
from mesa_llm_norms.game import MAX_NAME_LENGTH, is_name, read_pool
from mesa_llm_norms.pairing import EdgePairing, NodePairing

PAIRINGS = ("direct", "reverse", "neutral")
_INVENTED = re.compile(r"w\d+")


class Utterance(NamedTuple):
    """One row of what happened.

    ``interaction`` counts from 0 within a run and ``round`` is the population round it fell in.
    ``matched`` is whether the hearer had the word.
    """

    run: int
    interaction: int
    round: int
    speaker: Hashable
    hearer: Hashable
    word: str
    matched: bool


class Talker:
    """An agent's part in the game: what it says, and what it makes of what it hears.

    ``invention`` is the word it would invent, where invention is free.
    """

    invention: str = ""
    _inventory: tuple[str, ...] = ()
    _name: str | None = None
    _committed: str | None = None

    @property
    def inventory(self) -> tuple[str, ...]:
        """The words it holds, in the order it took them in."""
        return self._inventory

    @property
    def name(self) -> str | None:
        """The word it last uttered or agreed on, None before that."""
        return self._name

    @property
    def committed(self) -> str | None:
        """The word it is committed to, if any."""
        return self._committed

    def utter(self, draw: int, invented: str) -> str:
        """Return a word of its own, by ``draw`` (32 bits), and ``invented`` where it has none."""
        if not self._inventory:
            self._inventory = (invented,)
        self._name = self._inventory[index_of(draw, len(self._inventory))]
        return self._name

    def hear(self, word: str) -> bool:
        """Return whether the word is known; take it in if it is not."""
        if word in self._inventory:
            return True
        if self._committed is None:
            self._inventory = (*self._inventory, word)
        return False

    def agree(self, word: str) -> None:
        """Keep this word, which both now know to share, and no other."""
        self._name = word
        if self._committed is None and len(self._inventory) != 1:
            self._inventory = (word,)


@dataclass(frozen=True, slots=True)
class Rules:
    """Where words come from and who speaks.

    ``pool`` is the names there are, or None for free invention. With ``direct`` pairing the speaker
    is drawn uniformly and the hearer among its neighbours, with ``reverse`` the hearer first; with
    ``neutral`` an edge is, and chance says which end speaks. Node i -> j of a directed graph lets i
    be drawn first and meet j; ``neutral`` there always has i speak.
    """

    pool: tuple[str, ...] | None = None
    pairing: str = "direct"

    def __post_init__(self) -> None:
        if self.pool is not None:
            object.__setattr__(self, "pool", read_pool(self.pool))
        if not isinstance(self.pairing, str) or self.pairing not in PAIRINGS:
            close = difflib.get_close_matches(str(self.pairing), PAIRINGS, n=1)
            raise PairingError(
                "pairing",
                self.pairing,
                f"the classical game has no pairing {self.pairing!r}"
                + (f" (did you mean {close[0]!r}?)" if close else ""),
                "Choose direct, reverse or neutral.",
            )

    def pairs(self, contacts: Contacts, first: int, draws: Draws) -> Iterator[Pair]:
        """Yield speaker and hearer of the round from interaction ``first`` on, as places."""
        if self.pairing == "neutral":
            yield from EdgePairing().pairs(contacts, 0, first, draws)
            return
        for one, other in NodePairing().pairs(contacts, 0, first, draws):
            yield (one, other) if self.pairing == "direct" else (other, one)

    def invented(self, speaker: Talker, draw: int) -> str:
        """Return what a speaker without words says, ``draw`` (32 bits) saying which of the pool."""
        if self.pool is None:
            return speaker.invention
        return self.pool[index_of(draw, len(self.pool))]

    def check_word(self, argument: str, word: Any) -> None:
        """Raise ``SpecError`` unless the word can be an incumbent or somebody's commitment."""
        if self.pool is not None:
            if not isinstance(word, str) or word not in self.pool:
                raise SpecError(
                    argument,
                    word,
                    f"{word!r} is not in the pool",
                    f"Use one of {some(self.pool, 26)}.",
                )
        elif not is_name(word):
            raise PoolError(
                argument,
                word,
                f"{word!r} is not usable as a name",
                f"A name is 1 to {MAX_NAME_LENGTH} printable characters without spaces around it.",
            )
        elif _INVENTED.fullmatch(word):
            raise PoolError(
                argument,
                word,
                f"{word!r} is a word that an agent may invent",
                "Give another name, or a pool of names to invent from.",
            )


def invention(number: int) -> str:
    """Return the word that agent ``number`` invents where invention is free."""
    return f"w{number}"
