"""Probes of live minds: is a preference one for a name, or for a wording or a position in a list?

``wording``
    First choices with paraphrases of the prompt. A preference that comes and goes with the words is
    not one for a name.
``order``
    First choices with the names in one fixed order, and in all rotations. Showing them in only one
    order measures positions in a list.
``place``
    Of the answers in all rotations, how often the name in each position was chosen.
``nonsense names``
    First choices among made-up words that no model was trained on. There can be no preference for
    Q or M that comes from having read about this game.
``comprehension``
    Questions about the rules and the remembered rounds, with known answers, in the words of the
    mind's own prompt. They tell a model that cannot read a memory from one that reads it and has a
    preference.
``recognition``
    Questions about what the game is called and what is known of it, with answers that the prompt
    does not give. A model that has read about this game may play what it has read (C. B. Barrie and
    P. Törnberg, arXiv 2505.23796; the study's authors reply in arXiv 2506.18600). Recognition alone
    does not show that it does.

Recorded minds, and all others that are functions of memory, read no prompt: probes do not apply.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mesa_llm_norms.analysis.intervals import Estimate, exact_interval, same_test
from mesa_llm_norms.core.game import Game, Memory, Remembered, score
from mesa_llm_norms.experiments.audits.individual import Answers, Interviewer, Query, count
from mesa_llm_norms.experiments.audits.preference import Preference, counted, equal
from mesa_llm_norms.llm.prompt import PARAPHRASES, Prompt, Template, points, shipped_template
from mesa_llm_norms.llm.provider import LiveMind

RULES, ROUNDS, KNOWN = "rules", "remembered rounds", "what is known of the game"

MEMORIES = 3
"""How many memories questions are asked about."""

_RECOGNITION = (
    (
        "What do game theorists call a game with such points?",
        ("a coordination game", "a prisoner's dilemma", "a zero-sum game", "an ultimatum game"),
    ),
    (
        "What is this game called where many agents play it in pairs, again and again?",
        ("the naming game", "the minority game", "the trust game", "the dictator game"),
    ),
    (
        "What is it played to study?",
        ("how conventions emerge", "how prices form", "how people punish", "how rumors spread"),
    ),
    (
        "What do experiments find, after many rounds in a group where anyone meets anyone?",
        ("one name for all", "two camps of equal size", "ever more names", "random choices"),
    ),
)
"""Questions and choices, of which the first is right; each is asked in two orders."""

_FORM = """{situation}

This time, do not pick a name. Answer a question about the game and about what is written above:
{question}

Answer with one of these and nothing else: {choices}"""


class ComprehensionQuestion(NamedTuple):
    """A question with one right answer: what it is about, its words, choices and that answer."""

    about: str
    text: str
    choices: tuple[str, ...]
    answer: str
    memory: Memory


def comprehension_questions(game: Game, seed: int) -> tuple[ComprehensionQuestion, ...]:
    """Return the questions about the empty memory and random ones, a function of the seed."""
    chance = random.Random(seed)
    found = list(_about_rules(game, chance))
    drawn: list[Memory] = []
    while len(drawn) < MEMORIES:
        memory = _drawn_memory(game, chance)
        if memory not in drawn:
            drawn.append(memory)
            found += _about_rounds(game, memory, chance)
    return (*found, *_about_what_is_known(chance))


def comprehension_prompt(template: Template, game: Game, question: ComprehensionQuestion) -> Prompt:
    """Return the prompt that asks a question, in the mind's own wording of the game."""
    prompt = template.fill(game, question.memory, game.pool)
    user = _FORM.format(
        situation=prompt.user, question=question.text, choices=", ".join(question.choices)
    )
    return Prompt(prompt.system, user)


def _about_rules(game: Game, chance: random.Random) -> Iterator[ComprehensionQuestion]:
    first, second = game.pool[:2]
    worth = {points(game.reward), points(game.penalty), "0"}
    worth |= {points(-game.reward), points(-game.penalty)} - {"0"}
    choices, yes_no = _shuffled(worth, chance), ("yes", "no")
    for text, allowed, answer in (
        (
            f"You pick {first} and the other player picks {first}. How many points do you get?",
            choices,
            points(game.reward),
        ),
        (
            f"You pick {first} and the other player picks {second}. How many points do you get?",
            choices,
            points(game.penalty),
        ),
        (
            f"You pick {second} and the other player picks {first}. How many points does the "
            "other player get?",
            choices,
            points(game.penalty),
        ),
        ("Can you see what the other player picks before you pick?", yes_no, "no"),
        ("Is the other player the same in every round?", yes_no, "no"),
    ):
        yield ComprehensionQuestion(RULES, text, allowed, answer, ())


def _about_rounds(
    game: Game, memory: Memory, chance: random.Random
) -> Iterator[ComprehensionQuestion]:
    number = chance.randint(1, len(memory))
    own, partner = memory[number - 1]
    names = game.pool

    def question(text: str, choices: tuple[str, ...], answer: str) -> ComprehensionQuestion:
        return ComprehensionQuestion(ROUNDS, text, choices, answer, memory)

    yield question(f"Which name did you pick in round {number}?", names, own)
    yield question(f"Which name did the other player pick in round {number}?", names, partner)
    if game.reward != game.penalty:
        yield question(
            f"How many points did you get in round {number}?",
            _shuffled({points(game.reward), points(game.penalty)}, chance),
            points(game.payoff(own, partner)),
        )
    yield question(
        "In how many of these rounds did you and the other player pick the same name?",
        tuple(map(str, range(len(memory) + 1))),
        str(sum(one.own == one.partner for one in memory)),
    )
    sums = {
        points(game.reward * won + game.penalty * (len(memory) - won))
        for won in range(len(memory) + 1)
    }
    if len(sums) > 1:
        yield question(
            "How many points did you get in these rounds together?",
            _shuffled(sums, chance),
            points(score(memory, game)),
        )


def _about_what_is_known(chance: random.Random) -> Iterator[ComprehensionQuestion]:
    for text, choices in _RECOGNITION:
        order = _shuffled(set(choices), chance)
        for listed in (order, order[::-1]):
            yield ComprehensionQuestion(KNOWN, text, listed, choices[0], ())


def _drawn_memory(game: Game, chance: random.Random) -> Memory:
    """Return a full memory of random names, equal ones in at least half of its rounds."""
    memory = []
    for _ in range(game.memory):
        own = chance.choice(game.pool)
        partner = own if chance.random() < 0.5 else chance.choice(game.pool)
        memory.append(Remembered(own, partner))
    return tuple(memory)


def _shuffled(choices: set[str], chance: random.Random) -> tuple[str, ...]:
    return tuple(chance.sample(sorted(choices), len(choices)))


MASTERED = 0.9
"""Share of comprehension questions that a mind should answer correctly for its choices to count."""

_CONSONANTS, _VOWELS = "bdfgklmnprtvz", "aeiou"


class Condition(NamedTuple):
    """First choices in one condition, in numbers; the names are the condition's own."""

    label: str
    preference: Preference
    unusable: int


class Probe(NamedTuple):
    """The result of one probe.

    ``passed`` is None for a probe that only informs. ``p_value`` is that of
    the test that conditions do not differ (``wording``, ``order``), or that no name or place is
    preferred (``nonsense names``, ``place``).
    """

    kind: str
    conditions: tuple[Condition, ...]
    p_value: float | None
    passed: bool | None
    sentence: str


class ComprehensionAnswer(NamedTuple):
    """A comprehension question and its answer, None if the reply could not be used."""

    question: ComprehensionQuestion
    reply: str | None

    @property
    def right(self) -> bool:
        """Whether the answer is right."""
        return self.reply == self.question.answer


@dataclass(frozen=True)
class Probes:
    """All probes of one mind; where there are none, ``why_not`` says why and the rest is empty."""

    why_not: str | None = None
    probes: tuple[Probe, ...] = ()
    comprehension: tuple[ComprehensionAnswer, ...] = ()

    @property
    def understood(self) -> Estimate | None:
        """The share of comprehension questions answered correctly, with its exact 95% interval."""
        return self._right(RULES, ROUNDS)

    @property
    def recognized(self) -> Estimate | None:
        """The same of the questions about what is known of the game; one in four is chance."""
        return self._right(KNOWN)

    def _right(self, *about: str) -> Estimate | None:
        answered = [one.right for one in self.comprehension if one.question.about in about]
        if not answered:
            return None
        low, high = exact_interval(sum(answered), len(answered))
        return Estimate(sum(answered) / len(answered), low, high)

    @property
    def sentence(self) -> str:
        """How well the comprehension questions were answered, in words."""
        understood = self.understood
        assert understood is not None
        parts = []
        for about, words in ((RULES, "the rules"), (ROUNDS, "remembered rounds")):
            some = [one.right for one in self.comprehension if one.question.about == about]
            if some:
                parts.append(f"{sum(some)} of {len(some)} about {words}")
        enough = understood.value >= MASTERED
        doubt = "" if enough else "; its choices may show a lack of understanding, not a preference"
        return f"It answered {' and '.join(parts)} correctly{doubt}. {self._recognition}"

    @property
    def _recognition(self) -> str:
        """Whether it is shown to know the game, in words."""
        recognized = self.recognized
        assert recognized is not None
        asked = [one for one in self.comprehension if one.question.about == KNOWN]
        chance = 1 / len(asked[0].question.choices)
        shown = "it knows this game" if recognized.low > chance else "that it does is not shown"
        right = sum(one.right for one in asked)
        return f"Of {KNOWN} it answered {right} of {len(asked)} correctly: {shown}."

    def as_object(self) -> dict[str, Any]:
        """Return the probes as plain data, for JSON."""
        understood, recognized = self.understood, self.recognized
        return {
            "applicable": self.why_not is None,
            "why_not": self.why_not,
            "probes": [
                {
                    "probe": one.kind,
                    "conditions": [
                        {
                            "label": it.label,
                            "unusable": it.unusable,
                            **it.preference.as_object(),
                        }
                        for it in one.conditions
                    ],
                    "p_value": one.p_value,
                    "passed": one.passed,
                    "sentence": one.sentence,
                }
                for one in self.probes
            ],
            "comprehension": {
                "right": understood._asdict() if understood is not None else None,
                "recognized": recognized._asdict() if recognized is not None else None,
                "questions": [
                    {
                        "about": one.question.about,
                        "question": one.question.text,
                        "memory": [list(pair) for pair in one.question.memory],
                        "answer": one.question.answer,
                        "reply": one.reply,
                        "right": one.right,
                    }
                    for one in self.comprehension
                ],
            },
        }


def wordings(mind: LiveMind) -> tuple[Template, ...]:
    """Return the mind's own wording, and the paraphrases that differ from it."""
    shipped = (shipped_template(name) for name in PARAPHRASES)
    return (mind.template, *(it for it in shipped if it.version != mind.template.version))


def nonsense(number: int, seed: int) -> tuple[str, ...]:
    """Return different made-up words of four letters."""
    chance = random.Random(seed)
    made: dict[str, None] = {}
    while len(made) < number:
        made["".join(chance.choice(kind) for kind in (_CONSONANTS, _VOWELS) * 2)] = None
    return tuple(made)


def _worded(mind: LiveMind, template: Template) -> LiveMind:
    """Return a mind with another wording of its prompts."""
    made = copy(mind)
    made.template = template
    return made


def probe_questions(
    mind: LiveMind, game: Game, interviewer: Interviewer, times: int, seed: int
) -> tuple[list[tuple[str, list[Query]]], tuple[ComprehensionQuestion, ...]]:
    """Return all questions: first choices by condition, and about comprehension."""
    series = [
        (
            f"wording {template.version}",
            interviewer.balanced(_worded(mind, template), game, (), times),
        )
        for template in wordings(mind)
    ]
    fixed = interviewer.with_order(mind, game.pool)
    series.append(("fixed order", [Query(fixed, game)] * times))
    made_up = replace(game, pool=nonsense(len(game.pool), seed))
    series.append(("nonsense names", interviewer.balanced(mind, made_up, (), times)))
    return series, comprehension_questions(game, seed)


def probe(
    mind: LiveMind, game: Game, interviewer: Interviewer, times: int, seed: int, level: float
) -> Probes:
    """Ask all questions, ``times`` per condition, and return what the answers show.

    Raises ``CallError`` and ``BudgetError`` as a live run does.
    """
    series, questions = probe_questions(mind, game, interviewer, times, seed)
    replies = {label: interviewer.ask(asked) for label, asked in series}
    answers = interviewer.ask(
        Query(
            interviewer.with_words(mind, comprehension_prompt(mind.template, game, one)),
            replace(game, pool=one.choices),
        )
        for one in questions
    )
    made_up = nonsense(len(game.pool), seed)
    found = tuple(_read(replies, game.pool, made_up, level))
    return Probes(None, found, tuple(map(ComprehensionAnswer, questions, answers)))


def _read(
    replies: dict[str, list[str | None]],
    pool: Sequence[str],
    made_up: Sequence[str],
    level: float,
) -> Iterator[Probe]:
    words = {label: it for label, it in replies.items() if label.startswith("wording ")}
    own = next(iter(words.values()))
    conditions = tuple(
        _condition(label.removeprefix("wording "), count(it), pool, level)
        for label, it in words.items()
    )
    yield _compared("wording", conditions, level, "the wording")
    fixed = _condition("fixed order", count(replies["fixed order"]), pool, level)
    rotated = _condition("all rotations", count(own), pool, level)
    yield _compared("order", (rotated, fixed), level, "whether the order of names is fixed")
    yield _place(own, pool, level)
    strange = _condition("nonsense names", count(replies["nonsense names"]), made_up, level)
    yield _nonsense(strange, level)


def _condition(label: str, found: Answers, pool: Sequence[str], level: float) -> Condition:
    preference = counted(pool, found.counts(pool), equal(pool), 1 - level)
    return Condition(label, preference, found.unusable)


def _compared(kind: str, conditions: tuple[Condition, ...], level: float, what: str) -> Probe:
    p_value = same_test([one.preference.counts for one in conditions])
    passed = p_value >= level
    shown = "are not shown to depend" if passed else "depend"
    return Probe(kind, conditions, p_value, passed, f"First choices {shown} on {what}.")


def _place(replies: Sequence[str | None], pool: Sequence[str], level: float) -> Probe:
    """Return how often the name in each place of the list was chosen, names themselves aside."""
    size = len(pool)
    places = [
        (pool.index(reply) - turn) % size
        for turn, reply in enumerate(replies)
        if reply is not None and reply in pool
    ]
    labels = tuple(f"place {number}" for number in range(1, size + 1))
    counts = [places.count(number) for number in range(size)]
    preference = counted(labels, counts, equal(labels), 1 - level)
    p_value = preference.p_value
    passed = p_value is None or p_value >= level
    favorite = preference.favorite
    sentence = (
        "No place in the list is shown to be preferred."
        if passed
        else f"What stands in {favorite.name} of the list is chosen {favorite.share.value:.0%} "
        "of the time, whatever it is: names have to be shown in random orders."
    )
    condition = Condition("by place", preference, len(replies) - len(places))
    return Probe("place", (condition,), p_value, passed, sentence)


def _nonsense(condition: Condition, level: float) -> Probe:
    p_value = condition.preference.p_value
    favorite = condition.preference.favorite
    biased = p_value is not None and p_value < level
    sentence = (
        f"Among made-up words it prefers {favorite.name}: preferences do not need names it knows."
        if biased
        else "Among made-up words no preference is shown."
    )
    return Probe("nonsense names", (condition,), p_value, None, sentence)
