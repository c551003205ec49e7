"""Simple rules in the places of ten groups of people, scored on groups they were not chosen by.

Run it with ``python -m benchmarks.people``; it takes a minute or two. ``docs/people.md`` says what
came out. The score is the continuous ranked probability score of a group's share of the alternative
(Gneiting and Raftery, J. Am. Stat. Assoc. 102, 359, 2007), mean of its rounds: 0 is perfect, and a
single curve scores its distance. All rules begin with the convention, as people did.
"""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.minds.registry import STUDY_MINDS, load_mind
from mesa_llm_norms.reproduction import people, protocol
from mesa_llm_norms.reproduction.observed import Group, shipped_people

GROUPS = shipped_people().groups
ERRORS = (0.0, 0.05, 0.1, 0.15)
"""Shares of choices that are either name, whatever the rule says."""

Floats = NDArray[np.float64]
Names = NDArray[np.bool_]
"""Runs by agents; true is the alternative."""
Places = NDArray[np.intp]


class Rule(ABC):
    """What agents choose, and how they learn from a round of pairs."""

    family: str
    parameter: float
    error: float

    @abstractmethod
    def start(self, runs: int, agents: int, committed: int) -> None:
        """Let everybody follow the convention but the committed, who come first."""

    @abstractmethod
    def chances(self) -> Floats:
        """Return with which probability each agent chooses the alternative."""

    @abstractmethod
    def learn(self, chosen: Names, a: Places, b: Places, chance: np.random.Generator) -> None:
        """Let the agents at ``a`` and ``b``, runs by pairs, learn what the other chose."""


class BestResponse(Rule):
    """The name that most of the last partners chose, as Centola and others (2018) suppose."""

    family = "best response"

    def __init__(self, memory: int, error: float) -> None:
        self.parameter, self.error = memory, error

    def start(self, runs: int, agents: int, committed: int) -> None:
        self._seen = np.zeros((runs, agents, int(self.parameter)), bool)
        self._seen[:, :committed] = True
        self._at = np.zeros((runs, agents), int)

    def chances(self) -> Floats:
        chances: Floats = (np.sign(2 * self._seen.sum(axis=2) - self.parameter) + 1) / 2
        return chances

    def learn(
        self,
        chosen: Names,
        a: Places,
        b: Places,
        chance: np.random.Generator,  # noqa: ARG002
    ) -> None:
        runs = np.arange(len(chosen))[:, None]
        for one, other in ((a, b), (b, a)):
            self._seen[runs, one, self._at[runs, one]] = chosen[runs, other]
            self._at[runs, one] = (self._at[runs, one] + 1) % int(self.parameter)


class WinStayLoseShift(Rule):
    """The own name after a match, and after a miss, with a probability, the partner's."""

    family = "win-stay lose-shift"

    def __init__(self, shift: float, error: float) -> None:
        self.parameter, self.error = shift, error

    def start(self, runs: int, agents: int, committed: int) -> None:
        self._held = np.zeros((runs, agents), bool)
        self._held[:, :committed] = True

    def chances(self) -> Floats:
        return self._held.astype(float)

    def learn(self, chosen: Names, a: Places, b: Places, chance: np.random.Generator) -> None:
        runs = np.arange(len(chosen))[:, None]
        missed = chosen[runs, a] != chosen[runs, b]
        for one, other in ((a, b), (b, a)):
            shifts = missed & (chance.random(missed.shape) < self.parameter)
            self._held[runs, one] = np.where(shifts, chosen[runs, other], self._held[runs, one])


class Classical(Rule):
    """The classical game: a hearer who knows the word lets all others go, with a probability."""

    family = "classical game"

    def __init__(self, forgets: float, error: float) -> None:
        self.parameter, self.error = forgets, error

    def start(self, runs: int, agents: int, committed: int) -> None:
        self._words = np.ones((runs, agents), int)  # 1 the convention, 2 the alternative, 3 both
        self._committed = committed
        self._words[:, :committed] = 2

    def chances(self) -> Floats:
        return np.array([0.0, 0.0, 1.0, 0.5])[self._words]

    def learn(self, chosen: Names, a: Places, b: Places, chance: np.random.Generator) -> None:
        runs = np.arange(len(chosen))[:, None]
        said = np.where(chosen[runs, a], 2, 1)
        forgets = (self._words[runs, b] & said > 0) & (chance.random(a.shape) < self.parameter)
        for one in (a, b):
            self._words[runs, one] = np.where(forgets, said, self._words[runs, one] | said)
        self._words[:, : self._committed] = 2


def rules() -> Iterator[Rule]:
    """Yield all candidates."""
    for error in ERRORS:
        yield from (BestResponse(memory, error) for memory in range(3, 21))
        shifts = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1)
        yield from (WinStayLoseShift(shift, error) for shift in shifts)
        yield from (Classical(forgets, error) for forgets in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1))


def play(group: Group, rule: Rule, runs: int) -> Floats:
    """Return the share of the uncommitted who choose the alternative, runs by rounds."""
    chance = np.random.default_rng([1, group.number])
    rule.start(runs, group.agents, group.committed)
    found, rows = np.empty((runs, group.rounds)), np.arange(runs)[:, None]
    for at in range(group.rounds):
        order = chance.random((runs, group.agents)).argsort(axis=1)[:, : group.agents // 2 * 2]
        chances = rule.chances() * (1 - rule.error) + rule.error / 2
        chosen = chance.random(chances.shape) < chances
        chosen[:, : group.committed] = True
        rule.learn(chosen, order[:, ::2], order[:, 1::2], chance)
        theirs = order >= group.committed
        found[:, at] = (chosen[rows, order] & theirs).sum(axis=1) / theirs.sum(axis=1)
    return found


def score(curves: Floats, seen: Sequence[float]) -> float:
    """Return the continuous ranked probability score of a curve, mean of its rounds."""
    ordered, runs = np.sort(curves, axis=0), len(curves)
    weights = 2 * np.arange(1, runs + 1)[:, None] - runs - 1
    spread = (weights * ordered).sum(axis=0) / runs**2
    return float((np.abs(curves - np.array(seen)).mean(axis=0) - spread).mean())


def others(group: Group) -> Floats:
    """Return the curves of all other groups, as long as this one's; the last share lasts."""
    curves = [one.alternative for one in GROUPS if one is not group]
    last = group.rounds - 1
    return np.array([[one[min(at, len(one) - 1)] for at in range(last + 1)] for one in curves])


def print_rules(runs: int) -> None:
    """Print for each family its best rule, how often it turns groups, and the score held out."""
    scores: dict[str, dict[tuple[float, float], list[float]]] = {}
    turned: dict[tuple[str, tuple[float, float]], list[float]] = {}
    for rule in rules():
        curves = [play(group, rule, runs) for group in GROUPS]
        key = (rule.parameter, rule.error)
        pairs = list(zip(curves, GROUPS, strict=True))
        scores.setdefault(rule.family, {})[key] = [score(it, of.alternative) for it, of in pairs]
        turned[rule.family, key] = [float((it > 0.5).any(axis=1).mean()) for it in curves]
    for family, by_rule in scores.items():
        best = min(by_rule, key=lambda key: sum(by_rule[key]))
        held = []
        for at in range(len(GROUPS)):
            chosen = min(by_rule, key=lambda key: sum(by_rule[key]) - by_rule[key][at])
            held.append((by_rule[chosen][at], chosen))
        print(f"{family}: held out {np.mean([it for it, _ in held]):.3f}", end=", ")
        print(f"chosen by all {best} {np.mean(by_rule[best]):.3f}")
        print("  chosen without each group:", *[key for _, key in held])
        print("  share that turn, groups 1 to 10:", *np.round(turned[family, best], 2))


def print_others(runs: int) -> None:
    """Print the scores of nothing happening, of the other groups, and of recorded minds."""
    never = [score(np.zeros((1, group.rounds)), group.alternative) for group in GROUPS]
    rest = [score(others(group), group.alternative) for group in GROUPS]
    print(f"nobody ever turns: {np.mean(never):.3f}; other nine groups: {np.mean(rest):.3f}")
    every = people.experiments(shipped_people(), runs)
    for label in STUDY_MINDS:
        played = [
            protocol.play(one, load_mind(label), 1, engine="kernel")[0]
            for one in every
            if one.part == people.TIPPING_POINT
        ]
        found = people.attacks(played, shipped_people())
        for direction in dict.fromkeys(one.direction for one in found):
            side = [one for one in found if one.direction == direction]
            mean = np.mean([score(one.curves, one.group.alternative) for one in side])
            print(f"{label}, {direction}: {mean:.3f}")


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="populations of each rule")
    runs = parser.parse_args().runs
    print_rules(runs)
    print_others(runs)


if __name__ == "__main__":
    main()
