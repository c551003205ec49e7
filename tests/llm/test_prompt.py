"""A prompt holds all an agent may know, as data; a name is read from a reply exactly, or not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import memories

from mesa_llm_norms.core.game import Game, Memory, score
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import FileFormatError, PoolError
from mesa_llm_norms.llm.prompt import (
    QUOTES,
    Template,
    check_names,
    default_template,
    points,
    read_json,
    read_plain,
    read_template,
)
from mesa_llm_norms.llm.provider import live_mind
from mesa_llm_norms.minds import Situation

TEXT = default_template().text
POOL = ("Q", "M", "$names", "{score}", "%s", "$$", "[user]", "x" * 24)


@given(memories(POOL, max_size=5), st.permutations(POOL), st.integers(1, 500))
def test_every_part_is_in_the_prompt_and_names_are_never_read_as_a_template(
    memory: Memory, order: list[str], reward: int
) -> None:
    game = Game(POOL, reward=reward, penalty=-7)
    prompt = default_template().fill(game, memory, order)
    assert f"+{reward} points" in prompt.system
    assert "-7 points" in prompt.system
    assert ", ".join(order) in prompt.user
    assert points(score(memory, game)) in prompt.user
    lines = re.findall(
        r"^(\d)\. You picked (.*), the other player picked (.*): (.*) points$", prompt.user, re.M
    )
    assert [(own, partner) for _, own, partner, _ in lines] == [tuple(pair) for pair in memory]
    assert [number for number, *_ in lines] == [str(n + 1) for n in range(len(memory))]
    assert [worth for *_, worth in lines] == [points(game.payoff(*pair)) for pair in memory]
    assert ("none yet" in prompt.user) == (not memory)


def test_the_order_of_names_is_drawn_for_each_decision_and_the_same_again() -> None:
    mind = live_mind("claude:any")
    game = Game(tuple("QMXY"))
    orders = [
        mind.prompt(Situation(game, (), 0, RandomStream(1), number, seat)).user
        for _ in range(2)
        for number in range(50)
        for seat in (0, 1)
    ]
    assert orders[:100] == orders[100:]
    assert 15 < len(set(orders)) <= 24


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("$names", "the names", "never mentions $names"),
        ("$memory", "nothing", "never mentions $memory"),
        ("$score", "many", "never mentions $score"),
        ("$reward", "100", "never mentions $reward"),
        ("$penalty", "50", "never mentions $penalty"),
        ("$own", "it", "never mentions $own"),
        ("$partner", "it", "never mentions $partner"),
        ("$points", "some", "never mentions $points"),
        ("$score", "$score $partner_id", r"holds $partner_id"),
        ("$score", "$score $ 5", "holds a $ that names nothing"),
        ("[none]", "[nothing]", "its parts are not"),
        ("[round]", "", "its parts are not"),
        ("[system]", "Hello\n[system]", "its parts are not"),
        ("(none yet, this is your first round)", "", "[none] is empty"),
    ],
)
def test_a_template_that_lacks_something_is_refused(old: str, new: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(FileFormatError, match=re.escape(words)):
        Template(TEXT.replace(old, new), "mine")


def test_a_template_is_known_by_its_words(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(TEXT + "\n", encoding="utf-8")
    mine = read_template(path)
    assert mine.version.startswith("mine-")
    assert mine.version != Template(TEXT, "mine").version
    assert default_template().version == "naming-1"
    with pytest.raises(FileFormatError):
        read_template(tmp_path / "nowhere.txt")


@pytest.mark.parametrize("name", ["Q", "Ångström", "名", "😀", "it's", "a-b_c.d", "x" * 24])
def test_names_of_letters_digits_and_symbols_may_stand_in_a_prompt(name: str) -> None:
    check_names(["Q2", name])


@pytest.mark.parametrize(
    "name", ["a b", "x" * 25, "a,b", "a:b", '"a"', "a\u2028b", "a\n", "<a>", "$a"]
)
def test_others_may_not(name: str) -> None:
    with pytest.raises(PoolError):
        check_names(["Q", name])


# Names in replies

READABLE = ("Q", "M", "Zoë “the” 2nd")

POOLS = st.lists(
    st.text("QMé .\"'“”{}:\\", min_size=1, max_size=4).filter(lambda name: name == name.strip()),
    min_size=2,
    max_size=4,
    unique=True,
)


@given(POOLS, st.data())
def test_a_name_is_read_back_as_json_and_in_words(pool: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(pool))
    assert read_json(json.dumps({"name": name}), pool) == name
    assert read_json(json.dumps({"name": name}, indent=2, ensure_ascii=False), pool) == name
    space = data.draw(st.text(" \n\t", max_size=2))
    assert read_plain(space + name + space, pool) == name


@pytest.mark.parametrize("text", ["Q.", '"Q"', '"Q".', '"Q."', "“Q”", "'Q'", " `Q`.\n"])
def test_marks_around_a_name_do_not_count(text: str) -> None:
    assert read_plain(text, READABLE) == "Q"


@pytest.mark.parametrize(
    "text",
    ["", ".", '""', "q", "Q..", '""Q""', '"Q', 'Q"', "Q M", "Q, M", "I pick Q", "Q!", "*Q*", '“Q"'],
)
def test_no_name_is_looked_for_in_other_words(text: str) -> None:
    assert read_plain(text, READABLE) is None


def test_where_two_names_could_be_meant_none_is() -> None:
    assert read_plain("Q.", ["Q", "Q."]) == "Q."
    assert read_plain('"Q."', ["Q", "Q."]) is None
    assert read_plain('"Q."', ["M", "Q."]) == "Q."


@given(st.text() | st.text("QM .\"'“”", max_size=6), POOLS)
def test_what_is_read_in_words_is_the_name_and_nothing_but_marks(
    text: str, pool: list[str]
) -> None:
    name = read_plain(text, pool)
    if name is None:
        assert text.strip() not in pool
    else:
        before, _, after = text.strip().partition(name)
        assert len(before) <= 1
        assert len(after) <= 2
        assert set(before + after) <= set("".join(QUOTES) + ".")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("QMqm", max_size=2),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["name", "Name", "names"]), inner, max_size=2)
        ),
    )
)
def test_json_that_is_not_the_object_asked_for_is_no_name(content: Any) -> None:
    expected = next((name for name in READABLE if content == {"name": name}), None)
    assert read_json(json.dumps(content), READABLE) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Q", "name": "M"}',
        '{"name": "Q", "why": ""}',
        '[["name", "Q"]]',
        '{"name": "Q"} M',
        '```json\n{"name": "Q"}\n```',
        '{"name": ["Q"]}',
        '{"name": "Q',
        '{"a":' * 100_000,
        "9" * 10_000,
        "NaN",
        "",
    ],
)
def test_json_that_says_more_or_less_than_one_name_is_no_name(text: str) -> None:
    assert read_json(text, READABLE) is None


@given(st.text())
def test_no_text_that_is_not_an_object_with_a_name_is_read_as_one(text: str) -> None:
    assert read_json(text, READABLE) is None
    assert read_plain(text, ["no such", "text"]) is None or "no such" in text or "text" in text
