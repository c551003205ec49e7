"""What the parts of the page share: the visit, and the few things that make them draw anew.

What can be chosen on the page, and how it is worded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import solara

from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.minds.registry import mind_names
from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.networks.graph_files import names_file
from mesa_llm_norms.networks.registry import Topology, find_topology, parse, topologies
from mesa_llm_norms.web.model_source import hosting
from mesa_llm_norms.web.player import FULL_SPEED, Order
from mesa_llm_norms.web.session import Visit

_log = logging.getLogger(__name__)


HEARTBEAT = 0.3
"""Seconds without news after which the link is brought up to date."""


LOOK, COMMIT, TIE = "look", "commit", "tie"
"""What a click on an agent does."""


class Bench:
    """A visit, with reactive numbers that change when parts of the page have something new to show.

    ``frames`` changes with every new frame, ``status`` when play starts or stops or something is to
    be told, ``shown`` when there are other populations, ``query`` when the link is another one.
    Only the page's own thread sets them.
    """

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.frames: solara.Reactive[tuple[Any, ...]] = solara.reactive(())
        self.status: solara.Reactive[tuple[Any, ...]] = solara.reactive(())
        self.shown = solara.reactive(0)
        self.query = solara.reactive(visit.query)
        self.problem = solara.reactive(visit.problem)
        self.selected: solara.Reactive[tuple[int, int] | None] = solara.reactive(None)
        """The side and the place of the agent that is looked at."""
        self.mode = solara.reactive(LOOK)
        self.name = solara.reactive("")
        """The name that a click commits to."""
        self.first_end: solara.Reactive[tuple[int, int] | None] = solara.reactive(None)
        """The agent from which a tie is made."""
        self.by_degree = solara.reactive(False)

    async def watch(self) -> None:
        """Look for what is new whenever there is something, for as long as the page is open."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the page may just have been closed, and its loop with it
                loop.call_soon_threadsafe(news.set)

        self.visit.tell(tell)
        try:
            while True:
                self.look()
                try:
                    await asyncio.wait_for(news.wait(), HEARTBEAT)
                except TimeoutError:
                    self._renew_link()
                news.clear()
        finally:
            self.visit.tell(None)

    def look(self) -> None:
        """Notice what is new."""
        visit = self.visit
        frames = tuple((id(runner), runner.version) for runner in visit.runners)
        if frames != self.frames.peek():
            self.frames.value = frames
        status = tuple(
            (runner.playing, runner.frame.state, runner.frame.note, runner.frame.error)
            for runner in visit.runners
        )
        if status != self.status.peek():
            self.status.value = status

    def give(self, order: Order) -> None:
        """Have all populations do something.

        What is over at once is seen by the frame that comes of it.
        """
        self.problem.value = ""
        self.visit.give(order)
        if order in (Order.PLAY, Order.PAUSE):
            self.look()

    def attempt(self, action: Callable[[], object], anew: bool = True) -> None:
        """Do something to the visit; what cannot be done is told and changes nothing.

        With ``anew`` there are other populations afterwards.
        """
        try:
            action()
        except NormsError as error:
            self.problem.value = str(error)
            return
        except Exception as error:
            _log.error("unexpected error on the page", exc_info=error)
            self.problem.value = f"unexpected: {error!r}"
            return
        self.problem.value = ""
        if anew:
            self.selected.value = self.first_end.value = None
            self.shown.value += 1
        self._renew_link()
        self.look()

    def pick(self, side: int, place: int) -> None:
        """Do what a click on an agent does; a place of -1 is the ground."""
        runner = self.visit.runners[side]
        if place < 0:
            self.selected.value = self.first_end.value = None
        elif self.mode.value == COMMIT and not self.visit.replaying:
            self._commit_or_release(side, place)
        elif self.mode.value == TIE and not self.visit.replaying:
            first = self.first_end.value
            if first is None or first[0] != side:
                self.first_end.value = (side, place)
                return
            self.first_end.value = None
            source = runner.source
            if source is not None and first[1] != place:
                nodes = list(source.graph)
                there = source.graph.has_edge(nodes[first[1]], nodes[place])
                runner.tie(first[1], place, not there)
        else:
            self.selected.value = (side, place)

    def _commit_or_release(self, side: int, place: int) -> None:
        runner = self.visit.runners[side]
        pool = runner.frame.pool
        name = self.name.value if self.name.value in pool else pool[0]
        card = runner.card(place)
        if card is not None:
            runner.commit(place, None if card.committed == name else name)
            self.selected.value = (side, place)

    def _renew_link(self) -> None:
        if not self.visit.playing:
            self.query.value = self.visit.query


def use_bench(model_type: type[NamingGame]) -> Bench:
    """Return this viewer's own; its populations stop when the page is closed."""
    query = solara.use_router().search or ""
    bench: Bench = solara.use_memo(lambda: Bench(Visit(query, model_type)), [])
    solara.use_effect(lambda: bench.visit.close, [])
    return bench


SPEEDS: Mapping[str, float] = {
    "very slow": 0.2,
    "slow": 0.5,
    "1 round a second": 1.0,
    "2 rounds a second": 2.0,
    "5 rounds a second": 5.0,
    "20 rounds a second": 20.0,
    "as fast as it goes": FULL_SPEED,
}


POOLS: Mapping[str, str] = {
    "QM": "two: Q M",
    "FJ": "two: F J",
    "QMXYFJPRCD": "ten: Q M X Y F J P R C D",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ": "26: A to Z",
}


def topology_names() -> list[str]:
    """Return the topologies that can be chosen: built in, and files the page was started with."""
    return [one.name for one in topologies()] + list(hosting().topologies)


def minds() -> list[str]:
    """Return the minds that can be chosen."""
    return [*mind_names(), *hosting().minds]


def topology_of(text: str) -> Topology | None:
    """Return the topology of a text, None for a file."""
    return None if names_file(text) else find_topology(text)


def parameters_of(text: str) -> dict[str, str]:
    """Return the parameters of a topology's text, each as it would be typed."""
    topology = topology_of(text)
    if topology is None:
        return {}
    call = parse(text)
    values = topology.read(call.args, call.kwargs)
    return {name: _typed(value) for name, value in values.items()}


def with_parameter(text: str, name: str, typed: str) -> str:
    """Return a topology's text with another value of one parameter."""
    values = {**parameters_of(text), name: typed.strip()}
    return f"{text.partition('(')[0].strip()}({', '.join(f'{k}={v}' for k, v in values.items())})"


def with_topology(text: str, name: str) -> str:
    """Return the text of another topology, of about as many agents if its parameter is ``n``."""
    topology = topology_of(name)
    if topology is None:
        return name
    n = parameters_of(text).get("n")
    usual = topology.signature
    if n is None or "n" not in topology.parameters:
        return usual
    changed = with_parameter(usual, "n", n)
    try:
        call = parse(changed)
        topology.read(call.args, call.kwargs)
    except ValueError:
        return usual
    return changed


def _typed(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else f"{value}"
