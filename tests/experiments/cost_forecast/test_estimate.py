"""A forecast holds for a server that plays as its proxy does, and says what else it assumes."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chances import FALSE_ALARM, Waiting
from scipy import stats

from mesa_llm_norms import load_mind
from mesa_llm_norms.core.game import Memory, remember
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import FileFormatError, MindError, SpecError
from mesa_llm_norms.experiments.cost_forecast import simulation
from mesa_llm_norms.experiments.cost_forecast.estimate import different, forecast, sum_of
from mesa_llm_norms.experiments.cost_forecast.result import (
    NOTHING,
    Forecast,
    Range,
    describe,
    exactly,
)
from mesa_llm_norms.experiments.cost_forecast.simulation import nearest
from mesa_llm_norms.llm.chat_completions import Capabilities
from mesa_llm_norms.llm.openai_compatible import OpenAICompatibleProvider
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import LiveMind, Provider, Question, Reply, Usage, live_mind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Policy, Situation
from mesa_llm_norms.simulation import Ensemble
from mesa_llm_norms.simulation.ensemble import play_ensemble
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.testing import FakeProvider

MODEL = "llama-2-70b-chat"
CONVERGED = Goal("converged")
ALL_ROUNDS = Goal(None)


def acting(model: str = MODEL, **options: Any) -> FakeProvider:
    """Return a provider that answers as the nearest recorded mind would."""
    mind = load_mind(nearest(model).name)
    assert isinstance(mind, Policy)
    defaults = {"label": "acting", "max_tokens": 30, "parameters": {}, "usage": Usage()}
    return FakeProvider(mind, model=model, **{**defaults, **options})


def sizes(provider: FakeProvider) -> int:
    """Return how many bytes all prompts had together."""
    return sum(len(text.encode()) for question in provider.asked for text in question.prompt)


class Untouchable(FakeProvider):
    """Has to be left alone."""

    async def prepare(self) -> None:
        raise AssertionError("a forecast prepares no provider")

    async def ask(self, question: Question) -> Reply:
        raise AssertionError(f"a forecast asks nothing, but {question}")


def spec_of(mind: Any, **arguments: Any) -> Spec:
    if isinstance(mind, Provider):
        mind = LiveMind(mind)
    return Spec(**{"graph": "ring(n=8)", "names": "QM", "mind": mind, "seed": 5, **arguments})


def fixed(mind: Any, rounds: int = 6, **arguments: Any) -> Forecast:
    """Return the forecast of a run of so many rounds, in which nothing is left to chance."""
    return forecast(spec_of(mind, **arguments), ALL_ROUNDS, rounds)


def play(spec: Spec, goal: Goal = CONVERGED, rounds: int | None = None, runs: int = 1) -> Ensemble:
    return play_ensemble(spec, runs=runs, goal=goal, rounds=rounds, llm=LLMSettings())


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have fewer runs simulated, where it is not their number that matters."""
    monkeypatch.setattr(simulation, "MOST", 29)
    monkeypatch.setattr(simulation, "REPLAYED", {True: 1_500, False: 400})


quick = pytest.mark.usefixtures("few")


def within(number: float, found: Range) -> bool:
    return found.low <= number <= found.high


# Proxies


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-haiku-5-5", "claude-3.5-sonnet"),
        ("anthropic/Claude-Next", "claude-3.5-sonnet"),
        ("llama-2-7b-chat", "llama-2-70b-chat"),
        ("llama2", "llama-2-70b-chat"),
        ("llama2:13b", "llama-2-70b-chat"),
        ("Llama-2-13b-chat-hf", "llama-2-70b-chat"),
        ("Meta-Llama-3-70B-Instruct", "llama-3-70b-instruct"),
        ("llama3:8b", "llama-3-70b-instruct"),
        ("llama3-8b-8192", "llama-3-70b-instruct"),
        ("ollama/llama3", "llama-3-70b-instruct"),
        ("llama3.1:8b", "llama-3.1-70b-instruct"),
        ("meta.llama3-1-8b-instruct-v1:0", "llama-3.1-70b-instruct"),
        ("accounts/fireworks/models/llama-v3p3-70b-instruct", "llama-3.1-70b-instruct"),
        ("Llama-3.2-1B-Instruct-Q4_K_M.gguf", "llama-3.1-70b-instruct"),
        ("Llama 3.3 70B", "llama-3.1-70b-instruct"),
        ("Meta_Llama_3_1", "llama-3.1-70b-instruct"),
    ],
)
def test_the_nearest_recorded_mind_is_found_by_the_id_of_the_model(model: str, name: str) -> None:
    assert nearest(model) == (name, True)


@quick
@pytest.mark.parametrize(
    "model",
    ["qwen3:8b", "codellama-7b", "open_llama_3b", "llama-30b", "tinyllama-1.1b", "llama-2.7b", "x"],
)
def test_a_model_of_no_recorded_kind_has_a_proxy_and_that_is_said(model: str) -> None:
    assert not nearest(model).alike
    found = fixed(acting(model))
    assert found.providers[0].proxy.name == "llama-3-70b-instruct"
    assert any("llama-3-70b-instruct" in it and "for want of" in it for it in found.assumptions)


def test_every_proxy_ships() -> None:
    for model in ("claude", "llama2", "llama3", "llama3.1", "other"):
        assert load_mind(nearest(model).name).label == nearest(model).name


# The game


@quick
@pytest.mark.parametrize("distributions", [True, False])
def test_a_forecast_asks_nothing_and_is_the_same_again_whatever_was_played_before(
    distributions: bool,
) -> None:
    def found() -> Forecast:
        spec = spec_of(Untouchable(model=MODEL, distributions=distributions), graph="complete(n=6)")
        return forecast(spec, CONVERGED, None, 7, LLMSettings(budget_calls=10))

    before = found()
    random.seed(1)
    fixed(acting("claude-x"))
    assert found() == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.runs = 3  # type: ignore[misc]


def test_the_length_of_a_run_lies_in_the_range_as_often_as_it_should() -> None:
    """Of n simulated runs, the share of others between two of them is Beta-distributed.

    Each of the six checks fails a right program with a probability of 1e-6 at most.
    """
    real = play_ensemble(spec_of(MODEL, seed=10**6), runs=400, goal=CONVERGED)
    lengths = real.runs["interactions"]
    for seed in range(3):
        found = forecast(spec_of(acting(), seed=seed), CONVERGED)
        n, (low, _, high) = found.simulated, found.interactions
        inside = lengths.between(low, high).sum()
        strictly = inside - (lengths == low).sum() - (lengths == high).sum()
        inner = np.floor(0.9 * (n + 1)) - np.ceil(0.1 * (n + 1))
        outer = np.ceil(0.9 * (n + 1)) - np.floor(0.1 * (n + 1))
        assert stats.betabinom.cdf(inside, 400, inner, n + 1 - inner) > FALSE_ALARM
        assert stats.betabinom.sf(strictly - 1, 400, outer, n + 1 - outer) > FALSE_ALARM


def test_sums_lie_in_the_range_as_often_as_they_should() -> None:
    """Of 300 sums, 80% should; fewer than 60% or more than 95% have a probability below 1e-6."""
    assert stats.binom.cdf(0.6 * 300, 300, 0.75) < FALSE_ALARM
    assert stats.binom.sf(0.95 * 300, 300, 0.83) < FALSE_ALARM
    chance = np.random.default_rng(4)
    inside = [
        within(chance.gamma(2, 30, 20).sum(), sum_of(chance.gamma(2, 30, 40), 20))
        for _ in range(300)
    ]
    assert 0.6 < np.mean(inside) < 0.95


def test_different_prompts_of_a_run_lie_in_the_range_as_often_as_they_should() -> None:
    """Of 40 runs, 80% should; fewer than 15 have a probability below 1e-6."""
    found = forecast(spec_of(acting(distributions=True)), CONVERGED)
    spec = spec_of(MODEL, seed=10**6)
    real = play_ensemble(spec, runs=40, goal=CONVERGED, keep_interactions=True)
    numbers = [len(set(prompts_of(spec, real, run))) for run in range(40)]
    assert stats.binom.cdf(14, 40, 0.75) < FALSE_ALARM
    assert sum(within(number, found.calls) for number in numbers) >= 15
    assert found.calls.high < 2 * found.interactions.expected


def prompts_of(spec: Spec, played: Ensemble, run: int) -> list[Prompt]:
    """Return every prompt of a run, made anew from its rows."""
    mind, game, stream = LiveMind(acting()), spec.game, spec.initial_state(run).stream
    table = played.interactions
    assert table is not None
    memories: dict[Any, Memory] = dict.fromkeys(range(8), ())
    prompts = []
    rows: list[Any] = list(table[table["run"] == run].itertuples())
    for row in rows:
        for seat, node in enumerate((row.node_a, row.node_b)):
            seen = Situation(game, memories[node], 0, stream, row.interaction, seat)
            prompts.append(mind.prompt(seen))
        memories[row.node_a] = remember(memories[row.node_a], row.name_a, row.name_b, 5)
        memories[row.node_b] = remember(memories[row.node_b], row.name_b, row.name_a, 5)
    return prompts


def test_different_prompts_beyond_those_that_were_met_lie_between_the_bounds() -> None:
    """Of 100 populations of prompts; with 80% expected, fewer than 55 have one below 1e-6."""
    assert stats.binom.cdf(54, 100, 0.8) < FALSE_ALARM
    chance = np.random.default_rng(6)
    inside = 0
    for _ in range(100):
        weights = np.arange(1, chance.integers(2, 400) + 1) ** -chance.uniform(0, 1.5)
        size = 500 * int(chance.integers(2, 40))
        drawn = chance.choice(len(weights), size, p=weights / weights.sum()).tolist()
        runs = [drawn[first : first + 100] for first in range(0, 500, 100)]
        found = different(runs, exactly(size))
        assert len(set(drawn[:500])) <= found.high <= size
        inside += within(len(set(drawn)), found)
    assert inside >= 55


def test_without_repeats_all_prompts_are_different_however_many_there_will_be() -> None:
    runs = [list(range(first, first + 100)) for first in range(0, 500, 100)]
    for size in (10, 500, 10_000):
        found = different(runs, exactly(size))
        assert 0.9 * size < found.low <= found.high <= size + 1e-6
    assert different([[7] * 100, [7] * 100], exactly(10_000)) == exactly(1)
    assert different([], exactly(0)) == NOTHING


# Calls


@quick
def test_all_decisions_of_so_many_rounds_are_a_call_each() -> None:
    server = acting()
    found = forecast(spec_of(server), ALL_ROUNDS, 6, 3)
    play(spec_of(server), ALL_ROUNDS, 6, 3)
    assert len(server.asked) == 288
    assert found.calls == exactly(288)
    assert found.interactions == exactly(48)
    assert found.rounds == exactly(6)
    assert found.missed == 0


@quick
def test_calls_are_counted_by_who_sits_where() -> None:
    one, other = acting(label="one"), acting("claude-x", label="other")
    minds = {
        node: LiveMind(one) if node < 2 else LiveMind(other) if node < 4 else MODEL
        for node in range(8)
    }
    arguments: dict[str, Any] = {"mind": minds, "graph": "complete(n=8)", "seed": 3}
    found = forecast(spec_of(**arguments), ALL_ROUNDS, 20, 5)
    play(spec_of(**arguments), ALL_ROUNDS, 20, 5)
    for server, part in zip((one, other), found.providers, strict=True):
        assert part.provider == server.label
        assert part.calls.expected == pytest.approx(len(server.asked), rel=0.1)
    assert found.calls.expected == pytest.approx(sum(it.calls.expected for it in found.providers))
    assert [part.proxy.name for part in found.providers] == [MODEL, "claude-3.5-sonnet"]


@quick
@pytest.mark.parametrize(
    ("arguments", "share"),
    [
        ({"committed": {"M": 4}}, 0.5),
        ({"mind": "shares"}, 0.5),
        ({"mind": "shares", "committed": {"M": 8}}, 0.0),
        ({"mind": MODEL}, 0.0),
    ],
)
def test_offline_minds_and_committed_agents_cost_nothing(
    arguments: dict[str, Any], share: float
) -> None:
    mind: Any = LiveMind(acting())
    if "mind" in arguments:
        mind = {mind: 1, MODEL: 1} if arguments["mind"] == "shares" else MODEL
    found = forecast(spec_of(**{**arguments, "mind": mind}), ALL_ROUNDS, 5)
    assert found.calls.expected == pytest.approx(80 * share, rel=0.15)
    if not share:
        assert [found.calls, found.seconds, found.usd] == [NOTHING] * 3


@quick
def test_two_live_minds_with_one_proxy_are_told_apart() -> None:
    minds = {LiveMind(acting("claude-a", label="a")): 1, LiveMind(acting("claude-b", label="b")): 3}
    found = fixed(minds)
    assert [part.calls.expected for part in found.providers] == pytest.approx([24, 72], rel=0.3)
    assert found.calls.expected == 96


@quick
def test_minds_of_the_callers_own_play_as_they_are() -> None:
    awaited = Waiting(load_mind(MODEL))
    found = forecast(spec_of({LiveMind(acting()): 1, awaited: 1}), CONVERGED, 30, 2)
    same = forecast(spec_of({LiveMind(acting()): 1, MODEL: 1}), CONVERGED, 30, 2)
    assert found.interactions == same.interactions


@quick
def test_calls_beyond_the_end_are_counted_as_the_engine_makes_them() -> None:
    """They depend on latencies too, so that the range alone is to hold, and by their mean."""
    server = acting()
    real = play(spec_of(server, graph="complete(n=12)"), runs=4)
    beyond = (len(server.asked) - 2 * real.runs["interactions"].sum()) / 4
    found = forecast(spec_of(acting(), graph="complete(n=12)"), CONVERGED)
    assert 0 < beyond < found.calls.high - 2 * found.interactions.high
    assert found.calls.expected > 2 * found.interactions.expected
    assert found.calls.low == 2 * found.interactions.low


@quick
def test_equal_prompts_of_all_runs_are_one_call_where_a_server_gives_probabilities() -> None:
    server = acting(distributions=True)
    real = play(spec_of(server), runs=4)
    found = forecast(spec_of(server, seed=6), CONVERGED, None, 4)
    assert len({question.prompt for question in server.asked}) == len(server.asked)
    assert found.calls.low / 1.2 <= len(server.asked) <= 1.2 * found.calls.high
    assert found.calls.high < 2 * real.runs["interactions"].sum()
    assert found.providers[0].once
    assert any("equal prompts" in it for it in found.assumptions)
    more = forecast(spec_of(server, seed=6), CONVERGED, None, 400)
    assert found.calls.high < more.calls.high
    most = forecast(spec_of(server, memory=2), CONVERGED, None, 10**6)
    assert most.calls.high <= 2 * (1 + 4 + 16), "with two names there are no more"


@quick
def test_what_a_llama_server_can_do_counts_once_it_is_known() -> None:
    server = OpenAICompatibleProvider("http://127.0.0.1:1/v1", "llama3")
    found = forecast(spec_of(server), CONVERGED)
    assert found.providers[0].once is None
    assert found.calls.low < found.calls.expected / 1.5
    assert any("is not known before it is asked" in it for it in found.assumptions)
    able = {True: Capabilities("grammar", "after"), False: Capabilities("grammar", "none")}
    for once, server.capabilities in able.items():
        known = forecast(spec_of(server), CONVERGED)
        assert known.providers[0].once is once
        assert known.calls.low >= found.calls.low
        assert known.calls.high <= found.calls.high


# Tokens and dollars


@quick
def test_the_tokens_read_are_between_those_of_short_and_of_long_ones() -> None:
    server = acting()
    play(spec_of(server), ALL_ROUNDS, 6)
    found = fixed(server)
    assert found.read.low == pytest.approx(sizes(server) / 4.5, rel=0.01)
    assert found.read.high == pytest.approx(sizes(server) / 3 + 96 * 300, rel=0.01)
    assert found.read.low < found.read.expected < found.read.high


@quick
def test_names_and_wordings_count_by_their_bytes() -> None:
    plain = fixed(acting(), names=["a", "b"])
    longer = fixed(acting(), names=["\N{SNOWMAN}" * 20, "b" * 20])
    assert longer.read.low > 1.3 * plain.read.low


@quick
@pytest.mark.parametrize(
    ("model", "parameters", "max_tokens", "thinking"),
    [
        ("claude-x", {"thinking": "disabled"}, 128, (0, 0, 0)),
        ("claude-x", {"thinking": "between_tools"}, 128, (0, 0, 0)),
        ("claude-x", {"effort": "low"}, 2_048, (50, 200, 800)),
        ("claude-x", {"effort": "low"}, 300, (50, 200, 300)),
        ("claude-x", {}, 2_048, (0, 200, 800)),
        ("other", {}, 128, (0, 0, 128)),
        ("llama3", {}, 2_048, (0, 0, 0)),
    ],
)
def test_thinking_counts_unless_it_is_known_to_be_off(
    model: str, parameters: dict[str, Any], max_tokens: int, thinking: tuple[float, ...]
) -> None:
    found = fixed(acting(model, parameters=parameters, max_tokens=max_tokens))
    assert found.thinking == tuple(96 * tokens for tokens in thinking)
    most = min(25 + thinking[2], max_tokens)
    assert found.written == (96 * (5 + thinking[0]), 96 * (10 + thinking[1]), 96 * most)
    said = [it for it in found.assumptions if "think" in it]
    assert len(said) == bool(thinking[2])
    assert found.providers[0].call.seconds.high == (15 if thinking[2] else 2)


@quick
def test_a_server_that_gives_probabilities_writes_a_token_and_does_not_think() -> None:
    found = fixed(acting("other", distributions=True))
    assert found.thinking.high == 0
    assert found.written.low == found.calls.low


@quick
def test_claude_is_forecast_without_a_key_and_with_its_thinking() -> None:
    found = forecast(spec_of(live_mind("claude:claude-haiku-5-5")), CONVERGED)
    assert found.thinking.low == 0 < found.thinking.expected
    assert found.usd is not None
    assert 0 < found.usd.low < found.usd.expected < found.usd.high


@quick
def test_a_server_that_cannot_tell_what_it_sends_is_forecast_all_the_same() -> None:
    class Silent(FakeProvider):
        @property
        def parameters(self) -> Mapping[str, Any]:
            raise MindError("mind", self.label, "there is no key", "Set one.")

    silent = Silent(label="acting", model="claude-x", max_tokens=900)
    assert fixed(silent) == fixed(acting("claude-x", max_tokens=900))


@quick
def test_dollars_are_those_of_the_tokens_thinking_included(tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('as_of = "2026-01-02"\n[claude-x]\ninput = 2\noutput = 30\n')
    server = acting("claude-x-1", free=False, max_tokens=2_048)
    found = forecast(spec_of(server), ALL_ROUNDS, 6, None, LLMSettings(prices=prices))
    assert found.usd is not None
    for usd, read, written in zip(found.usd, found.read, found.written, strict=True):
        assert usd == pytest.approx((2 * read + 30 * written) / 1e6, rel=1e-3)
    assert any("2026-01-02" in it for it in found.assumptions)
    assert fixed(server).usd is None
    assert fixed(acting("claude-x-1")).usd == NOTHING
    mixed = {LiveMind(server): 1, LiveMind(acting(label="b")): 1}
    assert fixed(mixed).usd is None
    with pytest.raises(FileFormatError):
        forecast(spec_of(server), ALL_ROUNDS, 6, None, LLMSettings(prices=tmp_path / "none.toml"))


# Time


@quick
def test_calls_that_wait_for_each_other_take_their_time() -> None:
    star = fixed(acting(free=False), graph="star(n=8)")
    assert star.chain == exactly(48)
    assert star.seconds == pytest.approx((24, 48 * 1.2, 144))
    pairs = fixed(acting(free=False), graph="complete(n=8)", pairing="matching")
    assert pairs.chain == exactly(6)


@quick
def test_calls_that_wait_for_a_place_take_their_time() -> None:
    found = forecast(spec_of(acting()), ALL_ROUNDS, 6, 50, LLMSettings(max_concurrency=10))
    assert found.seconds == pytest.approx((4_800 * 0.01, 4_800 * 0.05, 4_800 * 0.2))
    one = forecast(spec_of(acting()), ALL_ROUNDS, 6, 50, LLMSettings(max_concurrency=10_000))
    more = forecast(spec_of(acting()), ALL_ROUNDS, 6, 640, LLMSettings(max_concurrency=10_000))
    assert more.seconds.expected == pytest.approx(10 * one.seconds.expected, rel=0.3)


@quick
def test_nobody_waits_for_offline_minds_or_for_what_is_known() -> None:
    live = fixed(acting(), graph="star(n=8)")
    known = fixed(acting(distributions=True), graph="star(n=8)")
    hub: dict[Any, Any] = {node: MODEL if node else LiveMind(acting()) for node in range(8)}
    tips: dict[Any, Any] = {node: MODEL if node != 1 else LiveMind(acting()) for node in range(8)}
    assert fixed(hub, graph="star(n=8)").chain == live.chain
    assert fixed(tips, graph="star(n=8)").chain.expected < live.chain.expected / 2
    assert known.chain.expected < live.chain.expected
    many = forecast(spec_of(acting(distributions=True)), ALL_ROUNDS, 6, 5_000)
    assert many.seconds.high <= 2 * many.calls.high


# What is said


@quick
def test_a_share_of_runs_that_miss_their_goal_is_told() -> None:
    assert fixed(acting()).missed == 0
    assert forecast(spec_of(acting()), CONVERGED, 2).missed == 1
    some = forecast(spec_of(acting()), CONVERGED, 12)
    assert 0 < some.missed < 1
    assert ("runs that miss their goal", f"{some.missed:.0%}") in describe(some)


@quick
@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"budget_calls": 95}, "budget of 95 calls is probably too small: the forecast is 96"),
        ({"budget_calls": 96}, None),
        ({"budget_tokens": 100}, "budget of 100 tokens is probably too small"),
        ({"budget_tokens": 45_000}, "budget of 45,000 tokens may be too small"),
        ({"budget_tokens": 10**6}, None),
        (
            {"budget_usd": 0.0001},
            "budget of 0.0001 US dollars is probably too small: the forecast is $0",
        ),
        ({"budget_usd": 1}, None),
    ],
)
def test_a_budget_that_may_be_too_small_is_warned_of(
    budget: dict[str, Any], words: str | None
) -> None:
    server = acting("claude-haiku-4-5", free=False, parameters={"thinking": "disabled"})
    found = forecast(spec_of(server), ALL_ROUNDS, 6, None, LLMSettings(**budget))
    assert len(found.warnings) == (words is not None)
    assert words is None or words in found.warnings[0]


@quick
def test_a_budget_in_dollars_without_a_price_is_warned_of() -> None:
    server = acting("unpriced", free=False)
    found = forecast(spec_of(server), ALL_ROUNDS, 2, None, LLMSettings(budget_usd=1))
    (warning,) = found.warnings
    assert "no price for unpriced" in warning
    assert ("cost", "not known") in describe(found)


@quick
def test_a_forecast_is_rows_for_a_table_and_an_object_for_programs() -> None:
    server = acting("claude-haiku-4-5", free=False, parameters={"thinking": "disabled"})
    mixed = {LiveMind(server): 1, LiveMind(acting(label="b")): 1}
    found = forecast(spec_of(mixed), ALL_ROUNDS, 6, 2)
    rows = dict(describe(found))
    assert rows["runs"] == "2"
    assert rows["rounds a run"] == "6"
    assert rows["calls"] == "192"
    assert rows["  to b"]
    assert rows["  of b"] == "nothing"
    assert rows["  of them thinking"] == "0"
    assert re.fullmatch(r"\$[\d.]+ to \$[\d.]+ \(about \$[\d.]+\)", rows["cost"])
    assert re.fullmatch(r"[\d,]+ to [\d,]+ \(about [\d,]+\)", rows["tokens read"])
    assert "second" in rows["wall time"]
    content = json.loads(json.dumps(found.as_object()))
    assert content["calls"] == {"low": 192, "expected": 192, "high": 192}
    assert content["providers"][0]["proxy"]["name"] == "claude-3.5-sonnet"
    assert content["assumptions"]
    one = dict(describe(fixed(acting())))
    assert list(one)[:2] == ["rounds", "interactions"]


@pytest.mark.parametrize(
    ("goal", "rounds", "runs"),
    [
        (ALL_ROUNDS, None, None),
        (CONVERGED, -1, None),
        (CONVERGED, None, 0),
        (Goal("flipped"), None, None),
    ],
)
def test_what_cannot_be_played_cannot_be_forecast(
    goal: Goal, rounds: int | None, runs: int | None
) -> None:
    with pytest.raises(SpecError):
        forecast(spec_of(acting()), goal, rounds, runs)


@quick
def test_nothing_to_play_takes_nothing() -> None:
    for distributions in (True, False):
        found = fixed(acting(distributions=distributions), rounds=0)
        assert [found.calls, found.read, found.seconds] == [NOTHING] * 3
        assert dict(describe(found))["calls"] == "0"


def test_a_large_population_is_forecast_from_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = forecast(spec_of(acting(distributions=True), graph="ring(n=40)"), ALL_ROUNDS, 12)
    monkeypatch.setattr(simulation, "KEPT", 160)
    monkeypatch.setattr(simulation, "REPLAYED", {True: 100, False: 100})
    monkeypatch.setattr(simulation, "INTERACTIONS", {True: 1_000, False: 1_000})
    part = forecast(spec_of(acting(distributions=True), graph="ring(n=40)"), ALL_ROUNDS, 12)
    assert 5 <= part.simulated < 29 < whole.simulated
    assert part.chain.expected <= 1.5 * whole.chain.expected + 12
    assert part.calls.low < whole.calls.expected < part.calls.high
    assert part.read.expected == pytest.approx(whole.read.expected, rel=0.6)
