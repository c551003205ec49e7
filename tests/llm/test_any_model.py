"""Any Mesa model asks a language model: what its answers belong to, what is kept and refused."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import mesa
import pytest
from chat_server import VLLM, ChatServer
from claude import PLAIN
from hypothesis import given, settings
from hypothesis import strategies as st
from mesa_batches import batch_run
from messages_server import MessagesServer

from mesa_llm_norms import LLM
from mesa_llm_norms.compat import resume_steps
from mesa_llm_norms.errors import (
    BudgetError,
    CallError,
    DecisionError,
    JournalError,
    MindError,
    SpecError,
)
from mesa_llm_norms.llm import Ask, LLMSettings, Question, Reply, Usage, read_journal
from mesa_llm_norms.testing import FakeProvider

CHOICES = ["yes", "no", "do not know"]


class Voter(mesa.Agent):
    """Asks with what it heard, in words that depend on all that was answered before."""

    opinion: str | None = None

    def prompt(self) -> str:
        heard = [cast(Voter, it).opinion for it in self.model.agents if it is not self]
        return f"I am {self.unique_id}. The others say {heard}. What do you say?"


class Vote(mesa.Model):
    """Everybody is asked at once in each step, and then one more alone."""

    def __init__(self, llm: LLM, agents: int = 5, rng: int | None = 1) -> None:
        super().__init__(rng=rng)
        self.llm = llm
        Voter.create_agents(self, agents)
        self.datacollector = mesa.DataCollector({"yes": self.yes})

    @property
    def voters(self) -> list[Voter]:
        return [cast(Voter, agent) for agent in self.agents]

    def yes(self, _: Any = None) -> int:
        return sum(voter.opinion == "yes" for voter in self.voters)

    def step(self) -> None:
        asked = [(voter, voter.prompt(), CHOICES) for voter in self.voters]
        for voter, opinion in zip(self.voters, self.llm.choose_all(asked), strict=True):
            voter.opinion = opinion
        last = self.random.choice(self.voters)
        last.opinion = self.llm.choose(last, last.prompt(), CHOICES, system="You may hesitate.")
        self.datacollector.collect(self)


def opinions(llm: LLM, steps: int = 3, **arguments: Any) -> list[str | None]:
    model = Vote(llm, **arguments)
    for _ in range(steps):
        model.step()
    return [voter.opinion for voter in model.voters]


def voter() -> Voter:
    return Voter(mesa.Model(rng=1))


EXPECTED = opinions(LLM(FakeProvider()))


# Exact, whatever the speed


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 12), st.floats(0, 0.4), st.integers(0, 99), st.booleans())
def test_answers_and_calls_are_the_same_at_every_concurrency(
    most: int, share: float, seed: int, distributions: bool
) -> None:
    def fault(question: Question, before: int) -> Any:
        chance = zlib.crc32(f"{seed} {before} {question.prompt.user}".encode()) / 2**32
        busy = CallError("fake:model", "overloaded", "later", 529)
        unusable = Reply("hm", Usage(40, 1), problem="it is not a name of the pool")
        return (busy if chance < share / 2 else unusable) if chance < share else None

    how = LLMSettings(wait=0.001, ask_again=30, retries=30)
    found = []
    for concurrency in (most, 1):
        server = FakeProvider(fault, distributions=distributions)
        with LLM(server, max_concurrency=concurrency, llm=how) as llm:
            found.append((opinions(llm), llm.usage, len(server.asked)))
            assert server.most_in_flight <= concurrency
    assert found[0] == found[1]
    if not distributions:
        assert found[0][0] == EXPECTED


def test_a_question_of_an_agent_is_answered_alike_in_whatever_order_agents_ask() -> None:
    def answers(order: Sequence[int]) -> dict[int, str | None]:
        with LLM(FakeProvider(lambda *_: [0.2, 0.3, 0.5])) as llm:
            agents = Vote(llm).voters
            return {i: llm.choose(agents[i], "Well?", CHOICES) for i in order}

    assert answers(range(5)) == answers([3, 1, 4, 0, 2])
    assert len(set(answers(range(5)).values())) > 1


def test_draws_from_probabilities_follow_the_seed_of_the_model_and_take_none_of_its_numbers() -> (
    None
):
    shares = [0.3, 0.3, 0.4]
    with LLM(FakeProvider(lambda *_: shares)) as llm:
        again = [opinions(llm, agents=12, rng=seed) for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]
    model = Vote(LLM(FakeProvider()), rng=7)
    model.llm.choose(model.voters[0], "Well?", CHOICES)
    assert model.random.random() == Vote(model.llm, rng=7).random.random()


def test_choices_are_listed_in_an_order_drawn_for_each_question_or_as_they_are_given() -> None:
    listed = {}
    for shuffle in (True, False):
        with LLM(provider := FakeProvider(), shuffle=shuffle) as llm:
            llm.choose_all((it, "Well?", CHOICES) for it in Vote(llm, agents=60).voters)
        users = [it.prompt.user for it in provider.asked]
        listed[shuffle] = {tuple(user.splitlines()[-3:]) for user in users}
        assert {it.pool for it in provider.asked} == {tuple(CHOICES)}
    assert len(listed[True]) == 6
    assert listed[False] == {tuple(CHOICES)}


# On record


def test_a_run_in_the_same_folder_asks_nothing_that_was_answered(tmp_path: Path) -> None:
    first, second, third = FakeProvider(), FakeProvider(), FakeProvider()
    with LLM(first, folder=tmp_path / "run") as llm:
        opinions(llm, steps=2)
    with LLM(second, folder=tmp_path / "run") as llm:
        assert opinions(llm, steps=3) == EXPECTED
        assert llm.usage.calls == len(first.asked) + len(second.asked) == 18
    with LLM(third, folder=tmp_path / "run") as llm:
        assert opinions(llm, steps=3) == EXPECTED
    assert [len(it.asked) for it in (first, second, third)] == [12, 6, 0]


KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[2:]
from test_any_model import FakeProvider, LLM, opinions

def answer(question, before):
    if len(provider.asked) > 8:
        os.kill(os.getpid(), signal.SIGKILL)

provider = FakeProvider(answer)
opinions(LLM(provider, folder=sys.argv[1], max_concurrency=3))
"""


@pytest.mark.slow
def test_a_killed_process_loses_only_the_calls_that_were_in_flight(tmp_path: Path) -> None:
    here = Path(__file__).parent
    paths = [str(here), str(here.parent / "support")]
    folder = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), *paths], check=False, timeout=60
    )
    assert done.returncode == -9
    with LLM(provider := FakeProvider(), folder=folder) as llm:
        assert opinions(llm) == EXPECTED
        assert 1 <= llm.usage.lost <= 3
        assert len(provider.asked) == 18 - llm.usage.answered + len(provider.asked) <= 12


def test_another_seed_prompt_or_question_is_refused_and_nothing_is_asked(tmp_path: Path) -> None:
    with LLM(FakeProvider(), folder=tmp_path / "run") as llm:
        opinions(llm)
    with LLM(provider := FakeProvider(), folder=tmp_path / "run") as llm:
        with pytest.raises(JournalError, match="in run 0 was another one"):
            opinions(llm, rng=8)
        assert not provider.asked
    llm = LLM(FakeProvider(), folder=tmp_path / "run")
    with llm, pytest.raises(JournalError, match="the same seed and code"):
        opinions(llm, agents=4)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    from mesa_llm_norms import NamingGame

    with LLM(FakeProvider(), folder=tmp_path / "run") as llm:
        opinions(llm, steps=1)
    with pytest.raises(JournalError, match="not that of fake:other"):
        LLM(FakeProvider(label="fake:other"), folder=tmp_path / "run")
    game = NamingGame(
        "ring(n=6)", "QM", FakeProvider().mind(), rng=1, llm=LLMSettings(folder=tmp_path / "game")
    )
    game.step()
    game.close()
    with pytest.raises(JournalError, match="not that of fake:model"):
        LLM(FakeProvider(), folder=tmp_path / "game")
    with pytest.raises(JournalError):
        NamingGame.resume(tmp_path / "run")


def test_who_asked_what_is_in_the_journal(tmp_path: Path) -> None:
    with LLM(FakeProvider(), folder=tmp_path / "run") as llm:
        opinions(llm, steps=1)
        used = llm.usage_by_agent()
        assert [it.node for it in used] == [1, 2, 3, 4, 5]
        assert sum(it.calls for it in used) == llm.usage.calls == 6
        assert llm.usage_by_agent(1) == ()
    with read_journal(tmp_path / "run" / "journal.sqlite") as journal:
        first = journal.attempts_of(run=0, interaction=0)
        assert [it.seat for it in first] == [1, 2, 3, 4, 5]
        assert {it.user.rpartition("else:\n")[0] for it in first} == {
            f"I am {it.seat}. The others say [None, None, None, None]. What do you say?\n\n"
            "Answer with one of these, and with nothing "
            for it in first
        }
        again = journal.attempts_of(run=0, interaction=1)
        assert [it.system for it in again] == ["You may hesitate."]


# Errors


def test_a_budget_stops_before_the_call_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    with LLM(FakeProvider(), folder=tmp_path / "run", budget_calls=8) as llm:
        with pytest.raises(BudgetError):
            opinions(llm)
        assert llm.usage.calls == 8
    with LLM(provider := FakeProvider(), folder=tmp_path / "run", budget_calls=18) as llm:
        assert opinions(llm) == EXPECTED
        assert len(provider.asked) == 10


def test_a_step_that_failed_can_be_taken_again() -> None:
    fails = [True]

    def answer(question: Question, _: int) -> CallError | None:
        if "I am 3" not in question.prompt.user or not fails:
            return None
        fails.clear()
        return CallError("fake:model", "denied", "no key", 401)

    with LLM(provider := FakeProvider(answer)) as llm:
        model = Vote(llm)
        with pytest.raises(CallError, match="no key"):
            model.step()
        assert {it.opinion for it in model.voters} == {None}
        assert llm.usage.failed == 1
        resume_steps(model)
        for _ in range(3):
            model.step()
        assert llm.usage.answered == 18
        assert len(provider.asked) == 19


def test_no_answer_is_made_up() -> None:
    refuses = FakeProvider(lambda *_: "I would rather not")
    with LLM(refuses, llm=LLMSettings(ask_again=1)) as llm, pytest.raises(DecisionError):
        llm.choose(voter(), "Well?", CHOICES)
    with LLM(refuses, llm=LLMSettings(ask_again=1, on_unusable="skip")) as llm:
        assert llm.choose(voter(), "Well?", CHOICES) is None
        assert llm.usage.unusable == 2


def test_a_skipped_question_is_not_asked_again(tmp_path: Path) -> None:
    how = LLMSettings(ask_again=1, on_unusable="skip")
    for calls in (2, 0):
        refuses = FakeProvider(lambda *_: "I would rather not")
        with LLM(refuses, folder=tmp_path / "run", llm=how) as llm:
            assert llm.choose(voter(), "Well?", CHOICES) is None
        assert len(refuses.asked) == calls


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda a: Ask(a, 5, CHOICES), "5 is not a text"),  # type: ignore[arg-type]
        (lambda a: Ask(a, " ", CHOICES), "it is empty"),
        (lambda a: Ask(a, "half \ud800", CHOICES), "half of a character"),
        (lambda a: Ask(a, "x", CHOICES, None), "None is not a text"),  # type: ignore[arg-type]
        (lambda a: Ask(a, "x", "yes"), "'yes' is not a list of choices"),
        (lambda a: Ask(a, "x", {"yes", "no"}), "a set has no order"),  # type: ignore[arg-type]
        (lambda a: Ask(a, "x", ["yes", "no", "yes"]), "'yes' is there more than once"),
        (lambda a: Ask(a, "x", ["yes"]), "there are 1"),
        (lambda a: Ask(a, "x", []), "there are 0"),
        (lambda a: Ask(a, "x", ["yes", "no\n"]), "cannot be answered"),
        (lambda a: Ask(a, "x", ["yes", " no"]), "cannot be answered"),
        (lambda a: Ask(a, "x", ["yes", ""]), "cannot be answered"),
        (lambda a: Ask(a, "x", ["yes", 1]), "cannot be answered"),  # type: ignore[list-item]
        (lambda _: Ask("me", "x", CHOICES), "'me' is not an agent"),
        (lambda a: (a,), "is not a question"),
        (lambda a: a, "is not a question"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is(
    asked: Callable[[Any], Any], said: str
) -> None:
    with LLM(provider := FakeProvider()) as llm:
        agent = voter()
        with pytest.raises(SpecError, match=said):
            llm.choose_all([(agent, "Well?", CHOICES), asked(agent)])
        assert not provider.asked


def test_arguments_that_no_provider_takes_are_refused(tmp_path: Path) -> None:
    for bad, said in [
        (("nobody:knows",), "not the name of a live mind"),
        ((5,), "is not a provider"),
    ]:
        with pytest.raises(MindError, match=said):
            LLM(*bad)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="given by name"):
        LLM(FakeProvider(), temperature=1.0)
    with pytest.raises(MindError, match="options"):
        LLM("claude:claude-haiku-5-5", warmth=1.0)
    with pytest.raises(MindError, match="no price"):
        LLM(FakeProvider(free=False), budget_usd=1, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(SpecError, match="batch"):
        LLM(FakeProvider(), llm=LLMSettings(batch=True))


def test_two_threads_at_once_are_refused() -> None:
    asking, go_on = threading.Event(), threading.Event()

    def answer(*_: object) -> str:
        asking.set()
        assert go_on.wait(20)
        return "yes"

    with LLM(FakeProvider(answer)) as llm:
        agent = voter()
        thread = threading.Thread(target=llm.choose, args=(agent, "First?", CHOICES))
        thread.start()
        assert asking.wait(20)
        with pytest.raises(MindError, match="in another thread"):
            llm.choose(agent, "Second?", CHOICES)
        go_on.set()
        thread.join(20)
        assert llm.choose(agent, "Third?", CHOICES) == "yes"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_is_not_copied_nor_is_a_model_that_holds_it(copied: Callable[[Any], Any]) -> None:
    with LLM(FakeProvider()) as llm:
        with pytest.raises(MindError, match=r"neither be copied.*number_processes=1"):
            copied(llm)
        if copied is not copy.copy:
            with pytest.raises(MindError, match="neither be copied"):
                copied(Vote(llm))


def test_a_closed_one_says_so() -> None:
    with LLM(FakeProvider()) as llm:
        pass
    with pytest.raises(MindError, match="closed"):
        llm.choose(voter(), "Well?", CHOICES)


# Words


def test_without_choices_the_answer_is_in_the_models_own_words(tmp_path: Path) -> None:
    answers = FakeProvider(lambda *_: "Half a loaf\nis better than none.")
    for _ in range(2):
        with LLM(answers, folder=tmp_path / "run") as llm:
            assert llm.choose(voter(), "Say a proverb.") == "Half a loaf\nis better than none."
    assert [it.pool for it in answers.asked] == [()]
    assert answers.asked[0].prompt.user == "Say a proverb."


def test_a_provider_that_only_knows_names_is_not_asked_for_words() -> None:
    class OnlyNames(FakeProvider):
        writes = False

    with LLM(OnlyNames()) as llm, pytest.raises(MindError, match="own words"):
        llm.choose(voter(), "Say a proverb.")


def test_claude_is_held_to_choices_and_free_without(monkeypatch: pytest.MonkeyPatch) -> None:
    with MessagesServer(names=("Words of its own.",)) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "none-that-works")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        with LLM(f"claude:{PLAIN}", budget_calls=2, max_tokens=400) as llm:
            agent = voter()
            assert llm.choose(agent, "Well?", CHOICES) in CHOICES
            assert llm.choose(agent, "Well?") == "Words of its own."
        held, free = server.answered
        assert held["output_config"]["format"]["schema"]["properties"]["name"]["enum"] == CHOICES
        assert "format" not in free.get("output_config", {})
        assert free["max_tokens"] == 400


def test_a_server_of_chat_completions_gives_the_probabilities_of_choices_and_words() -> None:
    with ChatServer(VLLM, chances={"yes": 0.6, "no": 0.4}) as server:
        llm = LLM(f"llama:{server.url}#m", budget_calls=20)
        agents = Vote(llm, agents=20).voters
        assert set(llm.choose_all((it, "Well?", ["yes", "no"]) for it in agents)) == {"yes", "no"}
        assert llm.choose(agents[0], "Well?") in ("yes", "no")
        llm.close()


# Mesa's batch runs


def test_batch_runs_share_one_budget_and_one_journal(tmp_path: Path) -> None:
    def rows(llm: LLM) -> list[Any]:
        found = batch_run(Vote, {"llm": llm, "agents": [3, 4, 5]}, seed=1, max_steps=2)
        return [(row["agents"], row["yes"]) for row in found]

    with LLM(first := FakeProvider(), folder=tmp_path / "run", budget_calls=60) as llm:
        before = rows(llm)
    with LLM(second := FakeProvider(), folder=tmp_path / "run") as llm:
        assert rows(llm) == before
        assert llm.usage.calls == len(first.asked)
        assert llm.usage_by_agent(2)
    assert not second.asked
