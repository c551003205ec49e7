"""Providers, the model APIs that live minds ask, and ``LiveMind``, the mind that asks one.

A provider knows one model and the protocol it is reached by: ``ask`` makes one call. It does not
retry, wait for a free slot, watch the budget or keep records; an ``LLMClient`` does that for all
providers alike. To add a provider, derive from ``Provider``, implement ``ask`` and ``parameters``,
and call ``mesa_llm_norms.register_provider`` with the prefix of its minds' names.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self, TypeVar

from mesa_llm_norms.core.game import GameRules
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.llm.addresses import (
    Key,
)
from mesa_llm_norms.llm.prompt import (
    Prompt,
    Template,
    check_names,
    default_template,
    worded_sight,
)
from mesa_llm_norms.llm.retry import forms_of
from mesa_llm_norms.minds.mind import Decision, Mind, Situation, order_of_names
from mesa_llm_norms.minds.registry import load_provider

if TYPE_CHECKING:
    from mesa_llm_norms.llm.batches import BatchAPI
    from mesa_llm_norms.llm.client import LLMClient

MAX_TOKENS = 128
"""Room for the longest name, letter by letter, and the JSON around it."""
MAX_TOKENS_THINKING = 2_048
"""Room for a name and some thinking before it."""

Content = TypeVar("Content")


class Question(NamedTuple):
    """One call to make: everything that a provider may use to make it.

    Attributes
    ----------
    prompt : Prompt
        The two texts to send. They list the names in the order drawn for this decision.
    pool : tuple of str
        The names that may be answered, in the order of the game. Empty where the answer is in the
        model's own words.
    seed : int
        A 32-bit number unique to this decision and attempt, for APIs that take a sampling seed.
    """

    prompt: Prompt
    pool: tuple[str, ...]
    seed: int


class Usage(NamedTuple):
    """The tokens that one call used, as the API counts them.

    Attributes
    ----------
    input_tokens : int, default 0
        All tokens read, cached or not.
    output_tokens : int, default 0
        All tokens written, including thinking.
    thinking_tokens : int, default 0
        How many of the output tokens were thinking.
    cached_tokens : int, default 0
        How many of the input tokens were read from the API's cache.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    cached_tokens: int = 0


class Reply(NamedTuple):
    """What one call returned.

    A reply with neither a name nor a distribution is unusable.

    Attributes
    ----------
    text : str
        The reply, unchanged.
    usage : Usage
        The tokens used, over all ``calls``.
    name : str, optional
        The name of the pool that the reply gives; with an empty pool, the answer.
    distribution : tuple of float, optional
        The probability of each name of the pool, in its order and summing to one. The run's own
        random number then picks the name.
    problem : str, optional
        Why the reply is unusable, in a few words: refused, cut off, empty, not a name of the pool.
    model : str, optional
        The model that answered, as the API calls it.
    stop : str, optional
        Why the reply ended, in the API's own word.
    calls : int, default 1
        How many calls the reply took, where one was not enough.
    thoughts : str, optional
        What the model thought before it answered, where the API shows it.
    """

    text: str
    usage: Usage
    name: str | None = None
    distribution: tuple[float, ...] | None = None
    problem: str | None = None
    model: str | None = None
    stop: str | None = None
    calls: int = 1
    thoughts: str | None = None

    @property
    def usable(self) -> bool:
        """Whether a decision follows from it."""
        return self.name is not None or self.distribution is not None


class Provider(ABC):
    """A model behind an API: answers one question per call, any number of calls at once."""

    label: str
    """The name of its mind in results and for ``load_mind``: ``claude:claude-haiku-5-5``."""
    model: str
    """The model's id, by which its price is found."""
    place: str
    """Where the API is: a URL without any secret in it. The same model elsewhere is another one."""
    max_tokens: int
    """The most tokens that one call may write, including thinking; a budget reserves as many."""
    calls_at_most: int = 1
    """The most calls that ``ask`` ever makes for one reply."""
    free: bool = False
    """Whether calls cost nothing if no price is known, as on your own machine."""
    writes: bool = False
    """Whether it also takes questions with an empty pool, and answers in the model's own words."""
    answered: int = 0
    """How many requests were answered so far, those of ``prepare`` included.

    A provider that counts them is waited for longer where the network fails after the first.
    """
    keys: Sequence[Key] | None = None
    """The environment variables whose keys it sends, and where to; None if that is not known."""
    given: bool = True
    """Whether its address was given in this session; False if it is from a file."""

    @property
    def home(self) -> str | None:
        """The address that calls go to where none is given; None if one must be.

        Of a class whose ``place`` is always the same, that.
        """
        place = getattr(type(self), "place", None)
        return place if isinstance(place, str) else None

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Any]:
        """Everything sent besides the prompt, as plain JSON values: recorded with every call."""

    @property
    def secrets(self) -> Sequence[str]:
        """Every text to be removed from what is recorded and shown: the values of its ``keys``.

        Those of all variables whose names end in ``KEY``, ``TOKEN``, ``SECRET`` or ``PASSWORD``
        are removed anyway.
        """
        return forms_of([os.environ.get(key.variable, "") for key in self.keys or ()])

    @property
    def options(self) -> Mapping[str, Any]:
        """The options with which ``live_mind(label, **options)`` makes an equal provider."""
        return {}

    @abstractmethod
    async def ask(self, question: Question) -> Reply:
        """Make one call.

        Cancelling it cancels the request, and nothing is sent twice.

        Parameters
        ----------
        question : Question
            What to ask.

        Returns
        -------
        Reply
            What came back, usable or not.

        Raises
        ------
        CallError
            If no reply came back. Its ``kind`` decides whether the call is made again.
        """

    async def prepare(self) -> None:  # noqa: B027  (optional)
        """Find out what the model can do; called once, before the first question.

        Raises
        ------
        CallError
            If the API cannot be reached.
        MindError
            If the model cannot play.
        """

    async def close(self) -> None:  # noqa: B027  (optional)
        """Close all connections; the next question opens new ones."""

    @property
    def batches(self) -> BatchAPI | None:
        """What sends many questions together, None where the API takes none."""
        return None

    def gives_distributions(self, pool: Sequence[str]) -> bool:  # noqa: ARG002
        """Return whether replies are distributions, so that one serves all equal prompts.

        Parameters
        ----------
        pool : sequence of str
            The names that may be answered.

        Returns
        -------
        bool
            False, unless a provider can do better; always for an empty pool.
        """
        return False

    def mind(self, template: Template | None = None) -> LiveMind:
        """Return a mind that asks this provider.

        Parameters
        ----------
        template : Template, optional
            The wording of its prompts; ``default_template()`` if omitted.

        Returns
        -------
        LiveMind
            A new mind.
        """
        return LiveMind(self, template)

    def _refuse(self, problem: str, remedy: str) -> NoReturn:
        raise MindError("mind", self.label, problem, remedy) from None


class LiveMind(Mind):
    """A mind that puts every situation into words and asks a model.

    The order in which the names are listed is drawn anew for each decision.

    Parameters
    ----------
    provider : Provider
        The model to ask.
    template : Template, optional
        The wording of the prompt; ``default_template()`` if omitted.
    client : LLMClient, optional
        Makes the calls. A game or an ensemble provides one by ``LLMClient.attach``.
    """

    def __init__(
        self,
        provider: Provider,
        template: Template | None = None,
        client: LLMClient | None = None,
    ) -> None:
        self.provider = provider
        self.template: Template = template or default_template()
        self.label: str = provider.label
        self.client = client
        self.persona = ""
        """Who the agent is told to be, at the head of the system prompt."""

    def with_persona(self, persona: str) -> Self:
        """Return the mind of an agent that is told who it is.

        Parameters
        ----------
        persona : str
            What it is told, before the rules; nothing if empty.

        Returns
        -------
        LiveMind
            A mind of the same class that asks the same provider.
        """
        made = copy(self)
        made.persona = persona
        return made

    _order = staticmethod(order_of_names)  # in which the names are listed

    def check(self, game: GameRules) -> None:
        """Check that the names of a game can be put into a prompt.

        Parameters
        ----------
        game : GameRules
            The game to be played.

        Raises
        ------
        PoolError
            If a name could be taken for more than a name.
        SpecError
            If the template is for another game, or the game does not say how to word it.
        """
        check_names(game.pool)
        self.template.of_game(game).fill(game, (), game.pool)

    def prompt(self, situation: Situation) -> Prompt:
        """Return the prompt for a situation, without a persona or attributes that it is shown.

        Parameters
        ----------
        situation : Situation
            What the agent sees.

        Returns
        -------
        Prompt
            The two texts to send.
        """
        game, order = situation.game, self._order(situation)
        return self.template.of_game(game).fill(game, situation.memory, order, situation.seat)

    def sent(self, situation: Situation) -> Prompt:
        """Return what is sent in a situation.

        That is the prompt, with the persona before its rules, and before what is asked the
        attributes that the agent is shown.

        Parameters
        ----------
        situation : Situation
            What the agent sees.

        Returns
        -------
        Prompt
            The two texts.
        """
        prompt = self.prompt(situation)
        return Prompt(
            "\n\n".join(filter(None, (self.persona, prompt.system))),
            "\n\n".join(filter(None, (worded_sight(situation.seen), prompt.user))),
        )

    async def decide(self, situation: Situation) -> Decision:
        """Return what the model chose.

        Parameters
        ----------
        situation : Situation
            What the agent sees.

        Returns
        -------
        Decision
            The name, with its probability if the model gave a distribution.

        Raises
        ------
        DecisionError
            If the model gave no name of the pool; its subclass ``SkippedError`` if the interaction
            is then skipped.
        CallError
            If no call brought a reply.
        BudgetError
            If the next call could exceed the budget.
        MindError
            If the mind is not attached to a client.
        """
        if self.client is None:
            raise MindError(
                "mind",
                self.label,
                "it has no client to make its calls",
                "Play it in NamingGame or run_ensemble, or attach it: LLMClient().attach([mind]).",
            )
        return await self.client.decide(self, situation)

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        return made

    def __reduce__(self) -> NoReturn:
        raise MindError(
            "mind",
            self.label,
            "a live mind cannot leave its process, which holds its connections and its budget",
            "Use workers=1: live runs are played concurrently in one process.",
        )


def live_mind(
    name: str, template: Template | None = None, *, given: bool = True, **options: Any
) -> LiveMind:
    """Return the live mind of a name.

    Parameters
    ----------
    name : str
        ``prefix:address``: ``claude:claude-haiku-5-5`` is a model of Anthropic's API, and
        ``llama:http://127.0.0.1:8080/v1#name`` one behind a server of chat completions (llama.cpp,
        vLLM, Ollama). Further prefixes come from ``register_provider`` and from installed packages.
    template : Template, optional
        The wording of the prompt; the default one if omitted.
    given : bool, default True
        Whether the name was given in this session. If it is from a file, its address has to be
        confirmed before anything is sent there (``LLMSettings(addresses=...)``).
    **options
        Passed to the provider: ``temperature``, ``timeout`` (seconds per call), ``max_tokens``.

    Returns
    -------
    LiveMind
        The mind; no call is made yet.

    Raises
    ------
    MindError
        If no provider of that prefix is registered, or the provider rejects the address or options.
    """
    return load_provider(name, given=given, **options).mind(template)
