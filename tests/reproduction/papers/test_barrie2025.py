"""The questions of Barrie and Törnberg to a model that knows the game, and to one that does not."""

from __future__ import annotations

import pytest

from mesa_llm_norms.core.game import Game
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.experiments.audits.probes import comprehension_questions
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.reproduction.papers.catalog import reproduce_paper
from mesa_llm_norms.reproduction.papers.paper import AGREES, UNDECIDED
from mesa_llm_norms.reproduction.protocol import TWO
from mesa_llm_norms.testing import FakeProvider

RIGHT = {one.text: one.answer for one in comprehension_questions(Game(pool=TWO, memory=5), 1)}


def model(knows: bool) -> LiveMind:
    """Return a mind that chooses Q, and answers questions rightly or not at all."""

    def answer(question: object, _: int) -> str:
        prompt = str(question)
        found = [right for text, right in RIGHT.items() if text in prompt]
        return (found[0] if knows else "no idea") if found else "Q"

    return FakeProvider(answer).mind()


@pytest.mark.parametrize("knows", [True, False])
def test_a_model_is_said_to_recognize_the_game_if_it_answers_what_no_prompt_tells(
    knows: bool,
) -> None:
    found = reproduce_paper("barrie2025", minds=[model(knows)], quick=True, rng=1).findings
    assert found[0].verdict == (AGREES if knows else UNDECIDED)
    assert found[0].here.value == (1 if knows else 0)
    compared = [one for one in found if "chosen first:" in one.what]
    assert [one.here.value for one in compared] == [0, 0, 0]


def test_a_recorded_mind_cannot_be_asked() -> None:
    with pytest.raises(MindError, match="is not live"):
        reproduce_paper("barrie2025", minds=["claude-3.5-sonnet"])
