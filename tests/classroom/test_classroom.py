"""A class without a server: who may do what when, and that every turn gets exactly one name."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mesa_llm_norms.classroom.class_game import ClassGame, Turn
from mesa_llm_norms.classroom.classroom import CODE_LENGTH, SHOWING, Classroom
from mesa_llm_norms.classroom.students import AWAY_AFTER
from mesa_llm_norms.core import limits
from mesa_llm_norms.errors import NormsError

CODE = "ABC234"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def a_class(students: int = 0, **game: Any) -> tuple[Classroom, Clock]:
    """Return an open class with students in it, and a game if anything is said of one."""
    clock, tokens = Clock(), (f"token-{i}" for i in count())
    classroom = Classroom(clock, tokens.__next__, CODE)
    classroom.open()
    for _ in range(students):
        classroom.join(CODE)
    if game:
        classroom.start(**{"graph": "complete(n=6)", **game})
    return classroom, clock


def asked(classroom: Classroom, number: int) -> int:
    interaction = classroom.view(number)["i"]
    assert isinstance(interaction, int)
    return interaction


def wait(classroom: Classroom, clock: Clock, seconds: float, *present: int) -> None:
    """Let time pass, with signs of life of those present."""
    for _ in range(round(seconds / 0.5)):
        clock.now += 0.5
        for number in present:
            classroom.hear(number)
        classroom.tick()


def names_of(classroom: Classroom, number: int, interaction: int) -> list[str]:
    """Return the names that were played in a student's turn of an interaction."""
    game = classroom.game
    assert game is not None
    turns = [
        it.turn
        for it in classroom.played
        if it.student == number and it.turn.interaction == interaction
    ]
    row = game.rows[interaction]
    return [(row.name_a, row.name_b)[turn.seat] for turn in turns]


# Joining


def test_only_the_code_of_an_open_class_lets_anybody_in() -> None:
    classroom, _ = a_class()
    assert classroom.join("ABC235") is None
    assert classroom.join("") is None
    assert classroom.join(" abc234 ") is not None
    classroom.lock()
    assert classroom.join(CODE) is None


def test_codes_differ_and_have_no_letters_that_look_alike() -> None:
    codes = {Classroom().code for _ in range(20)}
    assert len(codes) == 20
    assert all(len(code) == CODE_LENGTH and not set(code) & set("01OIL") for code in codes)


def test_everybody_has_a_label_of_their_own_up_to_a_full_class() -> None:
    classroom, _ = a_class(limits.CLASS_STUDENTS.high)
    assert len({it.label for it in classroom.students.values()}) == limits.CLASS_STUDENTS.high
    with pytest.raises(NormsError, match="full"):
        classroom.join(CODE)
    classroom.kick(7)
    assert classroom.join(CODE) is not None


def test_a_token_is_of_one_student_and_of_nobody_once_sent_away() -> None:
    classroom, _ = a_class(2)
    found = classroom.student("token-1")
    assert found is not None
    assert found.number == 2
    assert classroom.student("") is None
    classroom.kick(2)
    assert classroom.student("token-1") is None
    with pytest.raises(NormsError, match="Join"):
        classroom.hear(2)


# Playing


def test_the_first_choice_counts_and_a_second_changes_nothing() -> None:
    classroom, _ = a_class(6, names="QM")
    number = asked(classroom, 1)
    assert classroom.choose(1, number, 1)
    assert classroom.choose(1, number, 0)
    for student in range(2, 7):
        classroom.choose(student, asked(classroom, student), 0)
    classroom.tick()
    assert names_of(classroom, 1, number) == ["M"]
    assert classroom.choose(1, number, 0), "to say it again after the round is no error"


@pytest.mark.parametrize("name", [-1, 2, 10**9])
def test_a_name_that_is_not_there_is_not_taken(name: int) -> None:
    classroom, _ = a_class(1, names="QM")
    assert not classroom.choose(1, asked(classroom, 1), name)


def test_a_round_ends_once_all_have_answered_and_the_next_waits_a_moment() -> None:
    classroom, clock = a_class(2, names="QM")
    classroom.choose(1, asked(classroom, 1), 0)
    phases = [classroom.phase]
    classroom.choose(2, asked(classroom, 2), 0)
    for seconds in (0, SHOWING):
        clock.now += seconds
        classroom.tick()
        phases.append(classroom.phase)
    assert phases == ["asking", "showing", "asking"]
    assert classroom.view(1)["last"][0][3] is True


def test_after_two_deadlines_a_student_is_not_waited_for_until_back() -> None:
    classroom, clock = a_class(2, names="QM", seconds=4)
    wait(classroom, clock, 12, 1, 2)
    assert classroom.view(1)["phase"] == "idle"
    by = {it.by for it in classroom.played if it.student == 1}
    assert by == {"late"}
    classroom.wake(1)
    wait(classroom, clock, 6, 1, 2)
    assert classroom.view(1)["phase"] in ("asking", "showing")
    assert classroom.status(classroom.students[1]) == "playing"


def test_a_mind_plays_for_who_is_away_and_the_same_agent_is_given_back() -> None:
    classroom, clock = a_class(2, names="QM", seconds=4)
    node = classroom.students[1].node
    wait(classroom, clock, AWAY_AFTER + 8, 2)
    assert classroom.status(classroom.students[1]) == "away"
    assert "away" in {it.by for it in classroom.played if it.student == 1}
    wait(classroom, clock, 6, 1, 2)
    assert classroom.students[1].node == node
    assert classroom.view(1)["i"] is not None
    assert any(not chose for *_, chose in classroom.view(1)["last"])


def test_time_is_kept_while_the_whole_class_is_away() -> None:
    classroom, clock = a_class(3, names="QM", seconds=10)
    wait(classroom, clock, 60)
    assert classroom.game is not None
    assert 1 < classroom.game.rounds <= 6


def test_a_latecomer_takes_over_an_agent_with_its_past_from_the_next_interaction() -> None:
    classroom, clock = a_class(1, names="QM", seconds=4)
    wait(classroom, clock, 5, 1)
    late = classroom.join(CODE)
    assert late is not None
    assert late.node is not None
    view = classroom.view(late.number)
    assert view["phase"] in ("waiting", "showing")
    assert len(view["last"]) == 1
    wait(classroom, clock, 6, 1, late.number)
    assert classroom.view(late.number)["phase"] in ("asking", "showing")


def test_more_students_than_agents_are_voters_and_move_up() -> None:
    classroom, _ = a_class(3, graph="complete(n=2)", names="QM")
    assert [classroom.view(i)["phase"] for i in (1, 2, 3)] == ["asking", "asking", "voter"]
    node = classroom.students[1].node
    classroom.kick(1)
    assert classroom.students[3].node == node
    assert classroom.view(3)["phase"] == "waiting"


def test_a_pause_stops_the_clock_and_takes_no_choice() -> None:
    classroom, clock = a_class(1, names="QM", seconds=10)
    clock.now += 4
    classroom.pause()
    clock.now += 100
    classroom.hear(1)
    classroom.tick()
    assert not classroom.choose(1, asked(classroom, 1), 0)
    assert classroom.left == pytest.approx(6)
    classroom.resume()
    clock.now += 5
    classroom.tick()
    assert classroom.phase == "asking"
    assert classroom.choose(1, asked(classroom, 1), 0)


def test_time_that_the_game_was_paused_is_no_reaction_time() -> None:
    classroom, clock = a_class(1, names="QM", seconds=10)
    for seconds in (1, 2):
        clock.now += seconds
        classroom.pause()
        clock.now += 100
        classroom.resume()
    clock.now += 0.5
    classroom.choose(1, asked(classroom, 1), 0)
    classroom.tick()
    assert [it.milliseconds for it in classroom.played if it.student == 1] == [3_500]


def test_who_meets_nobody_in_a_round_is_told_so_and_no_older_interaction() -> None:
    classroom, _ = a_class(3, graph="complete(n=3)", names="QM", rounds=8)
    alone = set()
    for _ in range(8):
        views = {number: classroom.view(number) for number in (1, 2, 3)}
        (left_over,) = [number for number, view in views.items() if view["i"] is None]
        alone.add(left_over)
        assert views[left_over]["phase"] == "alone"
        for number in views.keys() - {left_over}:
            classroom.choose(number, views[number]["i"], 0)
        classroom.tick()
        shown = {number: classroom.view(number)["phase"] for number in (1, 2, 3)}
        assert shown == dict.fromkeys(shown, "showing") | {left_over: "alone"}
        classroom._until = 0.0
        classroom.tick()
    assert len(alone) > 1


def test_a_round_that_failed_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    classroom, clock = a_class(2, names="QM", seconds=4)
    wait(classroom, clock, 7, 1, 2)

    def fail(_: object) -> None:
        raise ValueError("a test")

    monkeypatch.setattr(classroom.game, "play_round", fail)
    clock.now += 4
    before = list(classroom.played)
    with pytest.raises(ValueError, match="a test"):
        classroom.tick()
    classroom.end()
    assert classroom.played == before
    assert len(classroom.view(1)["last"]) == 1


def test_an_answer_that_comes_late_is_looked_for_among_ones_own() -> None:
    classroom, _ = a_class(6, names="QM")
    number = asked(classroom, 1)
    for student in range(1, 7):
        classroom.choose(student, asked(classroom, student), 0)
    classroom.tick()

    class Unread(list[Any]):
        def __reversed__(self) -> Any:
            raise AssertionError

        __iter__ = __reversed__

    classroom.played = Unread(classroom.played)
    assert classroom.choose(1, number, 0)
    assert not classroom.choose(1, number + 1, 0)


def test_a_game_ends_after_its_rounds_or_when_it_is_ended() -> None:
    classroom, clock = a_class(1, names="QM", rounds=2, seconds=3)
    wait(classroom, clock, 15, 1)
    assert (classroom.phase, len(classroom.success)) == ("over", 2)
    classroom.start("complete(n=6)")
    assert classroom.played == []
    classroom.end()
    assert classroom.phase == "over"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"graph": "complete(n=1000)"}, "200"),
        ({"graph": "nothing"}, "topology"),
        ({"names": "QMXYFJPRCDABE"}, "12"),
        ({"mind": "claude:claude-haiku-5-5"}, "recorded mind"),
        ({"mind": "nobody"}, "nobody"),
        ({"rounds": 0}, "rounds"),
        ({"seconds": 0.5}, "seconds"),
        ({"seconds": "soon"}, "seconds"),
        ({"seed": -1}, "seed"),
    ],
    ids=str,
)
def test_a_game_that_no_class_can_play_is_refused_and_the_last_one_goes_on(
    given: dict[str, Any], complaint: str
) -> None:
    classroom, _ = a_class(2, names="QM")
    before = classroom.game
    with pytest.raises(NormsError, match=complaint):
        classroom.start(**given)
    assert (classroom.game, classroom.phase) == (before, "asking")


# Voting


def test_answers_are_counted_once_each_and_hidden_until_the_vote_is_closed() -> None:
    classroom, _ = a_class(3)
    classroom.ask("Who wins?", ["Q", "M"])
    for answer in (0, 1, 1):
        assert classroom.cast(1, 1, answer)
    assert classroom.cast(2, 1, 1)
    view = classroom.view(3)["vote"]
    assert (view["counts"], view["mine"]) == (None, None)
    classroom.close_vote()
    assert classroom.view(3)["vote"]["counts"] == [0, 2]
    assert not classroom.cast(3, 1, 0)


@pytest.mark.parametrize(("vote", "answer"), [(2, 0), (0, 0), (1, 2), (1, -1)])
def test_an_answer_to_no_question_is_not_taken(vote: int, answer: int) -> None:
    classroom, _ = a_class(1)
    classroom.ask("Who wins?", ["Q", "M"])
    assert not classroom.cast(1, vote, answer)


def test_the_answer_of_a_student_sent_away_is_not_counted() -> None:
    classroom, _ = a_class(2)
    classroom.ask("Who wins?", ["Q", "M"])
    classroom.cast(1, 1, 0)
    classroom.cast(2, 1, 1)
    classroom.kick(1)
    classroom.close_vote()
    assert classroom.votes[-1].counts == [0, 1]


def test_a_new_question_closes_the_last() -> None:
    classroom, _ = a_class(1)
    classroom.ask("One?", ["yes", "no"])
    classroom.ask("Two?", ["yes", "no"])
    assert [vote.open for vote in classroom.votes] == [False, True]
    with pytest.raises(NormsError, match="answers"):
        classroom.ask("Three?", ["yes"])


# Any order of anything

_students = st.integers(1, 9)


class AnyOrder(RuleBasedStateMachine):
    """Students join, answer, repeat themselves, vanish and return, and are sent away, at any time.

    ``expected`` has the names that the class said it took.
    """

    def __init__(self) -> None:
        super().__init__()
        self.classroom, self.clock = a_class(2, names="QMX", seconds=4, rounds=6, seed=3)
        self.expected: dict[tuple[int, int], str] = {}

    def known(self, number: int) -> bool:
        student = self.classroom.students.get(number)
        return student is not None and not student.kicked

    @rule()
    def join(self) -> None:
        if len(self.classroom.students) < 9:
            self.classroom.join(CODE)

    @rule(number=_students, name=st.integers(-1, 3), late=st.integers(0, 2))
    def choose(self, number: int, name: int, late: int) -> None:
        if not self.known(number):
            return
        interaction = self.classroom.view(number)["i"]
        interaction = 0 if interaction is None else interaction - late
        taken = self.classroom.choose(number, interaction, name)
        if taken and (number, interaction) not in self.expected:
            game = self.classroom.game
            assert game is not None
            self.expected[number, interaction] = game.pool[name]

    @rule(seconds=st.sampled_from([0.1, 2.0, 4.0, 11.0]), present=st.sets(_students))
    def wait(self, seconds: float, present: set[int]) -> None:
        self.clock.now += seconds
        for number in present:
            if self.known(number):
                self.classroom.hear(number)
        self.classroom.tick()

    @rule(number=_students)
    def wake(self, number: int) -> None:
        if self.known(number):
            self.classroom.wake(number)

    @precondition(lambda self: len(self.classroom.students) > 2)
    @rule(number=_students)
    def kick(self, number: int) -> None:
        if self.known(number):
            self.classroom.kick(number)

    @rule()
    def pause_or_resume(self) -> None:
        (self.classroom.resume if self.classroom.phase == "paused" else self.classroom.pause)()

    @invariant()
    def every_turn_has_one_name(self) -> None:
        game, played = self.classroom.game, self.classroom.played
        assert game is not None
        turns = Counter(it.turn for it in played)
        assert set(turns.values()) <= {1}
        assert set(turns) == {Turn(row.interaction, seat) for row in game.rows for seat in (0, 1)}
        assert [row.interaction for row in game.rows] == list(range(len(game.rows)))

    @invariant()
    def what_was_taken_was_played(self) -> None:
        game = self.classroom.game
        assert game is not None
        by_person = {
            (it.student, it.turn.interaction): (
                game.rows[it.turn.interaction].name_a,
                game.rows[it.turn.interaction].name_b,
            )[it.turn.seat]
            for it in self.classroom.played
            if it.by == "person"
        }
        over = {key: it for key, it in self.expected.items() if key[1] < len(game.rows)}
        assert by_person == over

    @invariant()
    def nobody_shares_an_agent_or_a_label(self) -> None:
        here = [it for it in self.classroom.students.values() if not it.kicked]
        nodes = [it.node for it in here if it.node is not None]
        assert len(set(nodes)) == len(nodes)
        assert len({it.label for it in here}) == len(here)

    def teardown(self) -> None:
        """The same choices give the same rows, whoever was waited for."""
        game = self.classroom.game
        assert game is not None
        again = ClassGame("complete(n=6)", "QMX", "claude-3.5-sonnet", 3)
        people = {it.turn for it in self.classroom.played if it.by == "person"}
        while len(again.rows) < len(game.rows):
            turns = people & set(again.turns.values())
            rows = {it: game.rows[it.interaction] for it in turns}
            again.play_round({it: (row.name_a, row.name_b)[it.seat] for it, row in rows.items()})
        assert again.rows == game.rows


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=6, stateful_step_count=25, deadline=None)


@pytest.mark.slow
def test_any_order_for_longer() -> None:
    longer = settings(max_examples=40, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(AnyOrder, settings=longer)
