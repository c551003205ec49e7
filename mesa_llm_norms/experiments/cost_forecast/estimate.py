"""How many different prompts there are: what a server is asked that answers each but once.

What a forecast rests on, and what speaks against beginning: sentences for whoever will pay.

The forecast of one or many runs, put together.

The runs are played with recorded minds in the place of live ones. That gives the calls. What a call
takes is known only in part; the rest is assumed, and said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from mesa_llm_norms.core.game import Game
from mesa_llm_norms.core.stopping import MOST, Goal, check_goal, read_rounds
from mesa_llm_norms.experiments.cost_forecast.result import (
    ADDED,
    BYTES_PER_TOKEN,
    NOTHING,
    RESAMPLES,
    Forecast,
    Range,
    ServerForecast,
    Values,
    assumed,
    count,
    dollars,
    generator,
    in_words,
    nearest,
    next_of,
    sum_of,
    sum_up,
    tokens_of,
)
from mesa_llm_norms.experiments.cost_forecast.simulation import Simulation, simulate
from mesa_llm_norms.llm.budget import FREE, Price, read_prices
from mesa_llm_norms.llm.mind import LiveMind
from mesa_llm_norms.llm.openai_compatible import OpenAICompatibleProvider
from mesa_llm_norms.llm.provider import Provider, Usage
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.simulation.ensemble import AT_ONCE
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.validation import read_whole

SUBSETS = 40
"""How many choices of so many of the runs are looked at."""


def different(runs: Sequence[Sequence[int]], decisions: Range) -> Range:
    """Return how many different prompts so many decisions have, given the prompts of some runs.

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


def possible(game: Game) -> int:
    """Return how many different prompts there can be: memories, with names in any order."""
    pairs = len(game.pool) ** 2
    memories: int = sum(pairs**length for length in range(game.memory + 1))
    return memories * math.factorial(len(game.pool))


def _growth(runs: Sequence[Sequence[int]]) -> Values:
    """Return how many prompts some of the runs have, and how many different ones: for more and more
    runs, the means over choices of so many. Two rows of logarithms.
    """
    if len(runs) == 1:
        runs = [runs[0][: len(runs[0]) // 2], runs[0][len(runs[0]) // 2 :]]
    half = len(runs) // 2
    chance = generator()
    points = []
    for size in sorted({2**power for power in range(half.bit_length())} | {half, len(runs)}):
        choices = [chance.permutation(len(runs))[:size].tolist() for _ in range(SUBSETS)]
        some = [[prompt for place in places for prompt in runs[place]] for places in choices]
        points.append((np.mean([*map(len, some)]), np.mean([len(set(each)) for each in some])))
    rows: Values = np.log(np.array(points).T)
    return rows


def _at(growth: Values, number: float) -> float:
    """Return how many different prompts so many have; at both ends growth goes on as it was."""
    if not number:
        return 0.0
    x, y = growth
    here = math.log(number)
    place = min(max(int(np.searchsorted(x, here)), 1), len(x) - 1)
    slope = float((y[place] - y[place - 1]) / (x[place] - x[place - 1]))
    return math.exp(float(y[place]) + slope * (here - float(x[place])))


def _least(met: Sequence[int], number: float) -> float:
    """Return how many different prompts so many have at least, more than were met."""
    size, known = len(met), len(set(met))
    times = Counter(Counter(met).values())
    # One standard deviation less than were met once: few tell little, and the least is wanted.
    once, twice = times[1] - math.sqrt(times[1]), times[2]
    unmet = once * max(0.0, once - 1) / (2 * (twice + 1))
    if not unmet:
        return known
    still_unmet = math.pow(1 - once / (size * unmet + once), number - size)
    return known + unmet * (1 - still_unmet)


def assumptions(found: Forecast, prices_as_of: str) -> Iterator[str]:
    """Yield what is assumed, a sentence each."""
    if not found.servers:
        return
    for part in found.servers:
        yield from _of_server(part)
    yield (
        f"The game was played {found.simulated} times so. Of what chance decides, one case in ten "
        "is below a range and one in ten above it."
    )
    yield (
        f"A token is {BYTES_PER_TOKEN.low:g} to {BYTES_PER_TOKEN.high:g} bytes of a prompt, and a "
        f"server reads up to {ADDED.high:.0f} more a call, for a schema and the like."
    )
    yield (
        "Interactions are begun before their turn, and those beyond the end of a run count too. "
        "Calls that fail and replies of no use, which are asked for again, do not."
    )
    if found.usd is None or found.usd.high:
        yield f"Prices are those of {prices_as_of}, and nothing is read from a server's cache."


def _of_server(part: ServerForecast) -> Iterator[str]:
    name, alike = part.stand_in
    kind = "" if alike else ", for want of a recording of its kind"
    yield f"{part.server} is taken to play as {name} was recorded to{kind}."
    if part.once:
        yield f"{part.server} gives probabilities, so that equal prompts of all runs are one call."
    if part.once is None:
        yield (
            f"Whether {part.server} gives probabilities is not known before it is asked: if so, "
            "equal prompts of all runs are one call; if not, each decision is."
        )
    answer = part.call.answer
    yield (
        f"A reply of {part.server} is {_from(answer)} tokens and takes "
        f"{part.call.seconds.low:g} to {part.call.seconds.high:g} seconds."
    )
    thinking = part.call.thinking
    if thinking.low:
        yield f"{part.server} cannot be kept from thinking: {_from(thinking)} tokens a call."
    elif thinking.high:
        yield (
            f"Whether {part.server} thinks before it answers is not known: "
            f"{_from(thinking)} tokens a call."
        )


def _from(tokens: Range) -> str:
    return f"{tokens.low:.0f} to {tokens.high:,.0f}"


def warnings(found: Forecast, llm: LLMSettings) -> Iterator[str]:
    """Yield why the runs may not come to their end, a sentence each."""
    needs: tuple[tuple[str, float | None, Range | None], ...] = (
        ("calls", llm.budget_calls, found.calls),
        ("tokens", llm.budget_tokens, found.read.plus(found.written)),
        ("US dollars", llm.budget_usd, found.usd),
    )
    for unit, budget, need in needs:
        if budget is None:
            continue
        if need is None:
            without = ", ".join(part.model for part in found.servers if part.usd is None)
            yield (
                f"There is no price for {without}, and so no keeping to a budget in dollars: give "
                "one in a file (prices=, --prices), or a budget in tokens."
            )
        elif budget < need.high:
            write = dollars if unit == "US dollars" else count
            likely = "will hardly do" if budget < need.expected else "may not do"
            yield (
                f"The budget of {budget:,.6g} {unit} {likely}: the forecast is "
                f"{in_words(need, write)}."
            )


AHEAD = Range(0.0, 1.0, 1.5)
"""How many times as many calls are made beyond the end of a run as if all took equally long."""


def forecast(
    spec: Spec,
    goal: Goal,
    rounds: int | None = None,
    runs: int | None = None,
    llm: LLMSettings | None = None,
) -> Forecast:
    """Return what it takes to play a spec to its goal: one run, or as many as ``runs`` says.

    Each live mind is stood in for by the nearest recorded one; nothing is asked of a server. What a
    server can do counts as far as it is known: ``await server.prepare()`` first to know more. The
    same spec gives the same forecast.

    Raises ``SpecError`` where the runs themselves would, ``FileFormatError`` for a file of prices.
    """
    llm = llm or LLMSettings()
    most = read_rounds(rounds, goal.until)
    number = 1 if runs is None else read_whole("runs", runs, 1, MOST)
    check_goal(goal, spec.committed_names)
    prices = read_prices(llm.prices)
    minds = [mind for mind in spec.minds if isinstance(mind, LiveMind)]
    servers = list({mind.server.label: mind.server for mind in minds}.values())
    once = {it.label: _answers_once(it, spec.game.pool) for it in servers}
    simulation = simulate(
        spec,
        goal,
        most,
        {label for label, does in once.items() if does},
        {label for label, does in once.items() if does is not False},
    )
    parts = tuple(
        _server_forecast(
            [mind for mind in minds if mind.server.label == it.label],
            once[it.label],
            simulation,
            spec.game,
            number,
            prices.of(it.model),
        )
        for it in servers
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
        usd=_dollars(parts),
        seconds=_seconds(simulation, parts, number, llm.max_concurrency),
        servers=parts,
    )
    return replace(
        found,
        assumptions=tuple(assumptions(found, prices.as_of)),
        warnings=tuple(warnings(found, llm)),
    )


def _answers_once(server: Provider, pool: Sequence[str]) -> bool | None:
    """Return whether a server answers equal prompts once, None where that is to be found out."""
    if isinstance(server, OpenAICompatibleProvider) and server.abilities is None:
        return None
    return server.gives_distributions(pool)


def _server_forecast(
    minds: Sequence[LiveMind],
    once: bool | None,
    simulation: Simulation,
    game: Game,
    runs: int,
    price: Price | None,
) -> ServerForecast:
    """Return what the server of these minds will be asked in all runs."""
    server = minds[0].server
    per_interaction, beyond = simulation.load(server.label)
    decisions = sum_of(simulation.interactions, runs).times(per_interaction)
    calls = decisions.plus(AHEAD.times(beyond * runs))
    asked = simulation.asked(server.label)
    if once is not False:
        distinct = different([it.prompts for it in asked], decisions)
        distinct = distinct.at_most(len(minds) * possible(game))
        calls = distinct if once else calls._replace(low=distinct.low)
    sizes = [
        size
        for it in asked
        for size in (dict(zip(it.prompts, it.sizes, strict=True)).values() if once else it.sizes)
    ]
    call = assumed(server, bool(once))
    read = calls.times(tokens_of(float(np.mean(sizes)))) if sizes else NOTHING
    written = calls.times(call.written)
    if price is None and server.free:
        price = FREE
    usd = None
    if price is not None:
        used = (Usage(round(r), round(w)) for r, w in zip(read, written, strict=True))
        usd = Range(*map(price.cost, used))
    return ServerForecast(
        server=server.label,
        model=server.model,
        stand_in=nearest(server.model),
        once=once,
        call=call,
        calls=calls,
        read=read,
        written=written,
        thinking=calls.times(call.thinking),
        usd=usd,
    )


def _dollars(parts: Iterable[ServerForecast]) -> Range | None:
    costs = [part.usd for part in parts]
    known = [usd for usd in costs if usd is not None]
    return sum_up(known) if len(known) == len(costs) else None


def _seconds(
    simulation: Simulation, parts: Sequence[ServerForecast], runs: int, places: int
) -> Range:
    """Return how long all runs take: as long as calls wait for each other, or for a place."""
    asked = [part for part in parts if part.calls.high]
    if not asked:
        return NOTHING
    low, expected, high = zip(*(part.call.seconds for part in asked), strict=True)
    waits = _waits(simulation, runs).at_most(sum_up(part.calls for part in asked))
    if any(part.once is None for part in asked):
        waits = waits._replace(low=0.0)
    # Of two who meet, the slower one counts.
    seconds = waits.times(Range(min(low), max(expected), max(high)))
    for part in asked:
        seconds = seconds.at_least(part.calls.times(part.call.seconds).times(1 / places))
    return seconds


def _waits(simulation: Simulation, runs: int) -> Range:
    """Return how many calls after one another all runs take, so many of them side by side."""
    chains = simulation.interactions * simulation.chain_rate
    if runs == 1 or not simulation.chain_rate:
        return next_of(chains)
    side = min(runs, AT_ONCE)
    longest = generator().choice(chains, (RESAMPLES, side)).max(axis=1)
    later = (runs - side) / side * simulation.later_rate / simulation.chain_rate
    return next_of(np.maximum(longest, chains.mean() * (1 + later)))
