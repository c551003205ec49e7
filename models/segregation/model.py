"""Residents who ask a language model whether to stay or to move: no game, and no network.

``python -m models.segregation.model`` plays Schelling's rule in the model's place;
``--llm smollm2`` or ``--llm claude:MODEL --budget-usd 1 --folder runs/town`` asks one.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, cast

import mesa
from mesa.discrete_space import CellAgent, OrthogonalMooreGrid

from mesa_llm_norms import LLM, NormsError
from mesa_llm_norms.llm import Ask, Question
from mesa_llm_norms.testing import FakeProvider

SYSTEM = "You live in a town. People of your own kind and of another kind live there."
PROMPT = (
    "Of your {neighbors} neighbors, {alike} are of your own kind, and {others} of the other kind. "
    "Do you stay in your home, or do you move to an empty home elsewhere in town?"
)


class Resident(CellAgent):
    """Has a kind and a home, and sees of its neighbors how many are of its own kind."""

    def __init__(self, model: Segregation, cell: Any, kind: int) -> None:
        super().__init__(model)
        self.cell = cell
        self.kind = kind

    @property
    def seen(self) -> tuple[int, int]:
        """How many neighbors it has, and how many of them are of its own kind."""
        home: Any = self.cell
        kinds = [neighbor.kind for neighbor in home.neighborhood.agents]
        return len(kinds), kinds.count(self.kind)

    def question(self) -> Ask:
        """What it asks itself in each step."""
        neighbors, alike = self.seen
        prompt = PROMPT.format(neighbors=neighbors, alike=alike, others=neighbors - alike)
        return Ask(self, prompt, ["stay", "move"], SYSTEM)


class Segregation(mesa.Model):
    """A town on a grid. In a step all residents decide at once; then those that move do so."""

    def __init__(
        self, llm: LLM | str = "rule", size: int = 10, empty: float = 0.2, rng: int | None = 1
    ) -> None:
        super().__init__(rng=rng)
        self.llm = llm if isinstance(llm, LLM) else LLM(schelling() if llm == "rule" else llm)
        self.grid: Any = OrthogonalMooreGrid(
            (size, size), torus=True, capacity=1, random=self.random
        )
        homes = list(self.grid.all_cells)
        self.random.shuffle(homes)
        for number, home in enumerate(homes[round(empty * len(homes)) :]):
            Resident(self, home, number % 2)
        self.moved = 0
        reporters = {"alike": Segregation.alike, "moved": "moved"}
        self.datacollector = mesa.DataCollector(model_reporters=reporters)

    @property
    def residents(self) -> list[Resident]:
        """Everybody who lives in the town."""
        return [cast(Resident, agent) for agent in self.agents]

    def alike(self) -> float:
        """Return the mean share of neighbors of a resident's own kind, for those that have any."""
        seen = [resident.seen for resident in self.residents]
        shares = [alike / neighbors for neighbors, alike in seen if neighbors]
        return sum(shares) / len(shares)

    def step(self) -> None:
        """Have everybody decide, and move those that want to, one after the other."""
        residents = self.residents
        answers = self.llm.choose_all(resident.question() for resident in residents)
        movers = [one for one, answer in zip(residents, answers, strict=True) if answer == "move"]
        for resident in movers:
            resident.cell = self.grid.select_random_empty_cell()
        self.moved = len(movers)
        self.running = self.moved > 0
        self.datacollector.collect(self)


def schelling(threshold: float = 0.3) -> FakeProvider:
    """Return what answers by Schelling's rule: move if too few neighbors are of the own kind."""

    def answer(question: Question, _: int) -> str:
        neighbors, alike, _ = map(int, re.findall(r"\d+", question.prompt.user))
        return "move" if alike < threshold * neighbors else "stay"

    return FakeProvider(answer, label="rule")


def main(arguments: Sequence[str] | None = None) -> None:
    """Play some steps, and print what was measured and what it cost."""
    parser = argparse.ArgumentParser(prog="python -m models.segregation.model")
    add = parser.add_argument
    add("--llm", default="rule", help="rule, smollm2, claude:MODEL, ... (default %(default)s)")
    add("--steps", type=int, default=10, help="at most (default %(default)s)")
    add("--seed", type=int, default=1, help="(default %(default)s)")
    add("--budget-usd", type=float)
    add("--folder", help="keeps the journal; the same command resumes")
    given = parser.parse_args(arguments)
    provider = schelling() if given.llm == "rule" else given.llm
    try:
        with LLM(provider, folder=given.folder, budget_usd=given.budget_usd) as llm:
            model = Segregation(llm, rng=given.seed)
            for step in range(1, given.steps + 1):
                model.step()
                print(f"step {step:2}: {model.alike():.0%} alike, {model.moved} moved")
                if not model.running:
                    break
            used = llm.usage
            print(f"{used.calls:,} calls, {used.tokens:,} tokens, ${used.cost:,.4f}")
    except NormsError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        parser.exit(130, "interrupted: run the same command again to resume from --folder\n")


if __name__ == "__main__":
    main()
