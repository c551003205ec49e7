"""How close live runs come to the shortest time they can take, and what that costs in processor.

``python -m benchmarks.concurrency`` prints one JSON object per line. The first four play 15 rounds
with a model that takes 100 ms for every call::

    case           the network
    what           "engine": a mind that waits, so planning and order alone; "session": a live mind,
                   with prompts, slots, budget and the journal on disk too
    interactions   how many were played, two calls each
    chain          the longest chain of interactions of which each waits for the one before
    seconds        how long it took
    reference      chain times 100 ms: no order of calls could be quicker
    ratio          seconds / reference
    sequential     seconds that one call after the other takes
    target, met    the ratio asked for, and whether it is kept

All calls take equally long, so they end in bursts, which is the hardest case: what each takes of
the processor, those behind it wait for. The last line keeps 200 calls of one run under way, and
measures processor time::

    calls          how many were made
    cpu_ms         processor milliseconds for each: planning, prompts, slots, budget, journal
    reference      the same for bare calls, nothing but the wait
    target, met    the milliseconds asked for

The model answers in this process: an SDK and a connection come on top, and are not ours to change.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mesa_llm_norms.llm.client import LLMClient
from mesa_llm_norms.llm.provider import LiveMind, Usage
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Decision, Mind, Situation
from mesa_llm_norms.simulation.ensemble import start_run
from mesa_llm_norms.simulation.pipeline import plan_rounds
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.testing import FakeProvider

LATENCY = 0.1
ROUNDS = 15
RATIO = 1.10
CPU_MS = 2.0
CASES = ("complete(n=24)", "watts_strogatz(n=200, k=4, p=0.1)")
CROWD = "random_regular(n=600, d=4)"
AT_ONCE = 200


class Patient(Mind):
    """Takes ``LATENCY`` seconds for a name that follows from the draw."""

    label = "patient"

    async def decide(self, situation: Situation) -> Decision:
        await asyncio.sleep(LATENCY)
        return Decision(situation.game.pool[situation.draw % len(situation.game.pool)])


def waiting() -> LiveMind:
    """Return a mind answered after ``LATENCY`` seconds by a name that follows from the seed."""
    return FakeProvider(
        lambda question, _: question.pool[question.seed % len(question.pool)],
        delay=LATENCY,
        usage=Usage(200, 5),
        label="waiting:model",
        max_tokens=16,
    ).mind()


def longest_chain(spec: Spec, rounds: int) -> int:
    """Return the length of the longest chain of interactions that share agents."""
    initial = spec.initial_state()
    depth = [0] * len(initial.neighbors)
    planned = plan_rounds(initial.pairing, initial.neighbors, initial.stream, 0, 0, rounds)
    for it in planned:
        a, b = it.nodes
        depth[a] = depth[b] = max(depth[a], depth[b]) + 1
    return max(depth)


def play(spec: Spec, rounds: int, at_once: int) -> tuple[int, float, float]:
    """Play so many rounds; return the interactions, the seconds, and those of the processor."""
    with tempfile.TemporaryDirectory() as folder:
        calls = LLMSettings(folder=Path(folder) / "run", max_concurrency=at_once)
        client = LLMClient(calls) if spec.live else None
        game_run = start_run(spec, spec.initial_state(), "python", client)
        cpu, start = time.process_time(), time.perf_counter()
        game_run.play(rounds, keep=False)
        taken, used = time.perf_counter() - start, time.process_time() - cpu
        if client is not None:
            client.close()
    return game_run.interactions, taken, used


def bare(calls: int, at_once: int) -> float:
    """Return the processor seconds that as many waits take, so many at once."""

    async def wait(slots: asyncio.Semaphore) -> None:
        async with slots:
            await asyncio.sleep(LATENCY)

    async def all_of_them() -> None:
        slots = asyncio.Semaphore(at_once)
        await asyncio.gather(*(wait(slots) for _ in range(calls)))

    before = time.process_time()
    asyncio.run(all_of_them())
    return time.process_time() - before


def chain_case(graph: str, what: str) -> dict[str, Any]:
    """Return the line of one network, with the engine alone or a whole session."""
    mind = Patient() if what == "engine" else waiting()
    spec = Spec(graph=graph, names="QM", mind=mind, seed=1)
    chain = longest_chain(spec, ROUNDS)
    played, seconds, _ = play(spec, ROUNDS, 1_000)
    return {
        "case": f"{graph}, {ROUNDS} rounds",
        "what": what,
        "interactions": played,
        "chain": chain,
        "seconds": round(seconds, 3),
        "reference": round(chain * LATENCY, 3),
        "ratio": round(seconds / (chain * LATENCY), 3),
        "sequential": round(2 * played * LATENCY, 1),
        "target": RATIO,
        "met": seconds <= RATIO * chain * LATENCY,
    }


def cpu_case() -> dict[str, Any]:
    """Return the line of the processor time."""
    spec = Spec(graph=CROWD, names="QM", mind=waiting(), seed=1)
    played, _, cpu = play(spec, 6, AT_ONCE)
    calls = 2 * played
    each = cpu * 1_000 / calls
    return {
        "case": f"{AT_ONCE} calls at once, {CROWD}",
        "calls": calls,
        "cpu_ms": round(each, 3),
        "reference": round(bare(calls, AT_ONCE) * 1_000 / calls, 3),
        "target": CPU_MS,
        "met": each < CPU_MS,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concurrency", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.parse_args(arguments)
    for what in ("engine", "session"):
        for graph in CASES:
            print(json.dumps(chain_case(graph, what)), flush=True)
    print(json.dumps(cpu_case()), flush=True)


if __name__ == "__main__":
    main()
