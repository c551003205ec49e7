"""A name is read out of a reply to the letter, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.llm.prompt import QUOTES, read_json, read_plain

POOL = ("Q", "M", "Zoë “the” 2nd")

NAMES = st.lists(
    st.text("QMé .\"'“”{}:\\", min_size=1, max_size=4).filter(lambda name: name == name.strip()),
    min_size=2,
    max_size=4,
    unique=True,
)


@given(NAMES, st.data())
def test_a_name_is_read_back_as_json_and_in_words(pool: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(pool))
    assert read_json(json.dumps({"name": name}), pool) == name
    assert read_json(json.dumps({"name": name}, indent=2, ensure_ascii=False), pool) == name
    space = data.draw(st.text(" \n\t", max_size=2))
    assert read_plain(space + name + space, pool) == name


@pytest.mark.parametrize("text", ["Q.", '"Q"', '"Q".', '"Q."', "“Q”", "'Q'", " `Q`.\n"])
def test_marks_around_a_name_do_not_count(text: str) -> None:
    assert read_plain(text, POOL) == "Q"


@pytest.mark.parametrize(
    "text",
    ["", ".", '""', "q", "Q..", '""Q""', '"Q', 'Q"', "Q M", "Q, M", "I pick Q", "Q!", "*Q*", '“Q"'],
)
def test_no_name_is_looked_for_in_other_words(text: str) -> None:
    assert read_plain(text, POOL) is None


def test_where_two_names_could_be_meant_none_is() -> None:
    assert read_plain("Q.", ["Q", "Q."]) == "Q."
    assert read_plain('"Q."', ["Q", "Q."]) is None
    assert read_plain('"Q."', ["M", "Q."]) == "Q."


@given(st.text() | st.text("QM .\"'“”", max_size=6), NAMES)
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
    expected = next((name for name in POOL if content == {"name": name}), None)
    assert read_json(json.dumps(content), POOL) == expected


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
    assert read_json(text, POOL) is None


@given(st.text())
def test_no_text_that_is_not_an_object_with_a_name_is_read_as_one(text: str) -> None:
    assert read_json(text, POOL) is None
    assert read_plain(text, ["no such", "text"]) is None or "no such" in text or "text" in text
