"""The game that a class plays: a ``NamingGame`` in which students play for some of the agents.

A round is planned, students are asked, and once all have answered or their time is up the whole
round is played at once. What students chose is then as much a decision of their agents as what a
mind chooses, so the rows are those of any other run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mesa_llm_norms.core.game import GameRules, Interaction
from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation
from mesa_llm_norms.minds.registry import is_live, load_mind
from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.simulation.arguments import GraphArgument
from mesa_llm_norms.simulation.pipeline import plan_rounds
from mesa_llm_norms.simulation.spec import Spec


class Turn(NamedTuple):
    """One agent's part in an interaction: its number, and the seat there."""

    interaction: int
    seat: int


Answers = dict[Turn, str]
"""The names that students chose."""


class ClassMind(Mind):
    """Plays what a student chose; where none did, another mind decides.

    Parameters
    ----------
    fallback : Policy
        The mind that decides where no student did.
    answers : dict of Turn to str
        The names that students chose; entries may be added before an interaction is played.
    """

    def __init__(self, fallback: Policy, answers: Answers) -> None:
        self.label = f"a class, else {fallback.label}"
        self.fallback = fallback
        self.answers = answers

    def for_run(self, game: GameRules, stream: RandomStream) -> Mind:
        """Return the mind with the fallback as it is in one run."""
        fallback = self.fallback.for_run(game, stream)
        assert isinstance(fallback, Policy)
        return ClassMind(fallback, self.answers)

    def check(self, game: GameRules) -> None:
        """Raise ``MindError`` if the fallback cannot play a game."""
        self.fallback.check(game)

    async def decide(self, situation: Situation) -> Decision:
        """Return the student's choice, or else the decision of the fallback."""
        chosen = self.answers.get(Turn(situation.interaction, situation.seat))
        return Decision(chosen) if chosen is not None else await self.fallback.decide(situation)


class ClassGame:
    """A population in which some agents are played by students, one round after the other.

    Everybody who can plays once a round: the pairing is ``matching``.

    Parameters
    ----------
    graph : str, path or networkx.Graph
        The network.
    names : str
        The pool of names.
    mind : str
        The mind that plays for all other agents. It must not make calls.
    seed : int
        The seed of the run.

    Attributes
    ----------
    fallback : Policy
        The mind.
    model : NamingGame
        The population.
    spec : Spec
        What is played.
    rounds : int
        How many rounds have been played.
    rows : list of Interaction
        Everything played so far.
    lines : list of Round
        The same by round, in numbers.
    nodes : tuple of hashable
        The ids of the nodes, in the order of all indices of agents.
    turns : dict of int to Turn
        For the index of each agent that plays in the coming round, its turn.

    Raises
    ------
    SpecError
        For an argument that is not valid, or a mind that makes calls, which cost money.
    """

    def __init__(self, graph: GraphArgument, names: str, mind: str, seed: int) -> None:
        # Before it is loaded: a live mind asks for its key.
        fallback = None if is_live(mind) else load_mind(mind)
        if not isinstance(fallback, Policy):
            raise SpecError(
                "mind",
                mind,
                f"{mind} makes calls or plays a game of its own, and minds that play beside a "
                "class must do neither",
                "Choose a recorded mind.",
            )
        self.fallback = fallback
        self._answers: Answers = {}
        self.spec = Spec(
            graph=graph,
            names=names,
            mind=ClassMind(fallback, self._answers),
            pairing="matching",
            seed=seed,
        )
        self.model = NamingGame(**self.spec.arguments(), until=None)
        self._neighbors, self._players = self.model.read_network()
        self.nodes = tuple(self._neighbors.nodes)
        self._stream = self.spec.initial_state().stream
        self.rounds = 0
        self.rows: list[Interaction] = []
        self.lines: list[Round] = []
        self.turns: dict[int, Turn] = {}
        self._plan()

    def __len__(self) -> int:
        """Return the number of agents."""
        return len(self.model.players)

    @property
    def pool(self) -> tuple[str, ...]:
        """The names."""
        return tuple(self.model.game.pool)

    @property
    def held(self) -> list[int]:
        """For each agent the index of the name it played last, -1 for none."""
        indices: dict[str | None, int] = {name: i for i, name in enumerate(self.pool)}
        return [indices.get(player.name, -1) for player in self._players]

    def order_of_names(self, index: int) -> list[int]:
        """Return the order in which an agent's student is shown the names, by their indices.

        It is as likely as any other, and stays the same for the whole game.
        """
        keys = {i: self._stream.of("names on a phone", index, i) for i in range(len(self.pool))}
        return sorted(keys, key=lambda i: keys[i])

    def order_of_agents(self) -> list[int]:
        """Return the order in which agents are given to students, as likely as any other."""
        keys = {i: self._stream.of("agents of students", i) for i in range(len(self))}
        return sorted(keys, key=lambda i: keys[i])

    def play_round(self, chosen: Mapping[Turn, str]) -> list[Interaction]:
        """Play the planned round, with what students chose, and plan the next.

        Parameters
        ----------
        chosen : mapping of Turn to str
            The names that students chose in it.

        Returns
        -------
        list of Interaction
            What was played.
        """
        self._answers.update(chosen)
        self.model.step()
        played = list(self.model.rows)
        self.rows += played
        if self.model.round is not None:
            self.lines.append(self.model.round)
        self.rounds += 1
        self._plan()
        return played

    def _plan(self) -> None:
        first = self.model.interactions
        plan = plan_rounds(self.model.pairing, self._neighbors, self._stream, self.rounds, first, 1)
        self.turns = {
            node: Turn(planned.number, seat)
            for planned in plan
            for seat, node in enumerate(planned.nodes)
        }
