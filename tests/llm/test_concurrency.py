"""Slots for calls: never more than allowed, fewer when the API asks for that."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms.llm.concurrency import Limiter


@settings(max_examples=60)
@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["ok", "429", "cancel"])), max_size=40),
)
def test_no_more_calls_than_there_are_slots_and_no_slot_is_lost(
    most: int, calls: list[tuple[int, str]]
) -> None:
    async def main() -> None:
        limiter = Limiter(most)

        async def call(turns: int, how: str) -> None:
            async with limiter.slot() as place:
                assert limiter.busy <= most
                for _ in range(turns):
                    await asyncio.sleep(0)
                if how == "429":
                    limiter.too_many(place)
                else:
                    limiter.succeeded()

        tasks = [asyncio.create_task(call(*one)) for one in calls]
        await asyncio.sleep(0)
        for task, (_, how) in zip(tasks, calls, strict=True):
            if how == "cancel":
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.busy == 0
        assert 1 <= limiter.limit <= most
        assert limiter.most_at_once <= most

    asyncio.run(main())


def test_a_burst_of_refusals_halves_once_and_replies_win_slots_back_slowly() -> None:
    async def main() -> None:
        limiter = Limiter(16)
        async with limiter.slot() as one, limiter.slot() as other:
            limiter.too_many(one)
            limiter.too_many(other)
        assert limiter.limit == 8
        limiter.succeeded()
        async with limiter.slot() as later:
            limiter.too_many(later)
        assert 4 < limiter.limit < 4.1
        for _ in range(4):
            limiter.succeeded()
        assert 4.8 < limiter.limit <= 5.1
        for _ in range(1_000):
            limiter.succeeded()
        assert limiter.limit == 16

    asyncio.run(main())


def test_after_refusals_without_a_reply_in_between_half_of_the_slots_come_back_at_once() -> None:
    async def main() -> None:
        limiter = Limiter(32)
        for _ in range(40):
            async with limiter.slot() as halved:
                limiter.too_many(halved)
        assert limiter.limit == 1
        for _ in range(15):
            limiter.succeeded()
        assert limiter.limit == 16
        limiter.succeeded()
        assert limiter.limit == 16 + 1 / 16

    asyncio.run(main())


def test_repeated_calls_go_before_new_ones_in_their_own_order() -> None:
    async def main() -> None:
        limiter, order = Limiter(1), []

        async def call(name: str) -> None:
            async with limiter.slot(first=name.startswith("again")):
                order.append(name)

        async with limiter.slot():
            names = ["new 1", "again 1", "new 2", "again 2"]
            tasks = [asyncio.create_task(call(name)) for name in names]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert order == ["again 1", "again 2", "new 1", "new 2"]

    asyncio.run(main())


def test_whoever_waits_for_a_pause_to_end_holds_no_slot() -> None:
    async def main() -> None:
        now = 0.0
        limiter = Limiter(2, clock=lambda: now)
        async with limiter.slot() as place:
            limiter.too_many(place, wait=30)
        waiting = asyncio.create_task(_enter(limiter))
        await asyncio.sleep(0)
        assert limiter.busy == 0
        assert not waiting.done()
        now = 31.0
        limiter.succeeded()
        limiter._wake()
        await waiting

    asyncio.run(main())


async def _enter(limiter: Limiter) -> None:
    async with limiter.slot():
        pass
