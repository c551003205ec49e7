"""The forecast of one or many runs, put together.

The runs are played with recorded minds in the place of live ones. That gives the calls. What a call
takes is known only in part; the rest is assumed, and said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from mesa_llm_norms.course import MOST, Goal, check_goal, read_rounds
from mesa_llm_norms.forecast.per_call import assumed, tokens_of
from mesa_llm_norms.forecast.ranges import (
    NOTHING,
    RESAMPLES,
    Range,
    generator,
    next_of,
    sum_of,
    sum_up,
)
from mesa_llm_norms.forecast.remarks import assumptions, warnings
from mesa_llm_norms.forecast.repeats import different, possible
from mesa_llm_norms.forecast.result import Forecast, ServerForecast
from mesa_llm_norms.forecast.simulation import Simulation, simulate
from mesa_llm_norms.forecast.stand_ins import nearest
from mesa_llm_norms.game import Game, read_whole
from mesa_llm_norms.minds.live import Calls, LiveMind, Server
from mesa_llm_norms.minds.live.llama import LlamaServer
from mesa_llm_norms.minds.live.prices import FREE, Price, read_prices
from mesa_llm_norms.minds.live.server import Usage
from mesa_llm_norms.side_by_side import AT_ONCE
from mesa_llm_norms.spec import Spec

AHEAD = Range(0.0, 1.0, 1.5)
"""How many times as many calls are made beyond the end of a run as if all took equally long."""


def forecast(
    spec: Spec,
    goal: Goal,
    rounds: int | None = None,
    runs: int | None = None,
    calls: Calls | None = None,
) -> Forecast:
    """Return what it takes to play a spec to its goal: one run, or as many as ``runs`` says.

    Each live mind is stood in for by the nearest recorded one; nothing is asked of a server. What a
    server can do counts as far as it is known: ``await server.prepare()`` first to know more. The
    same spec gives the same forecast.

    Raises ``SpecError`` where the runs themselves would, ``FileFormatError`` for a file of prices.
    """
    calls = calls or Calls()
    most = read_rounds(rounds, goal.until)
    number = 1 if runs is None else read_whole("runs", runs, 1, MOST)
    check_goal(goal, spec.committed_names)
    prices = read_prices(calls.prices)
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
        _of_server(
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
        seconds=_seconds(simulation, parts, number, calls.max_concurrency),
        servers=parts,
    )
    return replace(
        found,
        assumptions=tuple(assumptions(found, prices.as_of)),
        warnings=tuple(warnings(found, calls)),
    )


def _answers_once(server: Server, pool: Sequence[str]) -> bool | None:
    """Return whether a server answers equal prompts once, None where that is to be found out."""
    if isinstance(server, LlamaServer) and server.abilities is None:
        return None
    return server.gives_distributions(pool)


def _of_server(
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
