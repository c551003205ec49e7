"""Pages that play by themselves: what is written into them, and what is refused.

In a browser, ``tests/web/test_playable_browser.py`` shows that they play what the engine plays.
"""

from __future__ import annotations

import json
import re
from typing import Any

import networkx as nx
import pytest

from mesa_llm_norms.core.game import Remembered, read_memory
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation
from mesa_llm_norms.minds.policies import TableMind
from mesa_llm_norms.reports.playable import Population, check_playable, playable_page
from mesa_llm_norms.simulation.engine import choice_weights
from mesa_llm_norms.simulation.pairing import NodePairing
from mesa_llm_norms.simulation.spec import Spec


class Stubborn(Policy):
    """A policy of one's own: what it said last, nearly always."""

    label = "stubborn <script>"

    def distribution(self, memory: Any, pool: Any) -> list[float]:
        last = memory[-1][0] if memory else pool[0]
        return [0.9 if name == last else 0.1 / (len(pool) - 1) for name in pool]


class Asked(Mind):
    """A mind that is no policy."""

    label = "asked"

    async def decide(self, situation: Situation) -> Decision:
        return Decision(situation.game.pool[0])


class Own(NodePairing):
    """A rule of one's own."""

    label = "own"


def written(spec: Spec, goal: Goal | None = None, rounds: int | None = 30) -> tuple[str, Any]:
    page = playable_page([Population(spec, goal or Goal(), rounds)], "A run")
    found = re.search(r'id="content">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return page, json.loads(found[1])


def test_a_mind_with_few_memories_is_a_table_of_exact_weights() -> None:
    spec = Spec(names="QM", mind=Stubborn(), memory=3)
    _, content = written(spec)
    table = content["minds"][0]["table"]
    assert len(table) == 1 + 4 + 16 + 64
    memory = (Remembered("Q", "M"), Remembered("M", "M"))
    assert table["0111"] == choice_weights(Stubborn(), memory, spec.game)[:-1]


def test_a_measured_table_keeps_its_rows_however_many_names_there_are() -> None:
    names = list("ABCDEFGHIJ")
    memory = read_memory([("A", "B"), ("C", "D"), ("E", "F")])
    rows = {(): [0.1] * 10, memory: [0.5, 0.5] + [0.0] * 8}
    _, content = written(Spec(names=names, mind=TableMind("measured", names, rows)))
    assert content["minds"][0]["table"].keys() == {"", "012345"}


def test_two_populations_share_their_minds() -> None:
    two = [Population(Spec(names="QM", seed=seed), Goal(), 30, f"seed {seed}") for seed in (1, 2)]
    page = playable_page(two, "Two")
    assert page.count('"label":"claude-3.5-sonnet"') == 1


@pytest.mark.parametrize("mind", ["claude-3.5-sonnet", "llama-3.1-70b-instruct"])
def test_24_agents_and_ten_names_take_less_than_300_kb(mind: str) -> None:
    page, _ = written(Spec(graph="complete(n=24)", mind=mind))
    assert len(page.encode()) < 300_000


def test_a_page_says_what_it_is_and_fetches_nothing() -> None:
    page, _ = written(Spec(seed=7), Goal("converged"), None)
    assert "24 agents with claude-3.5-sonnet on watts_strogatz(n=24, k=4, p=0.1)" in page
    assert "seed 7" in page
    assert "fitted to 35,952 decisions" in page
    assert "mesa_llm_norms 0." in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)


def test_no_text_ends_the_script_it_is_in() -> None:
    graph = nx.relabel_nodes(nx.path_graph(3), {0: "</script><b>"})
    page, content = written(Spec(graph=graph, names=["</script>", "no"], mind=Stubborn()))
    assert page.count("</script>") == 2
    assert "<b>" not in page
    assert content["populations"][0]["names"] == ["</script>", "no"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mind": "claude:claude-haiku-5-5"}, "asked each time"),
        ({"mind": Asked()}, "'asked', which has to be asked each time"),
        ({"mind": Stubborn()}, "too many memories"),
        ({"mind": "classical"}, "a game of its own"),
        ({"rewire": 3}, "edges change"),
        ({"pairing": Own()}, "the pairing rule own"),
        ({"graph": "complete(n=300)"}, "44,850 edges are too many"),
        ({"graph": "ring(n=2000)"}, "2,000 agents are too many"),
    ],
)
def test_what_cannot_be_written_is_refused_in_a_sentence(
    arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError) as error:
        check_playable(Spec(**arguments))
    assert said in str(error.value)
    assert "plays by itself" in str(error.value)
