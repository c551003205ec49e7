"""Comprehension: questions about the rules and the remembered rounds, whose answers are known.

Every question is put in the words of the mind's own prompt, after the situation it is about, and is
answered by one of a few choices. So a model that cannot read a memory is told from one that reads
it and has a preference.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from mesa_llm_norms.game import Game
from mesa_llm_norms.memory import Memory, Remembered, score
from mesa_llm_norms.minds.live import Prompt, Template
from mesa_llm_norms.minds.live.prompt import points

RULES, ROUNDS = "rules", "remembered rounds"
MEMORIES = 3
"""How many memories questions are asked about."""

_FORM = """{situation}

This time, do not pick a name. Answer a question about the game and about what is written above:
{question}

Answer with one of these and nothing else: {choices}"""


class ComprehensionQuestion(NamedTuple):
    """A question with a known answer: what it is about, its words, choices and the right one."""

    about: str
    text: str
    choices: tuple[str, ...]
    answer: str
    memory: Memory


def comprehension_questions(game: Game, seed: int) -> tuple[ComprehensionQuestion, ...]:
    """Return the questions of an audit: the same for the same game and seed.

    They are about the empty memory and about drawn ones, each with matches and misses in it.
    """
    chance = random.Random(seed)
    found = list(_about_rules(game, chance))
    drawn: list[Memory] = []
    while len(drawn) < MEMORIES:
        memory = _drawn_memory(game, chance)
        if memory not in drawn:
            drawn.append(memory)
            found += _about_rounds(game, memory, chance)
    return tuple(found)


def put_question(template: Template, game: Game, question: ComprehensionQuestion) -> Prompt:
    """Return the prompt that asks a question, in the mind's own wording of the game."""
    told = template.fill(game, question.memory, game.pool)
    user = _FORM.format(
        situation=told.user, question=question.text, choices=", ".join(question.choices)
    )
    return Prompt(told.system, user)


def _about_rules(game: Game, chance: random.Random) -> Iterator[ComprehensionQuestion]:
    first, second = game.pool[:2]
    worth = {points(game.reward), points(game.penalty), "0"}
    worth |= {points(-game.reward), points(-game.penalty)} - {"0"}
    choices = _shuffled(worth, chance)
    yes = ("yes", "no")
    yield ComprehensionQuestion(
        RULES,
        f"You pick {first} and the other player picks {first}. How many points do you get?",
        choices,
        points(game.reward),
        (),
    )
    yield ComprehensionQuestion(
        RULES,
        f"You pick {first} and the other player picks {second}. How many points do you get?",
        choices,
        points(game.penalty),
        (),
    )
    yield ComprehensionQuestion(
        RULES,
        f"You pick {second} and the other player picks {first}. How many points does the other "
        "player get?",
        choices,
        points(game.penalty),
        (),
    )
    yield ComprehensionQuestion(
        RULES, "Can you see what the other player picks before you pick?", yes, "no", ()
    )
    yield ComprehensionQuestion(
        RULES, "Is the other player the same in every round?", yes, "no", ()
    )


def _about_rounds(
    game: Game, memory: Memory, chance: random.Random
) -> Iterator[ComprehensionQuestion]:
    number = chance.randint(1, len(memory))
    own, partner = memory[number - 1]
    names = game.pool
    matches = sum(one.own == one.partner for one in memory)
    sums = {
        points(game.reward * won + game.penalty * (len(memory) - won))
        for won in range(len(memory) + 1)
    }
    yield ComprehensionQuestion(
        ROUNDS, f"Which name did you pick in round {number}?", names, own, memory
    )
    yield ComprehensionQuestion(
        ROUNDS, f"Which name did the other player pick in round {number}?", names, partner, memory
    )
    if game.reward != game.penalty:
        yield ComprehensionQuestion(
            ROUNDS,
            f"How many points did you get in round {number}?",
            _shuffled({points(game.reward), points(game.penalty)}, chance),
            points(game.payoff(own, partner)),
            memory,
        )
    yield ComprehensionQuestion(
        ROUNDS,
        "In how many of these rounds did you and the other player pick the same name?",
        tuple(map(str, range(len(memory) + 1))),
        str(matches),
        memory,
    )
    if len(sums) > 1:
        yield ComprehensionQuestion(
            ROUNDS,
            "How many points did you get in these rounds together?",
            _shuffled(sums, chance),
            points(score(memory, game)),
            memory,
        )


def _drawn_memory(game: Game, chance: random.Random) -> Memory:
    """Return a full memory of drawn names, in about half of which both picked the same."""
    memory = []
    for _ in range(game.memory):
        own = chance.choice(game.pool)
        partner = own if chance.random() < 0.5 else chance.choice(game.pool)
        memory.append(Remembered(own, partner))
    return tuple(memory)


def _shuffled(choices: set[str], chance: random.Random) -> tuple[str, ...]:
    return tuple(chance.sample(sorted(choices), len(choices)))
