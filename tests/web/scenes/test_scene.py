"""Scenes: what a teacher's file may say, what is refused and how, and that promises are kept.

A right scene fails a statistical check here for ``FALSE_ALARM`` of all seeds at most, and the seed
is fixed. Of 200 runs a promise of 0.9 must hold in 157 or more, of 40 in 25 or more.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from chances import FALSE_ALARM
from llama import needs_smollm2
from scipy import stats

from mesa_llm_norms import NamingGame, Policy, load_mind
from mesa_llm_norms.core.game import read_memory
from mesa_llm_norms.errors import FileFormatError, SpecError
from mesa_llm_norms.reproduction.observed import Group, shipped_people
from mesa_llm_norms.web.scenes.answers import result_of
from mesa_llm_norms.web.scenes.scene import (
    Measured,
    Scene,
    measure,
    play_setting,
    read_scene,
    read_scenes,
    sentences,
)
from mesa_llm_norms.web.setting import Setting

SMALL = "a-small-model"
"""The scene of a model that not every machine has."""
SHIPPED = {key: scene for key, scene in read_scenes().items() if key != SMALL}
SLOW = {"a-convention-is-born", "dialects-on-a-ring", "two-communities-and-a-bridge"}
"""Scenes with ten names: there are many more memories to meet, so that runs take longer."""
PLAIN = """
title = "Two names"
text = "Everybody meets everybody. There are two names. They play on."
question = "Which name is ahead in the end?"
why = "It was met more often."
speed = 1

[setting]
topology = "complete(n=6)"
names = "QM"
mind = "claude-3.5-sonnet"
rounds = 5

[[answers]]
text = "Q"
when = {leader = "Q"}

[[answers]]
text = "M"
when = "otherwise"
"""
BESIDE = """
[compare]
topology = "ring(n=6)"
"""
each = pytest.mark.parametrize("scene", SHIPPED.values(), ids=SHIPPED)
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is on this machine, unless a test says so."""
    monkeypatch.setattr("mesa_llm_norms.web.scenes.scene.ready_models", lambda: ())


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return what writes a scene's file, with some of its text replaced by other text."""

    def write(*changes: tuple[str, str], name: str = "my-scene.toml") -> Path:
        text = PLAIN
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def runs_of(scene: Scene) -> int:
    return 40 if scene.key in SLOW else 200


@cache
def found(key: str) -> Measured:
    scene = SHIPPED[key]
    return measure(scene, runs_of(scene), seed=7)


# The scenes that ship


def test_the_scenes_are_there_in_order() -> None:
    assert list(SHIPPED) == [
        "a-convention-is-born",
        "whose-name-wins",
        "dialects-on-a-ring",
        "two-communities-and-a-bridge",
        "the-committed-few",
        "hubs",
        "one-model-against-another",
        "people-against-minds",
        "noisy-hubs",
    ]


def test_the_scene_of_a_model_is_there_where_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesa_llm_norms.web.scenes.scene.ready_models", lambda: ("smollm2",))
    scenes = read_scenes()
    assert list(scenes) == [*SHIPPED, SMALL]
    assert [setting.mind for setting in scenes[SMALL].settings(1)] == [("smollm2",)]
    assert scenes[SMALL].measured is not None


@pytest.mark.llama
@needs_smollm2
def test_the_scene_of_a_model_in_this_process_is_measured(write: Write) -> None:
    scene = read_scene(write(("claude-3.5-sonnet", "smollm2"), ("rounds = 5", "rounds = 2")))
    measured = measure(scene, 3, seed=7)
    assert measured == measure(scene, 3, seed=7)
    assert sum(measured.times) == measured.runs == 3


@each
def test_what_the_scene_promises_comes_true(scene: Scene) -> None:
    assert scene.promise is not None
    kept = sum(found(scene.key).times[answer] for answer in scene.promise.answers)
    chance = stats.binom.cdf(kept, runs_of(scene), scene.promise.at_least)
    assert chance > FALSE_ALARM, f"{kept} of {runs_of(scene)}"


@each
def test_the_numbers_shown_with_the_scene_are_those_of_other_seeds_too(scene: Scene) -> None:
    """Every answer is a check of its own, by Fisher's exact test."""
    assert scene.measured is not None
    again = found(scene.key)
    for before, now in zip(scene.measured.times, again.times, strict=True):
        table = np.array([[before, scene.measured.runs - before], [now, again.runs - now]])
        assert stats.fisher_exact(table).pvalue > FALSE_ALARM


@each
def test_what_is_measured_is_beyond_what_is_promised(scene: Scene) -> None:
    assert scene.measured is not None
    assert scene.promise is not None
    kept = sum(scene.measured.shares[answer] for answer in scene.promise.answers)
    assert kept >= scene.promise.at_least


@each
def test_the_page_plays_what_the_measurement_plays(scene: Scene) -> None:
    """Interaction by interaction, stopping where the page does; run 0 of a seed is the page's."""
    for seed in (1, 2):
        shown = []
        for setting in scene.settings(seed):
            model, rounds = played_as_on_the_page(setting, scene.stop)
            shown.append(result_of(model, rounds))
            assert shown[-1] == next(play_setting(setting, scene.stop, runs=1))
        assert scene.came_true(shown) is not None


def played_as_on_the_page(setting: Setting, stop: str | None) -> tuple[NamingGame, int]:
    """Return the model after play, and how many rounds were begun."""
    spec = setting.spec()
    model = NamingGame(
        graph=spec.graph,
        names=spec.names,
        mind=spec.mind,
        pairing=spec.pairing,
        memory=spec.memory,
        incumbent=spec.incumbent,
        committed=spec.committed,
        rng=spec.seed,
    )
    rounds = 0
    for row in model.play():
        rounds = row.round + 1
        if stop == "converged" and model.converged:
            break
        if rounds == setting.rounds and model.between_rounds:
            break
    return model, rounds


@each
def test_the_scene_takes_no_longer_than_a_class_will_watch(scene: Scene) -> None:
    assert 20 <= scene.setting.rounds / scene.speed <= 100
    for setting in scene.settings(1):
        assert 16 <= len(setting.spec().initial_state().neighbors) <= 60


@each
def test_the_scene_is_free(scene: Scene) -> None:
    assert not any(setting.spec().live for setting in scene.settings(1))


def test_the_two_networks_with_hubs_are_one() -> None:
    first, second = (setting.spec().initial_state() for setting in SHIPPED["hubs"].settings(5))
    assert nx.utils.graphs_equal(first.graph, second.graph)
    assert isinstance(first.graph, nx.Graph)
    degree = dict(first.graph.degree)
    hubs, edge = (
        [
            degree[node]
            for node, mind in initial.minds_by_node.items()
            if mind.label == "committed to M"
        ]
        for initial in (first, second)
    )
    assert len(hubs) == len(edge) == 4
    assert min(hubs) > max(edge)


def probability_of(mind: str, name: str, memory: str) -> float:
    """Return the probability of a name after interactions like ``QM``: own, partner's name."""
    remembered = read_memory([(pair[0], pair[1]) for pair in memory.split()])
    recorded = load_mind(mind)
    assert isinstance(recorded, Policy)
    return float(recorded.distribution(remembered, ("Q", "M"))["QM".index(name)])


def test_what_the_texts_say_of_a_single_agent_is_so() -> None:
    """The hundredths in the texts are those of the recorded minds."""
    llama_3, llama_2, claude = "llama-3-70b-instruct", "llama-2-70b-chat", "claude-3.5-sonnet"
    said = SHIPPED["whose-name-wins"].text + SHIPPED["whose-name-wins"].why
    assert round(100 * probability_of(llama_3, "Q", "")) == 52
    assert re.findall(r"\b\d\d\b", said) == ["52", "48", "40", "71", "23"]
    assert round(100 * probability_of(llama_3, "M", "QQ QM")) == 71
    assert round(100 * probability_of(llama_3, "Q", "MM MQ")) == 23

    assert "83 of 100" in SHIPPED["one-model-against-another"].why
    assert round(100 * probability_of(llama_2, "Q", "QM")) == 83
    assert probability_of(llama_2, "M", "MQ") > 0.95
    assert min(probability_of(claude, "M", "QM"), probability_of(claude, "Q", "MQ")) > 0.95

    assert "twice in a row" in SHIPPED["the-committed-few"].why
    assert probability_of(claude, "Q", "QQ QQ QQ QQ QM") > 0.95
    assert probability_of(claude, "M", "QQ QQ QQ QM QM") > 0.95


# What the texts say of people


@pytest.fixture(scope="module")
def turned() -> dict[bool, list[Group]]:
    """The groups of 2018 by whether most of the uncommitted turned in some round."""
    found: dict[bool, list[Group]] = {True: [], False: []}
    for group in shipped_people().groups:
        found[max(group.alternative) > 0.5].append(group)
    return found


def test_what_is_said_of_the_ten_groups_is_so(turned: dict[bool, list[Group]]) -> None:
    said = SHIPPED["the-committed-few"].lesson.people
    assert "ten groups of 18 to 30 people" in said
    sizes = [group.agents for group in turned[True] + turned[False]]
    assert (len(sizes), min(sizes), max(sizes)) == (10, 18, 30)
    assert "all five groups where a quarter or more were committed" in said
    assert "in none of the five with less" in said
    assert [len(groups) for groups in turned.values()] == [5, 5]
    assert all(group.committed / group.agents >= 0.25 for group in turned[True])
    assert all(group.committed / group.agents < 0.25 for group in turned[False])
    first = [next(i for i, it in enumerate(g.alternative) if it > 0.5) for g in turned[True]]
    assert "after 13 to 57 rounds" in said
    assert (min(first), max(first)) == (13, 57)


def test_the_group_that_minds_stand_in_for_is_the_first(turned: dict[bool, list[Group]]) -> None:
    scene = SHIPPED["people-against-minds"]
    group = next(one for one in turned[False] if one.number == 1)
    for setting in scene.settings(1):
        spec = setting.spec()
        assert len(spec.initial_state().neighbors) == group.agents == 20
        assert setting.committed == (f"M={group.committed}",) == ("M=4",)
        assert setting.rounds == group.rounds == 42
    assert "5 of 100 answers" in scene.text
    assert round(100 * float(np.mean(group.alternative))) == 5
    assert max(group.alternative) < 0.5


def test_what_is_said_of_the_networks_of_2015_is_so() -> None:
    mixed, _, ring = shipped_people().networks
    born, dialects = (
        SHIPPED[key].lesson.people for key in ("a-convention-is-born", "dialects-on-a-ring")
    )
    assert "They used 63, and after 11 rounds half of their answers were the same name" in born
    assert mixed.names == 63
    assert next(i for i, share in enumerate(mixed.leading) if share >= 0.5) == 11
    assert "43% of answers on the ring were the leading name, and 91%" in dialects
    assert round(100 * float(np.mean(ring.leading[-3:]))) == 43
    assert round(100 * float(np.mean(mixed.leading[-3:]))) == 91


@each
def test_a_teacher_has_everything_for_a_scene_and_sources_for_people(scene: Scene) -> None:
    assert all(scene.lesson)
    said = scene.lesson.people
    assert bool(re.search(r"\d", said)) == ("docs/people.md" in said)


# What a file may say


def test_a_scene_is_read_as_it_is_written(write: Write) -> None:
    scene = read_scene(write(("speed = 1", 'speed = 0.5\nstop = "converged"'), name="3-my.toml"))
    assert scene.key == "my"
    assert scene.text == "Everybody meets everybody. There are two names. They play on."
    assert [answer.text for answer in scene.answers] == ["Q", "M"]
    (setting,) = scene.settings(9)
    assert setting == Setting(topology="complete(n=6)", names="QM", rounds=5, seed=9)
    assert (scene.speed, scene.stop, scene.promise, scene.measured) == (
        0.5,
        "converged",
        None,
        None,
    )


def test_two_populations_differ_in_the_one_thing_that_is_said(write: Write) -> None:
    path = write(
        ('[[answers]]\ntext = "Q"', BESIDE + '[[answers]]\ntext = "Q"'),
        ('{leader = "Q"}', '{first = {leader = "Q"}, more_names = "first"}'),
    )
    first, second = read_scene(path).settings(4)
    assert (first.topology, second.topology) == ("complete(n=6)", "ring(n=6)")
    assert first.seed == second.seed == 4


def test_own_scenes_come_after_the_shipped_ones_and_may_take_their_place(write: Write) -> None:
    folder = write(name="10-late.toml").parent
    write(name="9-early.toml")
    write(('"Two names"', '"My hubs"'), name="1-hubs.toml")
    scenes = read_scenes(folder)
    assert list(scenes) == [*SHIPPED, "early", "late"]
    assert scenes["hubs"].title == "My hubs"


def test_two_files_of_one_name_are_refused(write: Write) -> None:
    write(name="1-a.toml")
    folder = write(name="2-a.toml").parent
    with pytest.raises(FileFormatError, match="Rename"):
        read_scenes(folder)


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_scenes_is_refused(tmp_path: Path, there: bool) -> None:
    with pytest.raises(FileFormatError, match="no scene" if there else "no such folder"):
        read_scenes(tmp_path if there else tmp_path / "nowhere")


WRONG = {
    "TOML": ('title = "Two names"', "title = Two names", "not TOML.*line 2"),
    "an unknown key": ("speed", "sped", "unknown key 'sped' .did you mean 'speed'"),
    "an unknown key of the setting": ("topology", "topolgy", "did you mean 'topology'"),
    "the seed": ("rounds = 5", "rounds = 5\nseed = 3", "setting: unknown key 'seed'"),
    "no title": ('title = "Two names"', "", "'title'"),
    "an empty title": ('"Two names"', '" "', "'title' must be text"),
    "two sentences": ("There are two names. ", "", "2 sentences.*Write three"),
    "no end": ("rounds = 5", "", "when the scene ends"),
    "text for a number": ("rounds = 5", 'rounds = "5"', "rounds must be a whole number"),
    "a number for text": ('"QM"', "3", "names must be text"),
    "a table for texts": ('"claude-3.5-sonnet"', "{a = 1}", "mind must be a list of text"),
    "an unknown topology": ("complete(n=6)", "complet(n=6)", "cannot be played.*complete"),
    "an unknown mind": ("claude-3.5", "claude-9.5", "cannot be played.*claude-3.5"),
    "a graph too small": ("complete(n=6)", "complete(n=1)", "cannot be played"),
    "a speed of nothing": ("speed = 1", "speed = 0", "speed: it cannot be 0"),
    "another stop": ("speed = 1", 'speed = 1\nstop = "flipped"', "stop"),
    "a name of nobody": ('leader = "Q"', 'leader = "Z"', "answer 1.*cannot be 'Z'"),
    "a strange condition": ('leader = "Q"', 'winner = "Q"', "answer 1.*'winner'.*leader"),
    "no condition": ('{leader = "Q"}', '"Q"', "answer 1.*not a condition"),
    "a gap": ('"otherwise"', '{names = 2, leader = "M"}', "no answer comes true where"),
    "an overlap": ('"otherwise"', "{names = 1}", "(answers 1 and 2|no answer)"),
    "never": ('"otherwise"', '{leader = "M", flipped = true}', "no answer comes true where"),
    "no communities": ('leader = "Q"', 'communities = "mixed"', "no communities"),
    "two for all else": ('{leader = "Q"}', '"otherwise"', "the last answer"),
    "a promise of nothing": (
        "speed = 1",
        "speed = 1\npromise = {answer = 3, at_least = 0.5}",
        "promise: there is no such answer",
    ),
    "too much promised": (
        "speed = 1",
        "speed = 1\npromise = {answer = 1, at_least = 5}",
        "from 0 to 1",
    ),
    "a sum that is wrong": (
        "speed = 1",
        "speed = 1\nmeasured = {runs = 9, times = [4, 4]}",
        "add up",
    ),
    "a lesson that is no table": ("speed = 1", 'speed = 1\nlesson = "talk"', "lesson.*a table"),
    "an unknown part of a lesson": (
        '[[answers]]\ntext = "Q"',
        '[lesson]\nafterwards = "?"\n[[answers]]\ntext = "Q"',
        "lesson: unknown key 'afterwards'.*did you mean 'after'",
    ),
    "nothing to compare": (
        '[[answers]]\ntext = "Q"',
        '[compare]\n[[answers]]\ntext = "Q"',
        "one thing",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_sentence_with_the_file_and_a_remedy(write: Write, case: str) -> None:
    old, new, said = WRONG[case]
    path = write((old, new))
    with pytest.raises(FileFormatError, match=f"(?s){said}") as caught:
        read_scene(path)
    assert caught.value.path == path
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("One.", 1),
        ("One. Two! Three?", 3),
        ('It is Claude 3.5 Sonnet. They say "Q." Why (so)?', 3),
        ("One. Two. And no end", 3),
        ("", 0),
    ],
)
def test_sentences_are_counted_by_how_they_end(text: str, number: int) -> None:
    assert sentences(text) == number


# Measuring


def test_the_table_of_an_added_scene_is_printed_with_the_line_to_copy(write: Write) -> None:
    folder = write(("speed = 1", "speed = 1\npromise = {answer = [1, 2], at_least = 1}")).parent
    command = [sys.executable, "-m", "mesa_llm_norms.web.scenes", "my-scene"]
    options = ["--runs", "8", "--seed", "3", "--scenes", str(folder)]
    shown = subprocess.run(
        command + options, capture_output=True, text=True, check=False, timeout=120
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Which name is ahead in the end?" in shown.stdout
    assert "promised: answer 1 or 2 in 100% of runs, kept" in shown.stdout
    (line,) = re.findall(r"measured = .*", shown.stdout)
    copied = read_scene(write(("speed = 1", f"speed = 1\n{line}")))
    assert copied.measured == measure(copied, 8, seed=3)


def test_live_minds_are_not_measured(write: Write) -> None:
    scene = read_scene(write(("claude-3.5-sonnet", "llama:http://127.0.0.1:9#none")))
    with pytest.raises(SpecError, match="not measured"):
        measure(scene, 2)
