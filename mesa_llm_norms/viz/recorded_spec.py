"""The spec of a run on record, as far as its folder holds it; no mind is called, no file opened.

``spec.json`` is in words: graphs that were given are not in it, and node ids are text. A journal
holds its spec whole.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from mesa_llm_norms.course import Goal
from mesa_llm_norms.draws import MASK, Draws
from mesa_llm_norms.errors import DecisionError, FileFormatError, SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.journal import read_node
from mesa_llm_norms.journal.texts import storable
from mesa_llm_norms.minds import Decision, Mind, Situation, load_mind, mind_names
from mesa_llm_norms.placement import PLACEMENTS
from mesa_llm_norms.saved import restore
from mesa_llm_norms.spec import Seating, Spec, by_share
from mesa_llm_norms.topologies import find_topology, names_file
from mesa_llm_norms.window import check_stopping

REMEDY = "Open the folder of a run as mesa-llm-norms run leaves it."
_SIZE = re.compile(r"(\d{1,9}) nodes, \d+ edges")
_ANY_MIND = {"kind": "all", "mind": {"kind": "name", "name": "unbiased"}}


class AbsentMind(Mind):
    """Stands for a mind of which a record holds the label alone."""

    def __init__(self, label: str) -> None:
        self.label = label

    async def decide(self, situation: Situation) -> Decision:  # noqa: ARG002
        """Raise ``DecisionError``."""
        raise DecisionError(self.label, "only its name is on record")


@dataclass(frozen=True)
class RecordedSpec:
    """What a file says of how a run was played.

    ``plain`` is the spec without its graph, its minds and its committed agents. ``graph`` is None
    where the file does not hold it; ``topology`` is it in words, as ``mind_label`` is the minds.
    ``minds`` and ``committed`` are as ``Spec`` takes them, but for nodes, which may be the text
    they are written as.
    """

    path: Path
    plain: Spec
    graph: Any
    topology: str
    minds: Any
    mind_label: str
    committed: Mapping[str, Any]
    goal: Goal

    @property
    def agents(self) -> int:
        """How many agents play by the words for the graph, 0 where these do not say."""
        size = _SIZE.fullmatch(self.topology)
        return int(size[1]) if size else 0

    def seat(self, run: int) -> Seating:
        """Return a run made ready on the graph that is held; ``FileFormatError`` where it fails."""
        with understanding(self.path):
            spec = replace(self.plain, graph=self.graph)
            known = known_as(spec.seat(run).contacts.nodes)
            minds = self.minds
            if isinstance(minds, Mapping) and not by_share(minds):
                minds = {find(node, known): mind for node, mind in minds.items()}
            committed = {name: _where(where, known) for name, where in self.committed.items()}
            return replace(spec, mind=minds, committed=committed).seat(run)

    def minds_of(self, nodes: Iterable[Hashable], run: int) -> dict[Hashable, Mind]:
        """Return the minds of nodes where there is no graph to draw shares on."""
        known = known_as(nodes)
        given: dict[Hashable, Mind] = {}
        usual = self.minds
        if isinstance(self.minds, Mapping):
            usual = AbsentMind(self.mind_label)
            if not by_share(self.minds):
                given = {find(node, known): mind for node, mind in self.minds.items()}
        draws = Draws(self.plain.seed, run)
        every = {
            id(mind): mind.for_run(self.plain.game, draws) for mind in (*given.values(), usual)
        }
        return {node: every[id(given.get(node, usual))] for node in nodes}


def of_description(content: Mapping[str, Any], path: Path) -> RecordedSpec:
    """Return the spec in the content of a ``spec.json``, at ``path``."""
    with understanding(path):
        described, told = content["spec"], content["run"]
        plain, topology = _plain(described, described["seed"]), described["graph"]
        held = find_topology(topology) is not None and not names_file(topology)
        minds = _described_minds(described["mind"])
        return RecordedSpec(
            path,
            plain,
            topology if held else None,
            topology,
            minds,
            replace(plain, mind=minds).mind_label,
            dict(described["committed"]),
            _goal([told["until"], told["window"], told["threshold"]]),
        )


def of_journal(content: Mapping[str, Any], path: Path) -> RecordedSpec:
    """Return the spec that a journal, at ``path``, was begun with."""
    with understanding(path):
        saved = content["spec"]
        arguments = restore({**saved, "mind": _ANY_MIND}, path, pairing="node")
        plain, graph = _plain(arguments, arguments["rng"]), arguments["graph"]
        minds = _saved_minds(saved["mind"])
        return RecordedSpec(
            path,
            plain,
            graph,
            replace(plain, graph=graph).topology,
            minds,
            replace(plain, mind=minds).mind_label,
            arguments["committed"],
            _goal(content.get("goal", Goal())),
        )


def known_as(nodes: Iterable[Hashable]) -> dict[Hashable, Hashable]:
    """Return nodes by themselves and by the text that tables of a run have for them."""
    every = list(nodes)
    return {_text(node): node for node in every} | {node: node for node in every}


def find(node: Hashable, known: Mapping[Hashable, Hashable]) -> Hashable:
    """Return the node that is meant, of those that are known, or ``node`` itself."""
    return known[node] if node in known else known.get(_text(node), node)


@contextmanager
def understanding(path: Path) -> Iterator[None]:
    """Report what is met with in the block that no run can have written, as ``FileFormatError``."""
    try:
        yield
    except FileFormatError:
        raise
    except SpecError as error:
        _refuse(path, error.problem, error)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        _refuse(path, repr(error), error)
    except RecursionError as error:
        _refuse(path, "it goes too deep", error)


def _refuse(path: Path, problem: str, error: Exception) -> NoReturn:
    raise FileFormatError(path, f"no run is described in it ({problem})", REMEDY) from error


def _plain(arguments: Mapping[str, Any], seed: Any) -> Spec:
    rules = ("names", "memory", "reward", "penalty", "incumbent")
    given = {name: arguments[name] for name in rules}
    plain = Spec(mind="unbiased", seed=read_whole("seed", seed, 0, MASK), **given)
    return replace(plain, names=plain.game.pool)


def _goal(values: Iterable[Any]) -> Goal:
    goal = Goal(*values)
    check_stopping(*goal)
    return goal


def _described_minds(described: Any) -> Any:
    if isinstance(described, str):
        return _labelled(described)
    if all(isinstance(label, str) for label in described.values()):
        return {node: _labelled(label) for node, label in described.items()}
    return {_labelled(label): share for label, share in described.items()}


def _saved_minds(saved: Mapping[str, Any]) -> Any:
    if saved["kind"] == "all":
        return _saved_mind(saved["mind"])
    if saved["kind"] == "shares":
        return {_saved_mind(mind): share for mind, share in saved["pairs"]}
    return {read_node(node): _saved_mind(mind) for node, mind in saved["pairs"]}


def _saved_mind(saved: Mapping[str, Any]) -> Mind:
    if saved["kind"] != "name":
        return AbsentMind(str(saved["label"]))
    name = str(saved["name"])
    return _labelled(name if name in mind_names() else Path(name).name)


def _labelled(label: str) -> Mind:
    """Return the mind that ships under a label; nothing else, for to load that may open a file."""
    return load_mind(label) if label in mind_names() else AbsentMind(label)


def _where(where: Any, known: Mapping[Hashable, Hashable]) -> Any:
    """Return who is committed as ``Spec`` takes it: an amount, one with a placement, or nodes."""
    if not isinstance(where, list):
        return where
    placed = len(where) == 2 and where[1] in PLACEMENTS and where[1] not in known
    return tuple(where) if placed else [find(node, known) for node in where]


def _text(node: Hashable) -> str:
    return storable(str(node))
