"""Personas: who agents are told to be stands before the rules, on record, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mesa_llm_norms import NamingGame, cli, register_provider, run_ensemble
from mesa_llm_norms.errors import JournalError, SpecError
from mesa_llm_norms.llm import LiveMind, LLMSettings, Prompt
from mesa_llm_norms.llm.journal import read_journal
from mesa_llm_norms.llm.personas import attributes_in, literal, personas_of
from mesa_llm_norms.simulation.serialization import from_json, to_json
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.testing import FakeProvider


def town() -> nx.Graph[Any]:
    graph: nx.Graph[Any] = nx.cycle_graph(6)
    jobs = dict.fromkeys(graph, "farmer") | {0: "smith"}
    nx.set_node_attributes(graph, jobs, "job")
    nx.set_node_attributes(graph, {node: 20 + node for node in graph}, "age")
    return graph


def systems(persona: Any = None, graph: Any = None, **others: Any) -> set[str]:
    """What live agents are told before they choose."""
    provider = FakeProvider()
    arguments = {"names": "QM", "mind": provider.mind(), "rng": 3, **others}
    model = NamingGame(town() if graph is None else graph, persona=persona, **arguments)
    for _ in range(3):
        model.step()
    model.close()
    return {question.prompt.system for question in provider.asked}


(RULES,) = systems()


def test_without_a_persona_nothing_is_sent_but_the_prompt() -> None:
    mind = FakeProvider().mind()
    model = NamingGame("ring(n=6)", "QM", mind, rng=3)
    assert {type(agent.mind) for agent in model.players} == {LiveMind}
    assert "persona" not in to_json(model.spec)
    model.close()


def test_a_text_stands_before_the_rules_of_all() -> None:
    assert systems("You are shy.") == {f"You are shy.\n\n{RULES}"}


def test_attributes_of_nodes_are_filled_in() -> None:
    told = systems("You are a {job} of {age}.")
    jobs = ["smith", *["farmer"] * 5]
    assert told == {f"You are a {job} of {20 + i}.\n\n{RULES}" for i, job in enumerate(jobs)}


def test_nodes_may_have_texts_of_their_own_or_none() -> None:
    told = systems({0: "You are a {{smith}}.", 3: "You are {age}."})
    assert told == {f"You are a {{smith}}.\n\n{RULES}", f"You are 23.\n\n{RULES}", RULES}


def test_only_live_agents_are_told_and_committed_ones_once_they_are_released() -> None:
    told = systems("You are a {job}.", mind={"uniform": 1, FakeProvider().mind(): 0.0001})
    assert told == set()
    model = NamingGame(
        town(), "QM", FakeProvider().mind(), rng=3, persona="You are {age}.", committed={"M": [2]}
    )
    agent = model.agent_on(2)
    assert agent.committed == "M"
    agent.release()
    assert isinstance(agent.mind, LiveMind)
    assert agent.mind.persona == "You are 22."
    model.close()


def test_a_mind_with_its_own_wording_is_told_too() -> None:
    class Terse(LiveMind):
        def prompt(self, situation: Any) -> Prompt:
            return Prompt("", f"{' or '.join(situation.game.pool)}?")

    provider = FakeProvider()
    model = NamingGame(town(), "QM", Terse(provider), rng=3, persona="You are a {job}.")
    model.step()
    model.close()
    assert {it.prompt for it in provider.asked} == {
        Prompt(f"You are a {job}.", "Q or M?") for job in ("smith", "farmer")
    }


@given(st.text(min_size=1).filter(lambda text: text.strip() and text.isprintable()))
def test_any_text_can_be_said_literally(text: str) -> None:
    assert attributes_in(literal(text)) == []
    assert personas_of(literal(text), [0], None) == [text]


@pytest.mark.parametrize(
    ("persona", "said"),
    [
        (5, "5 is not a text"),
        (" ", "it is empty"),
        ({}, "a mapping of no node"),
        ({0: None}, "None is not a text"),
        ("You are {}.", "no attribute alone"),
        ("You are {age:>5}.", "no attribute alone"),
        ("You are {age!r}.", "no attribute alone"),
        ("You are {age", "cannot be filled in"),
        ("You are {wealth}.", "node 0 has no attribute 'wealth'. It has"),
        ({99: "You are old."}, "no node 99"),
    ],
)
def test_what_nobody_can_be_told_is_refused(persona: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        NamingGame(town(), "QM", FakeProvider().mind(), persona=persona)
    with pytest.raises(SpecError, match=said):
        run_ensemble(town(), "QM", FakeProvider().mind(), persona=persona, runs=1, rounds=1)


def test_minds_that_read_no_prompt_have_none() -> None:
    with pytest.raises(SpecError, match="no mind is live"):
        NamingGame(town(), "QM", "uniform", persona="You are shy.")


def test_an_attribute_that_no_topology_has_is_refused() -> None:
    with pytest.raises(SpecError, match="No node of it has any"):
        NamingGame("ring(n=6)", "QM", FakeProvider().mind(), persona="You are a {job}.")


def play(folder: Path, persona: Any, provider: FakeProvider, **how: Any) -> list[Any]:
    llm = LLMSettings(folder=folder, **how)
    model = NamingGame(town(), "QM", provider.mind(), rng=3, persona=persona, llm=llm)
    try:
        model.step()
        return model.rows
    finally:
        model.close()


def test_it_is_on_record_and_a_run_is_resumed_with_it_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    rows = play(folder, "You are a {job}.", FakeProvider())
    with read_journal(folder / "journal.sqlite") as journal:
        assert journal.spec["spec"]["persona"]["nodes"][0] == [0, "You are a smith."]
        assert journal.attempts_of(0, 0)[0].system.startswith("You are a ")
    again = NamingGame.resume(folder, mind=(provider := FakeProvider()).mind())
    again.step()
    again.close()
    assert again.rows == rows
    assert not provider.asked
    with pytest.raises(JournalError, match="the persona was"):
        play(folder, "You are shy.", provider, resume=True)
    with pytest.raises(JournalError, match="the persona was"):
        play(folder, None, provider, resume=True)
    with pytest.raises(JournalError, match="the persona was"):
        NamingGame.resume(folder, mind=provider.mind(), persona="You are shy.")
    assert not provider.asked


def test_an_ensemble_is_told_and_resumed_likewise(tmp_path: Path) -> None:
    def play(persona: str, resume: bool) -> tuple[list[str], int]:
        provider = FakeProvider()
        llm = LLMSettings(folder=tmp_path / "runs", resume=resume)
        arguments: dict[str, Any] = {"runs": 2, "rounds": 2, "until": None, "rng": 1, "llm": llm}
        found = run_ensemble(town(), "QM", provider.mind(), persona=persona, **arguments)
        assert all(it.prompt.system.startswith("You are ") for it in provider.asked)
        return found.runs["winner"].tolist(), len(provider.asked)

    winners, calls = play("You are {age}.", resume=False)
    assert calls > 0
    assert play("You are {age}.", resume=True) == (winners, 0)
    with pytest.raises(JournalError, match="the persona was"):
        play("You are old.", resume=True)


@pytest.mark.parametrize(
    "persona",
    [None, "You are {{shy}}.", "You are a {job}.", {0: "You are {age}.", 2: "{{}} is yours."}],
)
def test_a_spec_in_writing_tells_the_same(persona: Any) -> None:
    mind = "llama:http://127.0.0.1:1/v1#m"
    spec = Spec(graph=town(), names="QM", mind=mind, persona=persona)
    again = from_json(json.loads(json.dumps(to_json(spec))))
    assert to_json(again) == to_json(from_json(to_json(again)))

    def told(spec: Spec) -> list[str]:
        return [
            getattr(mind, "persona", "") for mind in spec.initial_state().minds_by_node.values()
        ]

    assert told(again) == told(spec)


def test_the_command_line_takes_one_for_all_or_a_file_by_node(tmp_path: Path) -> None:
    provider = FakeProvider()
    register_provider("told", lambda _: provider, example="told:ANY")
    file = tmp_path / "personas.json"
    file.write_text('{"0": "You are a smith.", "1": "You are old."}', encoding="utf-8")
    command = ["run", "--mind", "told:x", "--names", "QM", "-t", "ring(n=6)", "--rounds", "2"]
    command += ["--until", "none", "--no-files", "--quiet", "--seed", "1"]

    def ran(*others: str) -> str:
        result = CliRunner().invoke(cli.app, [*command, *others])
        return f"{result.exit_code} {result.output}"

    assert ran("--persona", "You are shy.").startswith("0")
    assert {it.prompt.system for it in provider.asked} == {f"You are shy.\n\n{RULES}"}
    provider.asked.clear()
    assert ran("--personas-by-node", str(file)).startswith("0")
    heads = {it.prompt.system.partition(".")[0] for it in provider.asked}
    assert {"You are a smith", "You are old", RULES.partition(".")[0]} == heads
    assert "personas are given twice" in ran("--persona", "x", "--personas-by-node", str(file))
    shown = ran("--persona", "You are shy.", "--show-prompt")
    assert shown.count("You are shy.") == 2
    file.write_text('{"0": 5}', encoding="utf-8")
    assert "not an object of personas" in ran("--personas-by-node", str(file))
