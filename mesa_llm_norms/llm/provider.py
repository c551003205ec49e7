"""Providers, the model APIs that live minds ask, and ``LiveMind``, the mind that asks one.

A provider knows one model and the protocol it is reached by: ``ask`` makes one call. It does not
retry, wait for a free slot, watch the budget or keep records; an ``LLMClient`` does that for all
providers alike. To add a provider, derive from ``Provider``, implement ``ask`` and ``parameters``,
and call ``mesa_llm_norms.register_provider`` with the prefix of its minds' names.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self, TypeVar

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.game import GameRules
from mesa_llm_norms.core.limits import read_number
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.addresses import (
    Key,
    about_key,
    by_way,
    check,
    connection_failure,
    proxy_for,
    transport,
)
from mesa_llm_norms.llm.prompt import Prompt, Template, check_names, default_template
from mesa_llm_norms.llm.replies import (
    ENCODINGS,
    error_in,
    kept,
    misread,
    quoted,
    read_lines,
    read_response,
)
from mesa_llm_norms.llm.retry import forms_of, kind_of, means_unpaid, redacted, retry_after
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


class SDKProvider(Provider):
    """A provider that calls an HTTP API through its vendor's SDK, imported on first use.

    The SDKs of Anthropic and OpenAI come from one generator, so that clients, responses and errors
    have the same shape. They do not retry here, and follow no redirects: a call goes to the place
    that is on record, by the proxy that ``addresses`` finds for it. ``timeout`` is the seconds that
    a whole call may take.
    """

    package: str
    """The SDK's package."""
    install: str
    """What ``pip install`` is to be given for it."""
    base_error: str
    """The name of the class of all its errors."""

    def __init__(self, label: str, timeout: float) -> None:
        read_number("timeout", timeout, limits.TIMEOUT, MindError)
        self.label = label
        self.timeout = timeout
        self._client: Any = None
        self._secrets_of: tuple[Any, Sequence[str]] = None, ()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"

    @property
    def secrets(self) -> Sequence[str]:
        """The values of its keys, and what the client sends to be let in."""
        client = self._client
        if client is None:
            return super().secrets
        if client is not self._secrets_of[0]:
            self._secrets_of = client, [*super().secrets, *self._secrets(client)]
        return self._secrets_of[1]

    async def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @abstractmethod
    def _open(self, sdk: Any, http_client: Any) -> Any:
        """Return the SDK's client."""

    def _check_keys(self, client: Any) -> None:
        """Raise ``MindError`` if a client has no usable key."""

    @abstractmethod
    def _secrets(self, client: Any) -> Sequence[str]:
        """Return every text that no message may contain."""

    @abstractmethod
    def _message(self, error: Any) -> object:
        """Return what the API said in an error, where its SDK puts it."""

    def _kind(self, error: Any) -> str:
        """Return the kind of ``CallError`` that an error with an HTTP status is."""
        return kind_of(error.status_code, error.body)

    def _http(self, response: Any) -> Any:
        """Return the HTTP response in what a call returns."""
        return response

    async def _content(self, response: Any, content: object) -> object:  # noqa: ARG002
        """Return what ``read`` is to be given of a response with this JSON."""
        return content

    async def _fetch(
        self,
        call: Callable[[Any], Awaitable[Any]],
        read: Callable[[Any], Content],
        *,
        seconds: float | None = None,
        lines: bool = False,
    ) -> Content:
        """Make a call with the SDK's client and return what ``read`` makes of the content.

        It may take ``timeout`` or other ``seconds``. The content is JSON, on each of its ``lines``
        if so. Every failure is a ``CallError``, including any error of ``read``, and one that the
        server puts where a reply should be.
        """
        client = self._connected()
        sdk, most = self._sdk(), seconds or self.timeout
        try:
            # The SDK's timeouts are for each read; a slow drip never reaches them.
            async with asyncio.timeout(most):
                response = await call(client)
        except TimeoutError:
            late = f"no reply within {most:g} seconds{by_way(self.place)}"
            raise CallError(self.label, "timeout", late) from None
        except getattr(sdk, self.base_error) as error:
            # Without the cause, whose text is not cleared of secrets.
            raise self._call_error(sdk, error, self._secrets(client)) from None
        http = self._http(response)
        try:
            content = read_lines(http.content) if lines else http.json()
            if (found := error_in(content)) is None:
                result = read(content if lines else await self._content(response, content))
                self.answered += 1
                return result
        except Exception as error:  # SDKs check nothing, and trip over what they did not expect
            secrets = self._secrets(client)
            problem = f"the response is not one of this API ({misread(error)})"
            if http.text.strip():
                problem += f"; it says {quoted(http.text, secrets)}"
            kind, status, text = "garbled", http.status_code, http.text
            remedy = None
        else:
            secrets, text = self._secrets(client), http.text
            problem, status = redacted(found[0], secrets), found[1]
            kind = kind_of(status, content)
            remedy = self._remedy(status, content) if kind == "denied" else None
        said = kept(text, secrets)
        raise CallError(self.label, kind, problem, status, remedy=remedy, said=said) from None

    def _call_error(self, sdk: Any, error: Any, secrets: Sequence[str]) -> CallError:
        """Return the ``CallError`` for an error of the SDK."""
        if isinstance(error.__cause__, CallError):  # of our own, while the response was read
            return error.__cause__
        by = by_way(self.place)
        if isinstance(error, sdk.APIStatusError):
            said = self._message(error)
            if not isinstance(said, str) or not said.strip():
                said = error.response.reason_phrase or "no reason given"
            after = retry_after(error.response.headers)
            problem, status, kind = redacted(said, secrets), error.status_code, self._kind(error)
            if status == 407:
                kind = "denied"
            remedy = self._remedy(status, error.body) if kind == "denied" else None
            text = kept(error.response.text, secrets)
            return CallError(self.label, kind, problem + by, status, after, remedy, text)
        if isinstance(error, sdk.APITimeoutError):
            return CallError(self.label, "timeout", f"the network timed out{by}")
        if isinstance(error, sdk.APIConnectionError):
            problem, remedy = connection_failure(error, proxy_for(self.place))
            return CallError(self.label, "connection", problem, remedy=remedy)
        kind = "garbled" if isinstance(error, sdk.APIError) else "denied"
        return CallError(self.label, kind, redacted(str(error), secrets))

    def _remedy(self, status: int | None, said: object) -> str | None:
        """Return what to do about an error that every call will get, None for the usual."""
        if means_unpaid(said):
            return "Add money to the account that pays for the key, or set another key."
        if status in (401, 403):
            return about_key(self)
        if status in (404, 405):
            return "Check the address and the model's name."
        if status == 407:
            return "Put the name and the password that the proxy wants into its address."
        return None

    def _connected(self) -> Any:
        """Return the SDK's client, whose connections belong to the event loop that opened them."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            client = self._new_client()
            self._check_keys(client)
            self._client, self._loop = client, loop
        return self._client

    def _new_client(self) -> Any:
        check([self])
        sdk = self._sdk()
        http_client = sdk.DefaultAsyncHttpxClient(
            transport=transport(self),
            timeout=self.timeout,
            follow_redirects=False,
            headers={"accept-encoding": ENCODINGS},
            event_hooks={"response": [partial(read_response, self.label)]},
        )
        return self._open(sdk, http_client)

    def _sdk(self) -> Any:
        try:
            return import_module(self.package)
        except ImportError:
            self._refuse(
                f"the {self.package} package is missing", f"Run: pip install {self.install}"
            )

    def _check_key(self, variable: str, key: str | None) -> None:
        """Raise ``MindError`` for a key that no HTTP header can carry, without showing it."""
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            self._refuse(f"{variable} contains more than a key", "Set it again, as one word.")


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
        self.label = provider.label
        self.client = client

    order = staticmethod(order_of_names)  # in which the names are listed

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
        """Return the exact prompt for a situation.

        Parameters
        ----------
        situation : Situation
            What the agent sees.

        Returns
        -------
        Prompt
            The two texts to send.
        """
        game, order = situation.game, self.order(situation)
        return self.template.of_game(game).fill(game, situation.memory, order, situation.seat)

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
