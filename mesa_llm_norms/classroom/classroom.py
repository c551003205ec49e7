"""A class: who is in it, what it votes on, and the rounds it plays.

A ``Classroom`` waits for nothing and starts nothing. A server calls ``tick`` a few times a second,
and may call everything else from any thread. It knows students by number; tokens are only compared,
and addresses it is never given.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Literal, NamedTuple, TypeVar, cast

from mesa_llm_norms.classroom.class_game import ClassGame, Turn
from mesa_llm_norms.classroom.students import MISSES, Student, free_label
from mesa_llm_norms.core import limits
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.networks.registry import size_limit

Method = TypeVar("Method", bound=Callable[..., Any])

CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""No two of them look alike on a projector."""
CODE_LENGTH = 6

SHOWING = 2.0
"""Seconds for which students see how an interaction ended before the next begins."""

REMEMBERED = 5
"""Interactions that a student sees of the past."""

Phase = Literal["asking", "showing", "paused", "over"]
"""What a game is doing."""

By = Literal["person", "mind", "away", "idle", "late"]
"""Who chose: a student, or a mind, for want of a student or of an answer of one."""


class Played(NamedTuple):
    """Who chose in one turn: the agent's index, its student if it has one, and how long it took."""

    turn: Turn
    node: int
    by: By
    student: int | None
    milliseconds: int | None


@dataclass
class Vote:
    """A question to the class; ``ballots`` has an answer by student, ``key`` says whose it is."""

    number: int
    question: str
    answers: tuple[str, ...]
    key: str = ""
    open: bool = True
    ballots: dict[int, int] = field(default_factory=dict)

    @property
    def counts(self) -> list[int]:
        """How often each answer was given."""
        given = list(self.ballots.values())
        return [given.count(i) for i in range(len(self.answers))]


@dataclass
class _Round:
    """A round that students are asked in: whom, and what each has answered."""

    begun: float
    asked: dict[int, Turn]
    """By number of the student."""
    instead: dict[int, tuple[By, int | None]]
    """For each agent nobody is asked for, why, and the student it belongs to."""
    given: dict[Turn, tuple[str, int, int]] = field(default_factory=dict)
    """The name, the milliseconds it took, and whose choice it is."""
    paused: float = 0.0
    """Seconds for which the game was paused meanwhile."""


def _alone(method: Method) -> Method:
    """Have one thread at a time in the methods of a class."""

    @wraps(method)
    def alone(self: Classroom, *given: Any, **named: Any) -> Any:
        with self._lock:
            return method(self, *given, **named)

    return cast(Method, alone)


class Classroom:
    """A class, from the moment it may join to the end.

    Parameters
    ----------
    clock : callable, default time.monotonic
        Returns the time in seconds.
    new_token : callable, optional
        Returns a secret for a student's cookie. Default: 192 random bits.
    code : str, optional
        What students type to join. Default: six random letters and digits.

    Attributes
    ----------
    code : str
        The code, valid while ``is_open``.
    is_open : bool
        Whether students may join.
    students : dict of int to Student
        Everybody who joined, by number, including those sent away.
    votes : list of Vote
        All questions so far; the last is the current one.
    game : ClassGame or None
        What is played, None before the first game.
    phase : str
        What the game is doing; ``"over"`` where there is none.
    played : list of Played
        Who chose, for every turn of the game.
    success : list of float
        The share of interactions in which the names matched, by round.
    rounds : int
        How many rounds the game has.
    seconds : float
        How long students have for an answer.
    version : int
        Grows with whatever changes the views of students other than the one who acts.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        new_token: Callable[[], str] = lambda: secrets.token_urlsafe(24),
        code: str | None = None,
    ) -> None:
        self._clock = clock
        self._new_token = new_token
        self._lock = threading.RLock()
        self.code = code or "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
        self.is_open = False
        self.students: dict[int, Student] = {}
        self.votes: list[Vote] = []
        self.game: ClassGame | None = None
        self.phase: Phase = "over"
        self.played: list[Played] = []
        self.success: list[float] = []
        self.rounds = 0
        self.seconds = 0.0
        self.version = 0
        self._of_agent: list[list[Played]] = []
        self._round: _Round | None = None
        self._until = 0.0
        self._paused: tuple[Phase, float] = "over", 0.0

    # What the teacher does

    @_alone
    def open(self) -> None:
        """Let students join."""
        self.is_open = True

    @_alone
    def lock(self) -> None:
        """Let nobody join any more; who was here may come back."""
        self.is_open = False

    @_alone
    def kick(self, number: int) -> None:
        """Send a student away; a mind plays from the next interaction on.

        Who is sent away can join again as somebody new until the class is locked.
        """
        student = self._known(number)
        student.kicked = True
        student.token = ""
        if self.votes and self.votes[-1].open:
            self.votes[-1].ballots.pop(number, None)
        if self._round is not None:
            turn = self._round.asked.pop(number, None)
            if turn is not None and turn not in self._round.given and student.node is not None:
                self._round.instead[student.node] = ("mind", None)
        student.node = None
        self._fill()
        self.version += 1

    @_alone
    def ask(self, question: str, answers: Sequence[str], key: str = "") -> None:
        """Put a question to the class.

        Parameters
        ----------
        question : str
            The question.
        answers : sequence of str
            What may be answered.
        key : str, default ""
            That of the scene whose question it is, in any language.

        Raises
        ------
        SpecError
            Unless there are two answers or more, and no more than fit on a screen.
        """
        if len(answers) not in limits.SCENE_ANSWERS:
            raise SpecError(
                "answers",
                list(answers),
                f"{len(answers)} answers are too few or too many",
                f"Give {limits.SCENE_ANSWERS.low} to {limits.SCENE_ANSWERS.high}.",
            )
        self.close_vote()
        self.votes.append(Vote(len(self.votes) + 1, question, tuple(answers), key))
        self.version += 1

    @_alone
    def close_vote(self) -> None:
        """End the vote, if there is one, and show everybody how it came out."""
        if self.votes:
            self.votes[-1].open = False
            self.version += 1

    @_alone
    def start(
        self,
        graph: str = "complete(n=24)",
        names: str = "QM",
        mind: str = DEFAULT_MIND,
        rounds: int = 15,
        seconds: float = 10.0,
        seed: int = 1,
    ) -> None:
        """Start a game in place of the last one; students get an agent each, in random order.

        Parameters
        ----------
        graph : str, default "complete(n=24)"
            The topology. Students beyond its number of nodes vote only.
        names : str, default "QM"
            The pool of names, 2 to 12.
        mind : str, default "claude-3.5-sonnet"
            The recorded mind that plays for everybody else.
        rounds : int, default 15
            How many rounds to play, one interaction per agent each.
        seconds : float, default 10
            How long students have for an answer.
        seed : int, default 1
            The seed of who meets whom and of what minds choose.

        Raises
        ------
        SpecError
            For an argument that is not valid.
        """
        rounds = limits.read_whole("rounds", rounds, limits.CLASS_ROUNDS)
        seconds = limits.read_number("seconds", seconds, limits.CLASS_SECONDS)
        with size_limit(limits.CLASS_AGENTS.high, limits.SHOWN_EDGES.high):
            game = ClassGame(graph, names, mind, seed)
        for what, size, limit in (
            ("graph", len(game), limits.CLASS_AGENTS),
            ("names", len(game.pool), limits.CLASS_NAMES),
        ):
            if size not in limit:
                raise SpecError(
                    what,
                    {"graph": graph, "names": names}[what],
                    f"{size} {limit.unit} are too few or too many for a class",
                    f"Give {limit.low} to {limit.high}.",
                )
        self.game, self.rounds, self.seconds = game, rounds, seconds
        self.played, self.success = [], []
        self._of_agent = [[] for _ in range(len(game))]
        for student in self.students.values():
            student.node, student.missed, student.idle, student.points = None, 0, False, 0
        self._fill()
        self._begin()

    @_alone
    def pause(self) -> None:
        """Stop the clock of the game."""
        if self.phase in ("asking", "showing"):
            self._paused = self.phase, self._until - self._clock()
            self.phase = "paused"
            self.version += 1

    @_alone
    def resume(self) -> None:
        """Let the clock of a paused game continue."""
        if self.phase == "paused":
            self.phase, left = self._paused
            until = self._clock() + left
            if self._round is not None:
                self._round.paused += until - self._until
            self._until = until
            self.version += 1

    @_alone
    def end(self) -> None:
        """End the game; a round that is being asked about is not played."""
        self.phase, self._round = "over", None
        self.version += 1

    # What students do

    @_alone
    def join(self, code: str) -> Student | None:
        """Return a new student, or None if the code is wrong or nobody may join.

        Raises
        ------
        SpecError
            If the class is full.
        """
        given = code.strip().upper().encode()
        if not self.is_open or not secrets.compare_digest(given, self.code.encode()):
            return None
        here = [student for student in self.students.values() if not student.kicked]
        if len(here) >= limits.CLASS_STUDENTS.high:
            raise SpecError(
                "code",
                self.code,
                f"the class is full: it has {len(here)} students",
                "Ask the teacher to remove one who has left.",
            )
        number = len(self.students) + 1
        label = free_label(student.label_index for student in here)
        self.students[number] = Student(number, label, self._new_token(), self._clock())
        self._fill()
        return self.students[number]

    @_alone
    def student(self, token: str) -> Student | None:
        """Return the student with a token, or None."""
        found = None
        for student in self.students.values():
            if student.token and secrets.compare_digest(student.token.encode(), token.encode()):
                found = student
        return found

    @_alone
    def hear(self, number: int) -> None:
        """Take notice of a sign of life of a student."""
        self._known(number).heard = self._clock()

    @_alone
    def wake(self, number: int) -> None:
        """Ask a student again who was no longer waited for, from the next interaction on."""
        student = self._known(number)
        student.heard = self._clock()
        student.idle, student.missed = False, 0

    @_alone
    def choose(self, number: int, interaction: int, name: int) -> bool:
        """Take a student's choice, a name by its index.

        Returns
        -------
        bool
            Whether this, or what the student chose in the interaction before, is what is played;
            False if it came too late or was not asked for. The first choice counts.
        """
        student = self._known(number)
        student.heard = self._clock()
        turn = self._turn(number)
        game, round_ = self.game, self._round
        if turn is None or game is None or round_ is None or turn.interaction != interaction:
            own = self._of_agent[student.node] if student.node is not None else []
            return any(
                it.student == number and it.turn.interaction == interaction and it.by == "person"
                for it in own
            )
        if turn in round_.given:
            return True
        late = self.phase != "asking" or self._clock() >= self._until
        if late or not 0 <= name < len(game.pool):
            return False
        waited = round((self._clock() - round_.begun - round_.paused) * 1000)
        round_.given[turn] = game.pool[name], waited, number
        return True

    @_alone
    def cast(self, number: int, vote: int, answer: int) -> bool:
        """Take a student's answer to a question, by its index; the last one before the end counts.

        Returns
        -------
        bool
            Whether it was taken.
        """
        self._known(number).heard = self._clock()
        current = self.votes[-1] if self.votes else None
        if current is None or current.number != vote or not current.open:
            return False
        if not 0 <= answer < len(current.answers):
            return False
        current.ballots[number] = answer
        return True

    # What time does

    @_alone
    def tick(self) -> None:
        """Play the round if all have answered or their time is up, or begin the next."""
        now, round_ = self._clock(), self._round
        if self.phase == "showing" and now >= self._until:
            self._begin()
        elif self.phase == "asking" and round_ is not None:
            # Without anybody to ask the time is kept too: the class may be back in a moment.
            answered = round_.asked and all(it in round_.given for it in round_.asked.values())
            if answered or now >= self._until:
                self._finish(round_)

    # How it stands

    @_alone
    def view(self, number: int) -> dict[str, Any]:
        """Return what a student's phone shows; ``until`` is by the clock, all else is JSON."""
        student, game, phase = self._known(number), self.game, self.phase
        turn = self._turn(number)
        if phase == "asking" and turn is None:
            phase_shown = "idle" if student.idle else "waiting"
        elif phase == "asking" and self._round is not None and turn in self._round.given:
            phase_shown = "answered"
        else:
            phase_shown = "idle" if student.idle and phase == "showing" else phase
        if game is None:
            phase_shown = "lobby"
        elif student.node is None and phase != "over":
            phase_shown = "voter"
        elif phase_shown in ("waiting", "showing") and not self._meets(student, game):
            phase_shown = "alone"
        shown: dict[str, Any] = {
            "who": student.label,
            "color": student.color,
            "phase": phase_shown,
            "i": turn.interaction if turn is not None else None,
            "mine": None,
            "until": self._until if phase == "asking" else None,
            "seconds": self.seconds,
            "round": min(game.rounds + (phase == "asking"), self.rounds) if game else 0,
            "rounds": self.rounds,
            "points": student.points,
            "names": list(game.pool) if game is not None else [],
            "order": [],
            "last": [],
            "vote": self._vote_view(number),
        }
        if game is not None and student.node is not None:
            shown["order"] = game.order_of_names(student.node)
            shown["last"] = self._past(student, game)
            if turn is not None and self._round is not None and turn in self._round.given:
                shown["mine"] = game.pool.index(self._round.given[turn][0])
        return shown

    @_alone
    def status(self, student: Student) -> str:
        """Return how a student is, in a word: sent away, away, idle, voter or playing."""
        if student.kicked:
            return "sent away"
        if not student.here(self._clock()):
            return "away"
        if student.idle:
            return "idle"
        return "voter" if student.node is None else "playing"

    @property
    def vote(self) -> Vote | None:
        """The current question, or the last one."""
        return self.votes[-1] if self.votes else None

    @property
    def answered(self) -> tuple[int, int]:
        """How many of those who are asked in this round have answered, and how many are asked."""
        round_ = self._round
        if round_ is None:
            return 0, 0
        turns = list(round_.asked.values())
        return sum(turn in round_.given for turn in turns), len(turns)

    @property
    def left(self) -> float:
        """Seconds until the game continues by itself."""
        if self.phase == "paused":
            return max(0.0, self._paused[1])
        return max(0.0, self._until - self._clock()) if self.phase != "over" else 0.0

    # Private

    def _known(self, number: int) -> Student:
        student = self.students.get(number)
        if student is None or student.kicked:
            raise SpecError(
                "student", number, f"there is no student {number} here", "Join the class again."
            )
        return student

    def _meets(self, student: Student, game: ClassGame) -> bool:
        """Return whether a student's agent has an interaction in the round that is shown."""
        if self.phase == "asking":
            return student.node in game.turns
        own = self._of_agent[student.node or 0]
        return bool(own) and game.rows[own[-1].turn.interaction].round == game.rows[-1].round

    def _turn(self, number: int) -> Turn | None:
        return self._round.asked.get(number) if self._round is not None else None

    def _fill(self) -> None:
        """Give agents that only minds play to students who have none, in the order of joining."""
        game = self.game
        if game is None:
            return
        taken = {student.node for student in self.students.values()}
        free = (node for node in game.order_of_agents() if node not in taken)
        for student in self.students.values():
            if student.node is None and not student.kicked:
                student.node = next(free, None)

    def _begin(self) -> None:
        game, now = self.game, self._clock()
        assert game is not None
        if game.rounds >= self.rounds:
            self.end()
            return
        by_node = {it.node: it for it in self.students.values() if it.node is not None}
        round_ = _Round(now, {}, {})
        for node, turn in game.turns.items():
            student = by_node.get(node)
            if student is None:
                round_.instead[node] = "mind", None
            elif student.plays(now):
                round_.asked[student.number] = turn
            else:
                round_.instead[node] = ("idle" if student.idle else "away"), student.number
        self._round = round_
        self.phase, self._until = "asking", now + self.seconds
        self.version += 1

    def _finish(self, round_: _Round) -> None:
        game = self.game
        assert game is not None
        who = {turn: number for number, turn in round_.asked.items()}
        turns = game.turns
        rows = game.play_round({turn: name for turn, (name, *_) in round_.given.items()})
        for node, turn in turns.items():
            number = who.get(turn)
            by, owner = round_.instead.get(node, ("late", number))
            milliseconds = None
            if number is not None and self.students[number].heard < round_.begun:
                by = "away"
            if turn in round_.given:
                _, milliseconds, owner = round_.given[turn]
                by = "person"
            self.played.append(Played(turn, node, by, owner, milliseconds))
            self._of_agent[node].append(self.played[-1])
        for number, turn in round_.asked.items():
            student = self.students[number]
            if turn in round_.given:
                student.missed = 0
            elif student.heard >= round_.begun:  # a phone out of reach has missed nothing
                student.missed += 1
            student.idle = student.missed >= MISSES
        for turn, (_, _, number) in round_.given.items():
            self.students[number].points += game.rows[turn.interaction].payoff
        matched = sum(row.name_a == row.name_b for row in rows)
        self.success.append(matched / len(rows))
        self._round = None
        self.phase, self._until = "showing", self._clock() + SHOWING
        self.version += 1

    def _past(self, student: Student, game: ClassGame) -> list[tuple[int, int, float, bool]]:
        """Return the last interactions of a student's agent, the latest first.

        Of each its own name, that of the other, the payoff, and whether the student chose.
        """
        past: list[tuple[int, int, float, bool]] = []
        for played in reversed(self._of_agent[student.node or 0][-REMEMBERED:]):
            row = game.rows[played.turn.interaction]
            names = [game.pool.index(row.name_a), game.pool.index(row.name_b)]
            own, other = names if played.turn.seat == 0 else reversed(names)
            chose = played.by == "person" and played.student == student.number
            past.append((own, other, row.payoff, chose))
        return past

    def _vote_view(self, number: int) -> dict[str, Any] | None:
        vote = self.vote
        if vote is None:
            return None
        return {
            "n": vote.number,
            "question": vote.question,
            "answers": list(vote.answers),
            "open": vote.open,
            "mine": vote.ballots.get(number),
            "counts": None if vote.open else vote.counts,
        }
