"""Cards: every quantity for every kind of mind, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.core.game import Memory, Remembered
from mesa_llm_norms.errors import MindError, SpecError
from mesa_llm_norms.experiments import MindCard, mind_card, record
from mesa_llm_norms.experiments.cards import DEFINITIONS
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds import TableMind, UniformMind
from mesa_llm_norms.testing import FakeProvider

PAGE = Path(__file__).parents[3] / "docs" / "cards.md"
SMALL: dict[str, Any] = {"sizes": (2, 6), "runs": 20}


def values(card: MindCard) -> dict[str, Any]:
    return {one.quantity: one.value for one in card.entries()}


def texts(card: MindCard) -> dict[str, str]:
    return {one.quantity: one.text for one in card.entries()}


@pytest.fixture(scope="module")
def claude() -> MindCard:
    return mind_card("claude-3.5-sonnet", **SMALL)


def test_a_recorded_mind_has_everything_but_an_order_and_a_prompt(claude: MindCard) -> None:
    found = values(claude)
    assert list(found) == list(DEFINITIONS)
    unknown = {quantity for quantity, value in found.items() if value is None}
    assert unknown == {
        "first name shown",
        "last name shown",
        "comprehension",
        "recognition",
        "critical size",
    }
    assert "no orders" in texts(claude)["first name shown"]
    assert found["first choice"]["name"] == "M"
    assert found["conformity"] > 1
    assert found["keep after a miss"] < 0.01 < 0.99 < found["keep in a convention"]
    shares = [one["share"] for one in found["critical mass"]]
    assert shares == pytest.approx([0.1542, 0.1537], abs=1e-4)
    assert [point["agents"] for point in found["wins"]] == [2, 6]
    assert all(0 < point["low"] <= point["value"] <= point["high"] < 1 for point in found["wins"])
    assert 0.9 < found["decisions measured"]["share"] < 1
    assert [one["lasted"] for one in found["lasts"]] == [one["flipped"] for one in found["lasts"]]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_card() -> None:
    once, again = (mind_card(biased(0.8), memory=1, rng=5, **SMALL) for _ in range(2))
    assert once.as_object() == again.as_object()
    assert mind_card(biased(0.8), memory=1, rng=6, **SMALL).as_object() != once.as_object()


def test_a_card_is_plain_data(claude: MindCard) -> None:
    read = json.loads(json_text(claude.as_object()))
    assert read["names"] == ["Q", "M"]
    assert {one["quantity"] for one in read["quantities"]} == set(DEFINITIONS)
    assert all(one["definition"] and one["text"] for one in read["quantities"])
    assert "Ashery" in read["provenance"]["source"]


def biased(share: float) -> TableMind:
    """Return a mind that plays Q so often whatever it remembers."""
    return TableMind("biased", "QM", {(): (share, 1 - share)}, {"source": "made up"})


def test_a_size_is_critical_from_where_on_the_predicted_name_always_wins() -> None:
    rows: dict[Memory, Sequence[float]] = {
        (Remembered(own, partner),): (0.97, 0.03) if partner == "Q" else (0.4, 0.6)
        for own in "QM"
        for partner in "QM"
    }
    rows[()] = (0.5, 0.5)
    strong = mind_card(TableMind("strong", "QM", rows), memory=1, **SMALL)
    assert values(strong)["from nothing"] == "Q"
    assert strong.critical_size in (2, 6)
    none = mind_card(biased(0.5), memory=1, **SMALL)
    assert values(none)["from nothing"] == ""
    assert none.critical_size is None


@pytest.mark.slow
def test_groups_that_settle_on_nothing_win_nothing() -> None:
    small = mind_card("smollm2-135m-memory-2", memory=2, **{**SMALL, "sizes": (2, 12)})
    assert texts(small)["wins"].endswith("%, 12: none settled")
    assert texts(small)["critical size"] == "not known"
    assert small.critical_size is None


@pytest.mark.parametrize(
    ("mind", "names", "memory"),
    [
        (UniformMind(), "QM", 2),
        pytest.param(UniformMind(), "QMX", 1, marks=pytest.mark.slow),
        pytest.param(biased(0.9), None, 1, marks=pytest.mark.slow),
        (biased(0.0), None, 2),
        pytest.param("llama-3.1-70b-instruct", "QMXYFJPRCD", 2, marks=pytest.mark.slow),
        pytest.param("claude-3.5-sonnet", ["apple", "pear"], 1, marks=pytest.mark.slow),
    ],
)
def test_every_policy_has_a_card(mind: Any, names: Any, memory: int) -> None:
    card = mind_card(mind, names, memory, sizes=(2,), runs=3)
    assert [one.quantity for one in card.entries()] == list(DEFINITIONS)
    assert all(one.text for one in card.entries())
    json_text(card.as_object())


def test_a_live_mind_is_asked_alone_and_probed_for_places_and_for_what_it_knows() -> None:
    def answer(question: Any, _: int) -> str:
        """Say what is listed first."""
        text = question.prompt.system + question.prompt.user
        return str(min(question.pool, key=lambda name: text.rfind(name)))

    provider = FakeProvider(answer)
    card = mind_card(
        provider.mind(), "QM", 2, times=8, times_after=2, llm=LLMSettings(budget_calls=500)
    )
    found, said = values(card), texts(card)
    assert found["first name shown"] + found["last name shown"] == pytest.approx(1)
    assert found["recognition"]["value"] <= 0.5
    assert found["comprehension"] is not None
    assert "record it" in said["conformity"]
    assert "record it" in said["wins"]
    assert card.audit.usage is not None
    assert card.audit.usage.calls == len(provider.asked)


def test_a_recording_knows_places_and_is_played_as_it_was_recorded() -> None:
    """The first name shown is chosen in nine of ten cases, but M a little more often."""

    def answer(question: Any, _: int) -> list[float]:
        text = question.prompt.system + question.prompt.user
        first = text.index("Q, M") if "Q, M" in text else -1
        chance_of_q = 0.8 if first >= 0 else 0.1
        return [chance_of_q, 1 - chance_of_q]

    mind = record(FakeProvider(answer, distributions=True).mind(), names="QM", memory=1).mind
    card = mind_card(mind, **SMALL)
    found = values(card)
    assert card.audit.spec.game.memory == 1
    assert (found["first name shown"], found["last name shown"]) == pytest.approx((0.85, 0.15))
    assert found["first choice"]["share"] == pytest.approx(0.55, abs=1e-3)
    assert found["memories measured"] == {"measured": 5, "memories": 5}
    assert found["decisions measured"]["share"] == 1


def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(MindError):
        mind_card({"uniform": 0.5, "claude-3.5-sonnet": 0.5})
    with pytest.raises(SpecError):
        mind_card("uniform", sizes=[1])
    with pytest.raises(MindError):
        mind_card(biased(0.5), "XY")


def test_the_page_defines_every_quantity() -> None:
    rows = [f"| {name} | {text} |" for name, (_, text) in DEFINITIONS.items()]
    text = PAGE.read_text(encoding="utf-8")
    missing = [row for row in rows if row not in text]
    assert not missing, "docs/cards.md should hold:\n" + "\n".join(missing)
