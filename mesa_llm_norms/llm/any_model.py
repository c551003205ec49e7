"""Language models for the agents of any Mesa model: ``LLM``, with budget, journal and resume.

An agent asks in its step, ``llm.choose(self, prompt, choices)``, or all agents of a step at once,
``llm.choose_all(questions)``. Calls are made by the same ``LLMClient`` as those of the naming game.

**What an answer belongs to.** The run (the how-manieth model that asked), the agent (its
``unique_id``) and the number of the question among those of that agent. So neither the order nor
the concurrency in which agents ask changes an answer, and a model that is run again with the same
folder finds every answer it got. Where another prompt is on record, it is a different run, and is
refused.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.event_loop import GRACE_PERIOD, CancelScope, result_of, start
from mesa_llm_norms.core.randomness import UNIT, RandomStream
from mesa_llm_norms.errors import JournalError, MindError, SkippedError, SpecError, shown, some
from mesa_llm_norms.llm.journal.rows import AgentUsage, Recorded, Totals, prompt_digest
from mesa_llm_norms.llm.prompt import Prompt, check_text
from mesa_llm_norms.llm.provider import Provider
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings, read_llm
from mesa_llm_norms.minds.registry import load_provider

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient, Wanted

MAY_CHANGE = ("timeout", "max_tokens", "threads")
"""Options of a provider that may be others when a folder is used again."""


class Ask(NamedTuple):
    """One question of one agent.

    Attributes
    ----------
    agent : mesa.Agent
        Who asks.
    prompt : str
        The question, sent as it is. With choices, a last paragraph says that one of them is wanted
        and lists them, a line each.
    choices : sequence of str, optional
        At least two texts, all different, of one line each. None for an answer in the model's own
        words.
    system : str, default ""
        What is sent as the system prompt: the rules, or who the agent is.
    """

    agent: Any
    prompt: str
    choices: Sequence[str] | None = None
    system: str = ""


class LLM:
    """A language model that the agents of any Mesa model may ask.

    Parameters
    ----------
    provider : str or Provider
        The name of a live mind (``"claude:claude-haiku-5-5"``, ``"openai:MODEL"``,
        ``"llama:URL#MODEL"``, ``"smollm2"``), or a provider, such as a ``FakeProvider``.
    folder : str or pathlib.Path, optional
        Where the journal is kept. If there is one already, its answers are used, and only what is
        not on record is asked. If omitted, the journal ends with the process.
    budget_usd, budget_calls, budget_tokens : float, optional
        Hard limits over everything in the journal, as in ``LLMSettings``. No limits if omitted.
    max_concurrency : int, optional
        The most calls at once, from 1 to 10,000; 32 if omitted.
    shuffle : bool, default True
        List the choices in an order drawn for each question, since models prefer places in a list.
        If False, in the order given: for scales, and where equal questions should be one call.
    llm : LLMSettings, optional
        Everything else about calls: prices, retries, ``on_unusable``. The arguments before it
        take precedence.
    **options
        Passed to the provider that a name stands for: ``temperature``, ``timeout``,
        ``max_tokens``.

    Attributes
    ----------
    provider : Provider
        The model that is asked, by its API.
    label : str
        Its name.

    Raises
    ------
    MindError
        If the provider is not known, or has no price where a budget in dollars is to be kept.
    SpecError
        If an argument is out of range.
    JournalError
        If the folder's journal is of something else, damaged, or in use.

    Examples
    --------
    >>> import mesa
    >>> from mesa_llm_norms.llm import LLM
    >>> from mesa_llm_norms.testing import FakeProvider
    >>> model = mesa.Model()
    >>> voter = mesa.Agent(model)
    >>> with LLM(FakeProvider(lambda question, before: "yes"), budget_calls=10) as llm:
    ...     llm.choose(voter, "Your neighbours voted yes. How do you vote?", ["yes", "no"])
    'yes'
    """

    def __init__(
        self,
        provider: str | Provider,
        *,
        folder: str | Path | None = None,
        budget_usd: float | None = None,
        budget_calls: float | None = None,
        budget_tokens: float | None = None,
        max_concurrency: int | None = None,
        shuffle: bool = True,
        llm: LLMSettings | None = None,
        **options: Any,
    ) -> None:
        self._runs: dict[int, _Run] = {}
        self._number = 0
        self._closed = False
        self._asking = threading.Lock()
        self._process = os.getpid()
        self.provider: Provider = _read_provider(provider, options)
        self.label: str = self.provider.label
        self.shuffle: bool = bool(shuffle)
        given: dict[str, Any] = {
            "folder": folder,
            "budget_usd": budget_usd,
            "budget_calls": budget_calls,
            "budget_tokens": budget_tokens,
            "max_concurrency": max_concurrency,
        }
        llm = replace(read_llm(llm), **{k: v for k, v in given.items() if v is not None})
        llm.check_plays()
        self.settings = llm
        self._client = self._open(llm)

    @property
    def usage(self) -> Totals:
        """What all calls on record used."""
        return self._client.usage

    def usage_by_agent(self, run: int = 0) -> tuple[AgentUsage, ...]:
        """Return what the calls of each agent used, in the order they first asked.

        Parameters
        ----------
        run : int, default 0
            The how-manieth model that asked, from 0.

        Returns
        -------
        tuple of AgentUsage
            One for each agent that called; ``node`` is its ``unique_id``.
        """
        return self._client.journal.usage_by_seat(run)

    def choose(
        self, agent: Any, prompt: str, choices: Sequence[str] | None = None, system: str = ""
    ) -> str | None:
        """Return what the model answers to one question.

        Parameters
        ----------
        agent : mesa.Agent
            Who asks.
        prompt : str
            The question; see ``Ask``.
        choices : sequence of str, optional
            What may be answered. None for an answer in the model's own words.
        system : str, default ""
            The system prompt: the rules, or who the agent is.

        Returns
        -------
        str or None
            One of the choices, or the text. None if no reply was usable and
            ``LLMSettings(on_unusable="skip")`` allows that.

        Raises
        ------
        SpecError
            If an argument cannot be asked, or another thread is asking.
        DecisionError
            If no reply was usable: a refusal, or none of the choices.
        CallError
            If no call brought a reply.
        BudgetError
            If the next call could exceed the budget.
        JournalError
            If the folder has another question on record in this place.
        """
        return self.choose_all([Ask(agent, prompt, choices, system)])[0]

    def choose_all(self, questions: Iterable[Ask | tuple[Any, ...]]) -> list[str | None]:
        """Return the answers to many questions, asked at the same time.

        No question sees the answer to another. The answers and what they cost are the same at every
        ``max_concurrency``. After an error everything that was answered is on record, and the same
        questions may be asked again.

        Parameters
        ----------
        questions : iterable of Ask
            The questions, or tuples such as ``(agent, prompt, choices)``.

        Returns
        -------
        list of str or None
            The answers, in the order of the questions; see ``choose``.

        Raises
        ------
        SpecError, DecisionError, CallError, BudgetError, JournalError
            As ``choose`` does: the error of the first question in order that has one.
        """
        if self._closed:
            self._refuse("it is closed", "Make another; with the same folder it goes on.")
        if os.getpid() != self._process:
            self._refuse("a process that was forked cannot use it", "Make one in each process.")
        if not self._asking.acquire(blocking=False):
            self._refuse(
                "it is asking already, in another thread",
                "Ask everything of a step in one choose_all, or use an LLM for each thread.",
            )
        try:
            asked = [self._read(one) for one in questions]
            before = {id(run): (run, run.asked.copy()) for run, _ in asked}
            try:
                scope = CancelScope()
                wanted = [self._wanted(run, ask, scope) for run, ask in asked]
                return self._answers(wanted, scope)
            except BaseException:
                for run, counts in before.values():
                    run.asked = counts
                raise
        finally:
            self._asking.release()

    def close(self) -> None:
        """Close the journal and all connections; answers are on record before they are returned."""
        self._closed = True
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LLM {self.label}>"

    def __reduce__(self) -> NoReturn:
        self._refuse(
            "it can neither be copied nor leave its process, which holds its connections, its "
            "journal and its budget",
            "Keep it outside of the model that is copied, and play batch runs with "
            "number_processes=1. With folder= a model that is run again asks nothing twice.",
        )

    def _open(self, llm: LLMSettings) -> LLMClient:
        """Return what makes the calls; a folder with a journal is resumed."""
        from mesa_llm_norms.llm.client import LLMClient

        there = llm.folder is not None and (Path(llm.folder) / JOURNAL).exists()
        options = {k: v for k, v in self.provider.options.items() if k not in MAY_CHANGE}
        spec = {"llm": self.label, "options": options}
        client = LLMClient(replace(llm, resume=there), spec)
        try:
            if there and client.journal.spec != json.loads(json.dumps(spec)):
                raise JournalError(
                    client.journal.path or "",
                    f"it is not that of {self.label} with these options",
                    "Use it as before, or choose another folder.",
                )
            client.attach([self.provider.mind()])
        except BaseException:
            client.close()
            raise
        return client

    def _read(self, question: Any) -> tuple[_Run, Ask]:
        """Return a question as it may be asked, and the run it belongs to."""
        try:
            ask = question if isinstance(question, Ask) else Ask(*question)
        except TypeError:
            problem = f"{shown(question)} is not a question"
            raise SpecError(
                "questions", question, problem, "Write (agent, prompt, choices)."
            ) from None
        number = getattr(ask.agent, "unique_id", None)
        model = getattr(ask.agent, "model", None)
        whole = isinstance(number, Integral) and not isinstance(number, bool)
        if model is None or not whole or not 0 <= int(number) < 2**63:  # type: ignore[arg-type]
            problem = f"{shown(ask.agent)} is not an agent of a Mesa model"
            raise SpecError("agent", ask.agent, problem, "Give the agent that asks.")
        check_text("prompt", ask.prompt)
        check_text("system", ask.system, empty=True)
        if ask.choices is None and not self.provider.writes:
            self._refuse("it gives no answers in its own words", "Give choices.")
        choices = None if ask.choices is None else read_choices(ask.choices)
        return self._run_of(model), ask._replace(choices=choices)

    def _run_of(self, model: Any) -> _Run:
        """Return the run of a model, numbered when it asks for the first time."""
        run = self._runs.get(id(model))
        if run is None:
            run = self._runs[id(model)] = _Run(self._number, RandomStream(_seed_of(model)))
            self._number += 1
            weakref.finalize(model, self._runs.pop, id(model), None).atexit = False
        return run

    def _wanted(self, run: _Run, ask: Ask, scope: CancelScope) -> Wanted:
        """Return what is wanted of the client; refuse what cannot be the run on record."""
        from mesa_llm_norms.llm.client import Wanted

        agent = int(ask.agent.unique_id)
        number = run.asked[agent]
        run.asked[agent] += 1
        pool = tuple(ask.choices or ())
        order = random.Random(run.stream.of("order of choices", number, agent))
        listed = order.sample(pool, len(pool)) if self.shuffle else pool
        prompt = Prompt(ask.system, ask.prompt + listing(listed))
        recorded = self._client.journal.decision(run.number, number, agent)
        if recorded is not None and recorded.prompt != prompt_digest(*prompt):
            raise JournalError(
                self._client.journal.path or "the journal",
                f"question {number} of agent {agent} in run {run.number} was another one",
                "Run the model as it was started, with the same seed and code, or choose another "
                "folder.",
            )
        draw = run.stream.of("choice", number, agent) % UNIT
        where = run.number, number, agent
        return Wanted(
            self.label, self.provider, prompt, pool, *where, draw, run.stream, scope, False
        )

    def _answers(self, wanted: Sequence[Wanted], scope: CancelScope) -> list[str | None]:
        """Return the answers in order; an interrupt starts no more calls, and lets others end."""
        future = start(self._ask_together(wanted))
        try:
            found = result_of(future)
        except KeyboardInterrupt:
            scope.cancelled = True
            with suppress(Exception):
                future.result(timeout=GRACE_PERIOD)
            future.cancel()
            raise
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, SkippedError):
                raise one
        return [one.name if isinstance(one, Recorded) else None for one in found]

    async def _ask_together(self, wanted: Sequence[Wanted]) -> list[Recorded | BaseException]:
        choices = (self._client.choose(one) for one in wanted)
        return await asyncio.gather(*choices, return_exceptions=True)

    def _refuse(self, problem: str, remedy: str) -> NoReturn:
        raise MindError("llm", self.label, problem, remedy)


class _Run:
    """One model that asks: its number, its draws, and how many questions each agent asked."""

    def __init__(self, number: int, stream: RandomStream) -> None:
        self.number = number
        self.stream = stream
        self.asked: Counter[int] = Counter()


def read_choices(choices: Any) -> tuple[str, ...]:
    """Return choices as a tuple; ``SpecError`` for what a reply could not name without a doubt."""
    remedy = 'Give a list of different texts of one line, such as ["stay", "move"].'
    if isinstance(choices, (str, bytes, Mapping)) or not isinstance(choices, Iterable):
        problem = f"{shown(choices)} is not a list of choices"
        raise SpecError("choices", choices, problem, remedy)
    if isinstance(choices, (set, frozenset)):
        problem = "a set has no order, in which choices could be listed"
        raise SpecError("choices", choices, problem, remedy)
    pool = tuple(choices)
    bad = [one for one in pool if not _is_choice(one)]
    twice = [one for one, count in Counter(map(repr, pool)).items() if count > 1]
    if bad:
        problem = f"{some(bad)} cannot be answered as it stands"
        remedy = (
            f"A choice is a str of {limits.CHOICE.range} characters, on one line, with no space "
            "before or after."
        )
    elif len(pool) not in limits.CHOICES:
        problem = f"there are {len(pool):,}, and {limits.CHOICES.range} can be chosen from"
    elif twice:
        problem = f"{', '.join(twice[:3])} is there more than once"
    else:
        return pool
    raise SpecError("choices", choices, problem, remedy)


def listing(pool: Sequence[str]) -> str:
    """Return the last paragraph of a prompt: what may be answered, nothing without choices."""
    if not pool:
        return ""
    return "\n\nAnswer with one of these, and with nothing else:\n" + "\n".join(pool)


def _is_choice(one: object) -> bool:
    return (
        isinstance(one, str)
        and one.isprintable()
        and one == one.strip()
        and len(one) in limits.CHOICE
    )


def _read_provider(provider: Any, options: Mapping[str, Any]) -> Provider:
    if isinstance(provider, str):
        return load_provider(provider, **options)
    if not isinstance(provider, Provider):
        problem = f"{shown(provider)} is not a provider"
        raise MindError(
            "provider", provider, problem, 'Give a name such as "claude:claude-haiku-5-5".'
        )
    if options:
        problem = "options are for providers that are given by name"
        raise SpecError(sorted(options)[0], options, problem, "Give them to the provider itself.")
    return provider


def _seed_of(model: Any) -> int:
    """Return a seed for the draws of a model, a function of its random numbers; takes none."""
    chance = getattr(model, "random", None)
    generator = getattr(getattr(model, "rng", None), "bit_generator", None)
    states = chance and chance.getstate(), generator and generator.state
    return int.from_bytes(blake2b(repr(states).encode(), digest_size=8).digest(), "little")
