"""The forecast of one or many runs, and what it assumes.

The runs are played with recorded minds in the place of live ones, which gives the calls. What a
call takes is known only in part; the rest is assumed, and said. Nothing here calls a provider.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.formatting import about, dollars, spread
from mesa_llm_norms.core.game import Game, GameRules
from mesa_llm_norms.core.limits import read_whole
from mesa_llm_norms.core.stopping import Goal, check_goal, read_rounds
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.experiments.cost_forecast.result import (
    NOTHING,
    Forecast,
    PerCall,
    ProviderForecast,
    Proxy,
    Range,
    sum_costs,
    sum_up,
)
from mesa_llm_norms.experiments.cost_forecast.simulation import (
    LLAMAS,
    Simulation,
    nearest,
    simulate,
)
from mesa_llm_norms.llm.budget import FREE, Price, read_prices
from mesa_llm_norms.llm.openai_compatible import OpenAICompatibleProvider
from mesa_llm_norms.llm.provider import LiveMind, Provider, Usage
from mesa_llm_norms.llm.settings import LLMSettings, read_llm
from mesa_llm_norms.minds.policies import UniformMind
from mesa_llm_norms.simulation.backends import LIVE_RUNS_AT_ONCE
from mesa_llm_norms.simulation.spec import Spec

Values = NDArray[np.float64]

AHEAD = Range(0.0, 1.0, 1.5)
"""How many times as many calls are made beyond the end of a run as if all took equally long."""

SUBSETS = 40
"""How many subsets of the runs of each size are looked at, to see how many prompts differ."""

QUANTILES = (0.1, 0.5, 0.9)

RESAMPLES = 999

_SEED = 20251

BYTES_PER_TOKEN = Range(3.0, 3.8, 4.5)

ADDED = Range(0, 100, 300)
"""Tokens read beside the prompt: the schema, and the marks of a chat."""

ANSWER = Range(5, 10, 25)
"""Tokens written for a name, bare or as JSON."""

FIRST_TOKEN = Range(1, 1, 25)
"""Where the probabilities of the first token are all that is wanted."""

THINKING = Range(50, 200, 800)
"""Tokens of thinking, where there is any."""

OFF = ("disabled", "between_tools")
"""The values of a provider's parameter ``thinking`` that keep a model from it."""

SECONDS = Range(0.5, 1.2, 3.0)

OWN_SECONDS = Range(0.1, 0.5, 2.0)
"""The same for a provider that costs nothing, which is nearly always near."""

THINKING_SECONDS = Range(2.0, 5.0, 15.0)


def forecast(
    spec: Spec,
    goal: Goal = Goal(),  # noqa: B008
    rounds: int | None = None,
    runs: int | None = None,
    llm: LLMSettings | None = None,
) -> Forecast:
    """Forecast what it takes to play a spec to its goal, before a provider is called.

    Each live mind is replaced by the nearest recorded one, or by ``uniform`` in games other than
    the naming game. What a provider can do counts as far as
    it is known: ``await provider.prepare()`` first to know more. The same spec gives the same
    forecast.

    Parameters
    ----------
    spec : Spec
        What is to be played.
    goal : Goal
        When a run ends (default: after ``rounds``).
    rounds : int, optional
        The most population rounds of a run (default: as ``run_ensemble`` has it).
    runs : int, optional
        How many runs (default 1).
    llm : LLMSettings, optional
        How calls will be made: concurrency, budgets and prices.

    Returns
    -------
    Forecast
        Interactions, calls, tokens, dollars and seconds, and what they rest on.

    Raises
    ------
    SpecError
        Where the runs themselves would raise it.
    FileFormatError
        For a file of prices that cannot be read.
    """
    llm = read_llm(llm)
    most = read_rounds(rounds, goal.until)
    number = 1 if runs is None else read_whole("runs", runs, limits.RUNS)
    check_goal(goal, spec.committed_names)
    prices = read_prices(llm.prices)
    minds = [mind for mind in spec.minds if isinstance(mind, LiveMind)]
    providers = list({mind.provider.label: mind.provider for mind in minds}.values())
    once = {it.label: _answers_once(it, spec.game.pool) for it in providers}
    simulation = simulate(
        spec,
        goal,
        most,
        {label for label, does in once.items() if does},
        {label for label, does in once.items() if does is not False},
    )
    parts = tuple(
        _provider_forecast(
            [mind for mind in minds if mind.provider.label == it.label],
            once[it.label],
            simulation,
            spec.game,
            len(spec.personas),
            number,
            prices.of(it.model),
        )
        for it in providers
    )
    found = Forecast(
        runs=number,
        simulated=simulation.runs,
        missed=1 - simulation.reached / simulation.runs if goal.until is not None else 0.0,
        interactions=next_of(simulation.interactions),
        rounds=next_of(simulation.rounds),
        chain=next_of(simulation.interactions * simulation.chain_rate),
        calls=sum_up(part.calls for part in parts),
        read=sum_up(part.read for part in parts),
        written=sum_up(part.written for part in parts),
        thinking=sum_up(part.thinking for part in parts),
        usd=sum_costs([part.usd for part in parts]),
        seconds=_seconds(simulation, parts, number, llm.max_concurrency),
        providers=parts,
    )
    return replace(
        found,
        assumptions=tuple(_assumptions(found, prices.as_of)),
        warnings=tuple(_warnings(found, llm)),
    )


def _answers_once(provider: Provider, pool: Sequence[str]) -> bool | None:
    """Return whether equal prompts are answered only once, None where that is not known yet."""
    if isinstance(provider, OpenAICompatibleProvider) and provider.capabilities is None:
        return None
    return provider.gives_distributions(pool)


def _provider_forecast(
    minds: Sequence[LiveMind],
    once: bool | None,
    simulation: Simulation,
    game: GameRules,
    personas: int,
    runs: int,
    price: Price | None,
) -> ProviderForecast:
    """Return what the provider of these minds will be asked in all runs."""
    provider = minds[0].provider
    per_interaction, beyond = simulation.load(provider.label)
    decisions = sum_of(simulation.interactions, runs).times(per_interaction)
    calls = decisions.plus(AHEAD.times(beyond * runs))
    asked = simulation.asked(provider.label)
    if once is not False:
        distinct = different([it.prompts for it in asked], decisions)
        distinct = distinct.at_most(len(minds) * _possible(game, personas))
        calls = distinct if once else calls._replace(low=distinct.low)
    sizes = [
        size
        for it in asked
        for size in (dict(zip(it.prompts, it.sizes, strict=True)).values() if once else it.sizes)
    ]
    call = assumed(provider, bool(once))
    proxy = nearest(provider.model)
    if not isinstance(game, Game):
        proxy = Proxy(UniformMind.label, alike=False)
    read = calls.times(tokens_of(float(np.mean(sizes)))) if sizes else NOTHING
    written = calls.times(call.written)
    return ProviderForecast(
        provider=provider.label,
        model=provider.model,
        proxy=proxy,
        once=once,
        call=call,
        calls=calls,
        read=read,
        written=written,
        thinking=calls.times(call.thinking),
        usd=cost_of(provider, price, read, written),
    )


def _seconds(
    simulation: Simulation, parts: Sequence[ProviderForecast], runs: int, slots: int
) -> Range:
    """Return how long all runs take: as long as calls wait for each other, or for a slot."""
    asked = [part for part in parts if part.calls.high]
    if not asked:
        return NOTHING
    low, expected, high = zip(*(part.call.seconds for part in asked), strict=True)
    waits = _waits(simulation, runs).at_most(sum_up(part.calls for part in asked))
    if any(part.once is None for part in asked):
        waits = waits._replace(low=0.0)
    # Of the two calls of an interaction, the slower one counts.
    seconds = waits.times(Range(min(low), max(expected), max(high)))
    for part in asked:
        seconds = seconds.at_least(part.calls.times(part.call.seconds).times(1 / slots))
    return seconds


def _waits(simulation: Simulation, runs: int) -> Range:
    """Return how many sequential calls all runs take, some of them side by side."""
    chains = simulation.interactions * simulation.chain_rate
    if runs == 1 or not simulation.chain_rate:
        return next_of(chains)
    side = min(runs, LIVE_RUNS_AT_ONCE)
    longest = _generator().choice(chains, (RESAMPLES, side)).max(axis=1)
    later = (runs - side) / side * simulation.later_rate / simulation.chain_rate
    return next_of(np.maximum(longest, chains.mean() * (1 + later)))


def assumed(provider: Provider, once: bool) -> PerCall:
    """Return what a call to a provider takes; ``once`` if its replies are distributions."""
    answer = FIRST_TOKEN if once else ANSWER
    thinking = NOTHING if once else _thinking(provider)
    quick = OWN_SECONDS if provider.free else SECONDS
    seconds = Range(
        *(
            slow if tokens else plain
            for plain, slow, tokens in zip(quick, THINKING_SECONDS, thinking, strict=True)
        )
    )
    most = provider.max_tokens
    return PerCall(answer.at_most(most), thinking.at_most(most), most, seconds)


def tokens_of(size: float) -> Range:
    """Return the tokens read in a call, given the bytes of its prompt."""
    most, middle, least = (size / each for each in BYTES_PER_TOKEN)
    return Range(least, middle, most).plus(ADDED)


def _thinking(provider: Provider) -> Range:
    parameters, proxy = _parameters(provider), nearest(provider.model)
    if parameters.get("thinking") in OFF or (proxy.alike and proxy.name in LLAMAS.values()):
        return NOTHING
    if "effort" in parameters or "thinks" in parameters:
        return THINKING
    # Not known; a call that leaves no room for thinking expects none.
    middle = THINKING.expected if provider.max_tokens >= THINKING.high else 0.0
    return Range(0.0, middle, THINKING.high)


def _parameters(provider: Provider) -> Mapping[str, Any]:
    """Return the parameters of a call, none where the provider cannot tell without a key."""
    try:
        return provider.parameters
    except MindError:
        return {}


def cost_of(provider: Provider, price: Price | None, read: Range, written: Range) -> Range | None:
    """Return what tokens cost in US dollars, None where the price is not known."""
    if price is None:
        if not provider.free:
            return None
        price = FREE
    used = (Usage(round(r), round(w)) for r, w in zip(read, written, strict=True))
    return Range(*map(price.cost, used))


def next_of(values: Any) -> Range:
    """Return the range of one more value, given independent ones like it.

    By Weibull's plotting positions (1939): of n values, the next is below the k-th with probability
    k / (n + 1), whatever they are distributed like.
    """
    return Range(*np.quantile(values, QUANTILES, method="weibull").tolist())


def sum_of(values: Values, number: int) -> Range:
    """Return the range of the sum of more values, given independent ones like them.

    What they are distributed like is itself uncertain: each resample weighs the values anew, by the
    Bayesian bootstrap (Rubin, Ann. Stat. 9, 130, 1981), before it draws from them.
    """
    if number == 1:
        return next_of(values)
    chance = _generator()
    weights = chance.dirichlet(np.ones(len(values)), RESAMPLES)
    return next_of(chance.multinomial(number, weights) @ values)


def _generator() -> np.random.Generator:
    """Return a generator for resampling, always the same, so that a forecast is too."""
    return np.random.default_rng(_SEED)


def different(runs: Sequence[Sequence[int]], decisions: Range) -> Range:
    """Return how many different prompts decisions have, given those of some runs.

    Prompts are numbers, equal for equal ones. How the count grows from one of the runs to all of
    them is counted. Beyond, it grows no faster than it did from half of them to all (Heaps' law),
    and no slower than those that were met once say (Chao, Scand. J. Stat. 11, 265, 1984, with
    Colwell et al., J. Plant Ecol. 5, 3, 2012); the middle is the geometric mean of both.
    """
    runs = [run for run in runs if run]
    met = [prompt for run in runs for prompt in run]
    if len(met) < 2:
        return decisions
    growth = _growth(runs)
    low, expected, high = (_at(growth, number) for number in decisions)
    if decisions.expected > len(met):
        expected = math.sqrt(expected * _least(met, decisions.expected))
    if decisions.low > len(met):
        low = _least(met, decisions.low)
    # Where nothing new is to come, the three are one number but for the last bit.
    return Range(*sorted(round(each, 6) for each in (low, expected, high))).at_most(decisions)


def _possible(game: GameRules, personas: int) -> float:
    """Return how many different prompts there can be: memories, names in any order, personas."""
    if game.seats is None:
        return math.inf
    pairs = int(len(game.pool) ** game.seats * (1 if game.symmetric else game.seats))
    memories: int = sum(pairs**length for length in range(game.memory + 1))
    return memories * math.factorial(len(game.pool)) * personas


def _growth(runs: Sequence[Sequence[int]]) -> Values:
    """Return two rows of logarithms: how many prompts subsets have, and how many different ones.

    The columns are subsets of more and more runs, the means over random ones of that size.
    """
    if len(runs) == 1:
        runs = [runs[0][: len(runs[0]) // 2], runs[0][len(runs[0]) // 2 :]]
    half = len(runs) // 2
    chance = _generator()
    points = []
    for size in sorted({2**power for power in range(half.bit_length())} | {half, len(runs)}):
        choices = [chance.permutation(len(runs))[:size].tolist() for _ in range(SUBSETS)]
        some = [[prompt for place in places for prompt in runs[place]] for places in choices]
        points.append((np.mean([*map(len, some)]), np.mean([len(set(each)) for each in some])))
    rows: Values = np.log(np.array(points).T)
    return rows


def _at(growth: Values, number: float) -> float:
    """Return how many of a number of prompts differ, extrapolating the growth at both ends."""
    if not number:
        return 0.0
    x, y = growth
    here = math.log(number)
    place = min(max(int(np.searchsorted(x, here)), 1), len(x) - 1)
    slope = float((y[place] - y[place - 1]) / (x[place] - x[place - 1]))
    return math.exp(float(y[place]) + slope * (here - float(x[place])))


def _least(met: Sequence[int], number: float) -> float:
    """Return how many prompts differ at least, of a number larger than were met."""
    size, known = len(met), len(set(met))
    times = Counter(Counter(met).values())
    # One standard deviation less than were met once: few tell little, and the least is wanted.
    once, twice = times[1] - math.sqrt(times[1]), times[2]
    unmet = once * max(0.0, once - 1) / (2 * (twice + 1))
    if not unmet:
        return known
    still_unmet = math.pow(1 - once / (size * unmet + once), number - size)
    return known + unmet * (1 - still_unmet)


def _assumptions(found: Forecast, prices_as_of: str) -> Iterator[str]:
    """Yield what is assumed, a sentence each."""
    if not found.providers:
        return
    for part in found.providers:
        yield from _of_provider(part)
    yield (
        f"The game was simulated {found.simulated} times. Of what chance decides, one case in ten "
        "is below a range and one in ten above it."
    )
    yield (
        f"A token is {BYTES_PER_TOKEN.low:g} to {BYTES_PER_TOKEN.high:g} bytes of a prompt, and a "
        f"provider reads up to {ADDED.high:.0f} more a call, for a schema and the like."
    )
    yield (
        "Speculative interactions beyond the end of a run are counted. Calls that fail and "
        "replies that cannot be used, which are retried, are not."
    )
    if found.usd is None or found.usd.high:
        yield f"Prices are those of {prices_as_of}, without any discount for cached prompts."


def _of_provider(part: ProviderForecast) -> Iterator[str]:
    name, alike = part.proxy
    kind = "" if alike else ", for want of a recording of its kind"
    if name == UniformMind.label:
        yield (
            f"{part.provider} is assumed to make every move equally often, since no mind was "
            "recorded in this game."
        )
    else:
        yield f"{part.provider} is assumed to play like the recorded {name}{kind}."
    if part.once:
        yield f"{part.provider} gives probabilities, so equal prompts of all runs are one call."
    if part.once is None:
        yield (
            f"Whether {part.provider} gives probabilities is not known before it is asked: if it "
            "does, equal prompts of all runs are one call; if not, each decision is one."
        )
    answer = part.call.answer
    yield (
        f"A reply of {part.provider} is {_from(answer)} tokens and takes "
        f"{part.call.seconds.low:g} to {part.call.seconds.high:g} seconds."
    )
    thinking = part.call.thinking
    if thinking.low:
        yield f"{part.provider} always thinks before it answers: {_from(thinking)} tokens a call."
    elif thinking.high:
        yield (
            f"Whether {part.provider} thinks before it answers is not known: "
            f"{_from(thinking)} tokens a call."
        )


def _from(tokens: Range) -> str:
    return f"{tokens.low:.0f} to {tokens.high:,.0f}"


def _warnings(found: Forecast, llm: LLMSettings) -> Iterator[str]:
    """Yield why the runs may not be finished, a sentence each."""
    needs: tuple[tuple[str, float | None, Range | None], ...] = (
        ("calls", llm.budget_calls, found.calls),
        ("tokens", llm.budget_tokens, found.read.plus(found.written)),
        ("US dollars", llm.budget_usd, found.usd),
    )
    for unit, budget, need in needs:
        if budget is None:
            continue
        if need is None:
            without = ", ".join(part.model for part in found.providers if part.usd is None)
            yield (
                f"There is no price for {without}, so a budget in dollars cannot be kept: give "
                "a price in a file (prices=, --prices), or a budget in tokens."
            )
        elif budget < need.high:
            write = dollars if unit == "US dollars" else about
            likely = "is probably too small" if budget < need.expected else "may be too small"
            yield (
                f"The budget of {budget:,.6g} {unit} {likely}: the forecast is "
                f"{spread(need, write)}."
            )
