"""A link holds the whole setting, and nothing in it can make the page fall over."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms import NormsError
from mesa_llm_norms.core.limits import LINKED_INTERACTIONS, POINTS, SEED
from mesa_llm_norms.errors import MindError, SpecError
from mesa_llm_norms.web.model_source import (
    ModelSource,
    ServerSettings,
    check_permission,
    configure_server,
    server_settings,
)
from mesa_llm_norms.web.player import Player
from mesa_llm_norms.web.setting import (
    Commitment,
    EdgeChange,
    Setting,
    describe_difference,
    program,
    read_edit,
    read_typed,
)

texts = st.text(max_size=20)
places = st.integers(0, 999)
edits = st.one_of(
    st.builds(
        Commitment,
        st.integers(0, 10**6),
        places,
        st.none() | st.text(min_size=1, max_size=8),
    ),
    st.builds(EdgeChange, st.integers(0, 10**6), places, places, st.booleans()),
)
listed = st.lists(st.text(min_size=1, max_size=12), max_size=3).map(tuple)


@st.composite
def settings_(draw: Any) -> Setting:
    return Setting(
        topology=draw(texts),
        names=draw(texts),
        mind=draw(listed),
        pairing=draw(texts),
        memory=draw(st.integers(1, 100)),
        reward=draw(st.floats(-1e6, 1e6)),
        penalty=draw(st.integers(-1000, 1000)),
        incumbent=draw(texts),
        committed=draw(listed),
        seed=draw(st.integers(0, 2**64 - 1)),
        rounds=draw(st.integers(0, 1000)),
        edits=tuple(sorted(draw(st.lists(edits, max_size=6)), key=lambda edit: edit.at)),
        at=draw(st.integers(0, LINKED_INTERACTIONS.high)),
    )


@given(settings_(), settings_())
def test_a_link_gives_the_setting_back(setting: Setting, other: Setting) -> None:
    assert Setting.from_query(setting.query()) == setting
    assert Setting.from_query(setting.query(other), other) == setting


@given(edits)
def test_a_change_is_read_as_it_is_written(edit: Commitment | EdgeChange) -> None:
    assert read_edit(edit.text) == edit


def test_what_is_as_usual_is_not_in_the_link() -> None:
    assert Setting().query() == ""
    assert Setting(names="QM", seed=7).query() == "names=QM&seed=7"


@given(st.sampled_from([field.name for field in fields(Setting)] + ["edit", "x"]), texts)
def test_any_link_gives_a_setting_or_one_clear_error(key: str, text: str) -> None:
    from urllib.parse import urlencode

    try:
        setting = Setting.from_query(urlencode({key: text}))
    except SpecError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert isinstance(setting, Setting)


@pytest.mark.parametrize(
    "query",
    [
        "seed=-1",
        "seed=x",
        "memory=1e3",
        "memory=-2",
        "at=99999999999",
        "reward=nan",
        "edit=5",
        "rounds=1.5",
    ],
)
def test_values_that_cannot_be_are_refused(query: str) -> None:
    with pytest.raises(SpecError):
        Setting.from_query(query)


def test_a_setting_is_the_spec_that_the_command_line_would_read() -> None:
    setting = Setting(
        topology="ring(n=8)",
        names="yes,no",
        mind=("claude-3.5-sonnet=0.75", "uniform=0.25"),
        incumbent="no",
        committed=("yes=2:hubs",),
        seed=5,
    )
    spec = setting.spec()
    assert spec.game.pool == ("yes", "no")
    assert spec.mind == {"claude-3.5-sonnet": 0.75, "uniform": 0.25}
    assert spec.committed == {"yes": (2, "hubs")}
    assert (spec.incumbent, spec.seed) == ("no", 5)


@pytest.mark.parametrize(
    "setting",
    [
        Setting(topology="../secret.graphml"),
        Setting(topology='file("../secret.graphml")'),
        Setting(topology='file("own.graphml", part="largest")'),
        Setting(mind=("secret.json",)),
        Setting(mind=("claude:claude-haiku-5-5",)),
        Setting(mind=("claude-3.5-sonnet=0.5", "llama:http://127.0.0.1:1/v1#x=0.5")),
    ],
)
def test_a_link_opens_no_file_and_makes_no_call(setting: Setting) -> None:
    with pytest.raises(NormsError, match=r"app --(mind|topology)"):
        check_permission(setting)


def test_what_the_page_was_started_with_may_be_used() -> None:
    before = server_settings()
    configure_server(
        ServerSettings(minds=("claude:claude-haiku-5-5",), topologies=("own.graphml",))
    )
    try:
        check_permission(Setting(topology="own.graphml", mind=("claude:claude-haiku-5-5",)))
        with pytest.raises(SpecError):
            check_permission(Setting(mind=("claude:other",)))
    finally:
        configure_server(before)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused_before_it_is_used(seed: int) -> None:
    with pytest.raises(SpecError, match=r"0 to 2\*\*64 - 1"):
        Setting(seed=seed, committed=("Q=[0]",)).spec()


def test_a_mind_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises((SpecError, MindError)):
        replace(Setting(), mind=("claude-3.5-sonnet=x",)).spec()


# The program


SETTINGS = [
    Setting(names="QM", at=100),
    Setting(
        topology="lattice(rows=3, columns=4)",
        names="yes,no",
        mind=("claude-3.5-sonnet=0.5", "uniform=0.5"),
        pairing="matching",
        memory=3,
        reward=10,
        penalty=-1,
        incumbent="no",
        committed=("yes=2:hubs",),
        seed=9,
        edits=(Commitment(0, 3, "yes"), EdgeChange(17, 0, 5, True), EdgeChange(20, 0, 5, False)),
        at=33,
    ),
    Setting(edits=(Commitment(5, 1, "Q"), Commitment(5, 1, None), Commitment(900, 2, "Q")), at=50),
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_program_makes_the_run(setting: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    code = program(setting, list(ModelSource(setting).graph))
    made: dict[str, Any] = {}
    exec(compile(code, "program", "exec"), made)
    expected = shown(setting)
    assert list(made["model"].names_held.values()) == expected
    assert made["model"].interactions == setting.at
    assert capsys.readouterr().out.strip() == str(made["model"].names_held)


def shown(setting: Setting) -> list[str | None]:
    player = Player(ModelSource, setting)
    player.start()
    try:
        while player.frame.interactions < setting.at or player.frame.state != "paused":
            assert not player.frame.error
            time.sleep(0.01)
        pool = player.frame.pool
        return [pool[ord(code) - 48] if code != " " else None for code in player.frame.codes]
    finally:
        player.close()


def test_what_is_as_usual_is_not_written() -> None:
    code = program(Setting(names="QM"), [])
    assert "pairing" not in code
    assert "play" not in code


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"committed": ("M=5",)}, {}, "five who always say M"),
        ({"committed": ("M=1",)}, {}, "one who always says M"),
        ({}, {"committed": ("M=5",)}, "nobody committed"),
        ({"committed": ("M=10%",)}, {}, "10% who always say M"),
        ({"committed": ("M=0.25",)}, {}, "25% who always say M"),
        ({"committed": ("M=[0,5,9]",)}, {}, "three who always say M"),
        (
            {"committed": ("M=4:hubs",)},
            {"committed": ("M=4:periphery",)},
            "four with the most neighbors who always say M",
        ),
        (
            {"committed": ("M=2:k-core:noise=10%:until=20",)},
            {},
            "two chosen by k-core who nearly always say M until round 20",
        ),
        ({"committed": ("M=2", "Q=14")}, {}, "two who always say M, 14 who always say Q"),
        ({"topology": "complete(n=48)"}, {}, "everybody meets everybody, 48 agents"),
        ({"topology": "ring(48, k=4)"}, {}, "a ring, 48 agents, 4 neighbors each"),
        ({"topology": "random_tree"}, {}, "random tree"),
        ({"mind": ("uniform=0.25", "copycat=0.75")}, {}, "25% uniform, 75% copycat"),
        ({"mind": ("llama-2-70b-chat",)}, {}, "llama-2-70b-chat"),
        ({"memory": 1, "incumbent": "Q"}, {}, "a memory of 1 interaction; all used to saying Q"),
        ({"names": "QM"}, {"names": "QMX"}, "the names Q, M"),
        ({"seed": 3, "at": 5}, {}, "seed 3"),
        ({"at": 5}, {}, "the same setting"),
    ],
)
def test_a_difference_is_told_in_words(
    one: dict[str, Any], other: dict[str, Any], words: str
) -> None:
    assert describe_difference(Setting(**one), Setting(**other)) == words


@given(st.builds(Setting, committed=st.tuples(texts), topology=texts, mind=st.tuples(texts)))
def test_any_difference_can_be_told(setting: Setting) -> None:
    assert describe_difference(setting, Setting())


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("1,000,000", 1_000_000),
        ("3.0", 3),
        (str(2**64 - 1),) * 2,
    ],
)
def test_whole_numbers_are_read_as_people_write_them(text: str, number: Any) -> None:
    assert read_typed("seed", text, SEED, whole=True) == int(number)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a number"),
        ("hello", "is not a number"),
        ("3.5", "is not a whole number"),
        ("1e3", "is not a whole number"),
        ("-3", "out of range"),
        ("0,2", "has a comma"),
        ("0,200", "has a comma"),
        ("nan", "out of range"),
        ("inf", "out of range"),
        ("9" * 5_000, "out of range"),
    ],
)
def test_what_is_no_whole_number_is_told_in_words(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        read_typed("seed", text, SEED, whole=True)
    assert caught.value.remedy == "Use a whole number, 0 to 2**64 - 1."


@given(st.text(max_size=12))
def test_anything_typed_is_a_number_in_range_or_one_clear_error(text: str) -> None:
    for whole, limit in ((True, SEED), (False, POINTS)):
        with suppress(SpecError):
            number = read_typed("it", text, limit, whole=whole)
            assert number in limit
            assert not whole or isinstance(number, int)
