"""Replays: at every moment a folder shows what the model held then, and bad folders are told of."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages_server import Fault, MessagesServer
from recorded_rows import record_of
from strategies import node_ids, pools, specs
from typer.testing import CliRunner

from mesa_llm_norms import NamingGame, cli
from mesa_llm_norms.core.game import Interaction, Row
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import BudgetError, FileFormatError, JournalError, SpecError
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.simulation.ensemble import play_ensemble, play_run
from mesa_llm_norms.simulation.results import write_ensemble, write_run
from mesa_llm_norms.simulation.serialization import to_json
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.web.explained import explain
from mesa_llm_norms.web.frames import AgentDetails, History, Renderer, Usage
from mesa_llm_norms.web.model_source import ModelSource
from mesa_llm_norms.web.player import FULL_SPEED, Order, Player
from mesa_llm_norms.web.replay import FolderSource, RecordedRun, read_recorded_run
from mesa_llm_norms.web.setting import Commitment, EdgeChange, Setting

LIVE = "claude:claude-test-1"
GOAL = Goal("converged")


def record(folder: Path, spec: Spec, rounds: int = 12, goal: Goal = GOAL) -> Path:
    """Play a run and write its folder."""
    folder.mkdir(exist_ok=True)
    played = play_run(spec, 0, goal, rounds, keep=True)
    write_run(
        folder,
        spec,
        goal=goal,
        most=rounds,
        rounds=played.rounds,
        record=record_of(spec, folder, played.rows),
        outcome=played.outcome,
    )
    return folder


def shown(source: FolderSource, interactions: int | None = None) -> Renderer:
    """Show so many interactions more, or all there are."""
    renderer = Renderer(source)
    for row in islice(source.play(), interactions):
        renderer.add(row, source.converged, source.agreed)
    return renderer


def every_agent(source: Any, renderer: Renderer) -> list[AgentDetails]:
    return [source.details(place, renderer.history) for place in range(len(source.nodes))]


def described(folder: Path, **changed: Any) -> None:
    """Put other values into the spec of a folder."""
    path = folder / "spec.json"
    content = json.loads(path.read_text())
    content["spec"] |= changed
    path.write_text(json.dumps(content))


# What is shown is what was


PLAYED = [
    Setting(topology="watts_strogatz(n=14, k=4, p=0.3)", names="QMXYFJPRCD", seed=5),
    Setting(
        topology="barabasi_albert(n=16, m=2)",
        names="QM",
        mind=("claude-3.5-sonnet=0.4", "llama-3.1-70b-instruct=0.6"),
        incumbent="Q",
        committed=("M=3:hubs",),
        memory=3,
        seed=11,
    ),
    Setting(
        topology="ring(n=12)",
        names="yes,no,well & <b>",
        mind=("uniform",),
        pairing="matching",
        committed=("yes=10%", "no=[3,4]"),
        reward=1.5,
        penalty=0,
        seed=2**64 - 1,
    ),
]


@pytest.mark.parametrize("setting", PLAYED)
def test_every_moment_of_a_replay_is_as_it_was_in_the_model(
    tmp_path: Path, setting: Setting
) -> None:
    recorded = read_recorded_run(record(tmp_path / "run", setting.spec(), rounds=6))
    assert recorded.note == ""
    replay, model = FolderSource(recorded), ModelSource(setting)
    one, other = Renderer(replay), Renderer(model)
    assert replay.pool == model.pool
    assert replay.agents == model.agents
    assert list(replay.graph) == list(model.graph)
    assert nx.utils.graphs_equal(nx.Graph(replay.graph.edges), nx.Graph(model.graph.edges))
    assert every_agent(replay, one) == every_agent(model, other)
    pairs = zip(replay.play(), model.play(), strict=False)
    for number, (row, expected) in enumerate(pairs, start=1):
        assert row == expected
        one.add(row, replay.converged, replay.agreed)
        other.add(expected, model.converged, model.agreed)
        assert replay.committed() == model.committed()
        assert replay.converged == model.converged
        assert replay.agreed == model.agreed
        assert every_agent(replay, one) == every_agent(model, other)
        frame = one.frame(replay, "paused")
        live = other.frame(model, "paused")
        assert replace(frame, encounter=None) == replace(live, length=replay.length, encounter=None)
        assert frame.encounter is not None
        assert live.encounter is not None
        assert explain(frame.encounter, replay.referee) == explain(live.encounter, model.referee)
        if number < len(recorded.rows):
            assert replay.between_rounds == model.between_rounds
    assert one.history.interactions == replay.length == len(recorded.rows)
    assert replay.between_rounds
    assert replay.usage is None


def test_a_replay_converges_when_its_run_did_by_the_window_it_was_told(tmp_path: Path) -> None:
    spec = Spec(graph="ring(n=8)", names="QM", mind="uniform", incumbent="Q", seed=4)
    folder = record(tmp_path / "run", spec, 2_000, Goal("converged", 1, 0.75))
    source = FolderSource(read_recorded_run(folder))
    converged = []
    for _ in source.play():
        converged.append(source.converged)
    assert converged == [False] * (len(converged) - 1) + [True]


def test_a_run_of_an_ensemble_is_shown_by_its_number(tmp_path: Path) -> None:
    spec = Spec(
        graph="watts_strogatz(n=12, k=4, p=0.5)",
        names="QM",
        mind="llama-3.1-70b-instruct",
        committed={"M": (2, "cluster")},
        seed=6,
    )
    ensemble = play_ensemble(spec, runs=3, goal=GOAL, rounds=3, keep_interactions=True)
    write_ensemble(tmp_path, ensemble, goal=GOAL, most=3)
    for run in (0, 2):
        recorded = read_recorded_run(tmp_path, run)
        model = NamingGame(
            spec.graph, spec.names, spec.mind, committed=spec.committed, rng=6, run=run
        )
        source = FolderSource(recorded)
        renderer = shown(source)
        assert list(recorded.rows) == list(model.play(len(recorded.rows)))
        assert set(map(frozenset, recorded.graph.edges)) == set(
            map(frozenset, model.network.G.edges)
        )
        assert f"run {run}" in recorded.heading
        for details in every_agent(source, renderer):
            agent = model.agent_on(int(details.node))
            assert (details.name, details.committed) == (agent.name, agent.committed)
            odds = agent.mind.distribution(agent.memory, model.game.pool)  # type: ignore[attr-defined]
            assert details.choices is not None
            assert [choice.probability for choice in details.choices] == list(odds)
    assert read_recorded_run(tmp_path).run == 0
    with pytest.raises(FileFormatError, match="no interaction of run 3"):
        read_recorded_run(tmp_path, 3)


def test_the_heading_says_what_was_played(tmp_path: Path) -> None:
    folder = record(tmp_path / "run", Spec(graph="ring(n=6)", names="QM", seed=7))
    assert read_recorded_run(folder).heading == (
        "6 agents with claude-3.5-sonnet on ring(n=6), names Q, M, seed 7, run 0"
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.filterwarnings("ignore::mesa_llm_norms.errors.GraphWarning")
@given(specs(minds=["uniform", "claude-3.5-sonnet"]))
def test_a_graph_that_was_given_is_shown_whole_whatever_its_nodes_are_called(
    arguments: dict[str, Any],
) -> None:
    graph = arguments["graph"]
    spec = Spec(seed=arguments.pop("rng"), **arguments)
    if len({str(node) for node in graph}) < len(graph):
        return
    with tempfile.TemporaryDirectory() as folder:
        recorded = read_recorded_run(record(Path(folder), spec, rounds=3, goal=Goal()))
    source = FolderSource(recorded)
    renderer = shown(source)
    assert recorded.note == ""
    assert recorded.agents == source.agents == len(graph)
    assert list(source.nodes) == list(graph)
    assert set(recorded.graph.edges) == set(graph.edges)
    model = NamingGame(rng=spec.seed, **arguments)
    assert list(model.play(len(recorded.rows))) == list(recorded.rows)
    for node, details in zip(graph, every_agent(source, renderer), strict=True):
        agent = model.agent_on(node)
        assert (details.name, details.score) == (agent.name, agent.score)
        assert details.memory == tuple((*pair, model.game.payoff(*pair)) for pair in agent.memory)
        assert details.committed == agent.committed


def test_minds_by_node_and_mixes_are_shown_where_they_were(tmp_path: Path) -> None:
    graph = nx.relabel_nodes(nx.cycle_graph(6), {0: "<script>"})
    minds: dict[Hashable, str] = dict.fromkeys(graph, "uniform")
    minds["<script>"] = "claude-3.5-sonnet"
    spec = Spec(graph=graph, names="QM", mind=minds)
    mixed = replace(spec, mind={"uniform": 1, "claude-3.5-sonnet": 1})
    for name, one in (("by node", spec), ("mix", mixed)):
        recorded = read_recorded_run(record(tmp_path / name, one))
        expected = one.initial_state().minds_by_node
        assert {node: mind.label for node, mind in recorded.minds.items()} == {
            node: mind.label for node, mind in expected.items()
        }


def test_a_spec_names_no_file_that_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ties.txt").write_text("a b\nb c\n")
    Path("mine.csv").write_text("memory,Q,M\n,0.5,0.5\n")
    folder = record(tmp_path / "run", Spec(graph="ties.txt", names="QM", mind="mine.csv"))
    Path("ties.txt").unlink()
    Path("mine.csv").unlink()
    recorded = read_recorded_run(folder)
    assert list(recorded.graph.edges) == [("a", "b"), ("b", "c")]
    assert recorded.heading == "3 agents with mine on ties.txt, names Q, M, seed 0, run 0"
    source = FolderSource(recorded)
    details = source.details(0, History(source.pool))
    assert (details.mind, details.choices) == ("mine", None)


def test_edges_that_were_added_since_are_shown_with_a_note(tmp_path: Path) -> None:
    folder = record(tmp_path / "run", Spec(graph="complete(n=6)", names="QM", mind="uniform"))
    described(folder, graph="ring(n=6)")
    recorded = read_recorded_run(folder)
    met = {frozenset(row.nodes) for row in recorded.rows}
    edges = set(map(frozenset, recorded.graph.edges))
    assert edges == met | {frozenset((node, (node + 1) % 6)) for node in range(6)}
    assert (
        recorded.note == f"Edges added during the run are shown from its start: {len(edges) - 6}."
    )
    described(folder, graph="ring(n=4)")
    refused(folder, "an agent that is not in the network")


def test_an_agent_that_plays_another_name_is_committed_no_more(tmp_path: Path) -> None:
    spec = Spec(graph="ring(n=8)", names="QM", mind="uniform", seed=1)
    folder = record(tmp_path / "run", spec, goal=Goal())
    described(folder, committed=[["M", {"nodes": [0, 1, 2]}]])
    source = FolderSource(read_recorded_run(folder))
    believed: set[Hashable] = {0, 1, 2}
    assert source.committed() == dict.fromkeys(believed, "M")
    for row in source.play():
        for node, name in zip(row.nodes, row.names, strict=True):
            if name != "M":
                believed.discard(node)
        assert set(source.committed()) == believed
    assert not believed


def test_agents_that_a_table_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    graph = nx.path_graph([1, "1", 2])
    folder = record(tmp_path / "run", Spec(graph=graph, names="QM", mind="uniform"))
    refused(folder, "two agents are both called '1'")


# One record, many viewers


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> RecordedRun:
    spec = Spec(graph="ring(n=12)", names="QM", mind="uniform", seed=3)
    return read_recorded_run(record(tmp_path_factory.mktemp("ring"), spec, 5, Goal()))


def test_viewers_of_one_record_are_each_at_a_moment_of_their_own(ring: RecordedRun) -> None:
    one, other = FolderSource(ring), FolderSource(ring)
    renderer = shown(one, 30)
    assert every_agent(other, Renderer(other)) == every_agent(FolderSource(ring), Renderer(other))
    assert every_agent(one, renderer) != every_agent(other, Renderer(other))
    assert list(one.play()) == list(ring.rows[30:])
    assert list(one.play()) == []


def test_play_that_is_stopped_goes_on_where_it_was(ring: RecordedRun) -> None:
    source, rows = FolderSource(ring), list[Row]()
    while len(rows) < len(ring.rows):
        played = source.play()
        rows += islice(played, 7)
        played.close()
    assert tuple(rows) == ring.rows


@pytest.mark.parametrize(
    "edit", [Commitment(0, 1, "M"), Commitment(0, 1, None), EdgeChange(0, 1, 5, True)]
)
def test_a_record_cannot_be_changed(ring: RecordedRun, edit: Any) -> None:
    source = FolderSource(ring)
    with pytest.raises(SpecError, match="cannot be changed"):
        source.change(edit)
    with pytest.raises(nx.NetworkXError):
        source.graph.add_edge(0, 5)
    with pytest.raises(SpecError, match="there is no agent 12"):
        source.details(12, History(source.pool))
    source.interrupt()
    source.close()


def test_a_runner_seeks_in_a_record_and_stops_at_its_end(ring: RecordedRun) -> None:
    def until(condition: Callable[[], object]) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.005)

    player = Player(lambda _: FolderSource(ring), Setting(), speed=FULL_SPEED)
    try:
        player.start()
        for moment in (40, 7, 0, 60):
            player = player.restart(Setting(at=moment))
            until(lambda: player.frame.state == "paused")  # noqa: B023
            source = FolderSource(ring)
            assert player.frame == shown(source, moment).frame(source, "paused")
        assert player.frame.length == 60
        player.give(Order.PLAY)
        until(lambda: player.frame.note and not player.playing)
        assert player.frame.note == "End of the recorded run."
    finally:
        player.close()


# Live minds


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MessagesServer]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-that-nobody-may-see")
    with MessagesServer() as running:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        yield running


def live(folder: Path, graph: Any = "ring(n=6)", **other: Any) -> NamingGame:
    arguments = {"names": "QM", "mind": LIVE, "rng": 7, **other}
    return NamingGame(graph, llm=LLMSettings(folder=folder, wait=0.001), **arguments)


def without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("ANTHROPIC_BASE_URL")


def test_live_minds_are_shown_with_the_prompts_and_replies_of_their_last_interaction(
    server: MessagesServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = nx.relabel_nodes(nx.cycle_graph(5), {0: "<script>", 1: (1, "b"), 2: "3", 4: 2.5})
    model = live(tmp_path / "run", graph, committed={"M": ["<script>"]})
    held = []
    for played in model.play(20):
        held.append(
            {node: (model.agent_on(node).memory, model.agent_on(node).name) for node in graph}
        )
        assert played.interaction == len(held) - 1
    model.close()
    without_a_key(monkeypatch)
    recorded = read_recorded_run(tmp_path / "run")
    assert recorded.note == ""
    assert list(recorded.graph) == list(graph)
    assert {node: mind.name for node, mind in recorded.committed.items()} == {"<script>": "M"}
    source = FolderSource(recorded)
    renderer = Renderer(source)
    assert source.usage == Usage(0, 0, 0.0)
    with Journal.read(tmp_path / "run" / "journal.sqlite") as journal:
        calls = tokens = 0
        last: dict[Hashable, Any] = {}
        for row, expected in zip(source.play(), held, strict=True):
            renderer.add(row, source.converged, source.agreed)
            for call in journal.attempts_of(0, row.interaction):
                calls, tokens = calls + 1, tokens + (call.input_tokens or 0)
                tokens += call.output_tokens or 0
                last[row.nodes[call.seat]] = call
            encounter = source.encounter()
            assert encounter is not None
            told = explain(encounter, source.referee, source.answers(encounter))["agents"]
            for agent, part in zip(told, encounter.parts, strict=True):
                known = "always says M" if part.node == "<script>" else "only gave its answer"
                assert known in agent["how"]
                assert not agent["probabilities"]
            assert source.usage is not None
            assert source.usage[:2] == (calls, tokens)
            for node, details in zip(source.nodes, every_agent(source, renderer), strict=True):
                memory, name = expected[node]
                assert [pair[:2] for pair in details.memory] == list(memory)
                assert details.name == name
                assert details.mind == LIVE
                assert details.committed == ("M" if node == "<script>" else None)
                assert (details.exchange is None) == (node not in last)
                if details.exchange is not None:
                    call = last[node]
                    assert details.exchange.prompt == call.user
                    assert details.exchange.system == call.system
                    assert details.exchange.reply == call.reply is not None
                    assert details.exchange.tokens == (call.input_tokens, call.output_tokens)
                    assert details.exchange.seconds == call.latency > 0
    assert 20 <= calls <= len(server.answered)


def test_a_run_of_live_minds_may_be_looked_at_while_it_is_played(
    server: MessagesServer, tmp_path: Path
) -> None:
    model = live(tmp_path / "run")
    try:
        rows = list(model.play(70))
        assert model.client is not None
        model.client.flush()
        model.client.journal.flush()
        assert list(read_recorded_run(tmp_path / "run").rows) == rows
        list(model.play(5))
    finally:
        model.close()
    assert len(read_recorded_run(tmp_path / "run").rows) == 75
    assert server.answered


def test_a_run_that_is_out_of_budget_is_shown_as_far_as_it_came(
    server: MessagesServer, tmp_path: Path
) -> None:
    model = NamingGame(
        "ring(n=6)",
        "QM",
        LIVE,
        rng=7,
        run=3,
        llm=LLMSettings(folder=tmp_path / "run", budget_calls=21),
    )
    rows: list[Interaction] = []
    with pytest.raises(BudgetError):
        rows += model.play()
    model.close()
    recorded = read_recorded_run(tmp_path / "run")
    assert recorded.run == 3
    assert list(recorded.rows) == rows
    assert rows
    with pytest.raises(FileFormatError, match=r"no interaction of run 0.*that of run 3"):
        read_recorded_run(tmp_path / "run", 0)
    assert len(server.answered) <= 21


def test_void_interactions_are_passed_over_and_what_they_took_is_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-that-nobody-may-see")

    def faults(number: int, _: Any) -> Fault | None:
        return Fault("foreign") if number % 5 == 2 else None

    with MessagesServer(faults=faults) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        calls = LLMSettings(
            folder=tmp_path / "run", on_unusable="skip", ask_again=0, max_concurrency=1
        )
        model = NamingGame("ring(n=6)", "QM", LIVE, rng=7, llm=calls)
        rows = list(model.play(15))
        skipped = model.skipped
        model.close()
    assert skipped > 0
    recorded = read_recorded_run(tmp_path / "run")
    assert list(recorded.rows) == rows
    source = FolderSource(recorded)
    seen = []
    for _ in source.play():
        assert source.usage is not None
        seen.append(source.usage.calls)
    assert seen == sorted(seen)
    assert seen[-1] >= 2 * (15 + skipped) - skipped


def test_the_folder_of_live_runs_is_shown_at_its_end_with_the_run_that_is_named(
    server: MessagesServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--topology", "ring(n=6)", "--names", "QM", "--mind", LIVE, "--seed", "7", "-q"]
    options += ["--rounds", "2", "--until", "none"]
    for more in (["--out", "one"], ["--out", "many", "--runs", "2"]):
        result = CliRunner().invoke(cli.app, ["run", *options, *more])
        assert result.exit_code == 0, result.output
    assert server.answered
    without_a_key(monkeypatch)
    one, first, second = (
        read_recorded_run(Path("one")),
        read_recorded_run(Path("many"), 0),
        read_recorded_run(Path("many"), 1),
    )
    table = pd.read_parquet("one/interactions.parquet")
    assert [Interaction(*row) for row in table.itertuples(index=False)] == list(one.rows)
    assert one.rows == first.rows
    assert {row.run for row in second.rows} == {1}
    assert all(recorded.calls is not None for recorded in (one, first, second))
    with pytest.raises(FileFormatError, match=r"no interaction of run 2.*that of 2 runs"):
        read_recorded_run(Path("many"), 2)


# Folders that cannot be shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    spec = Spec(graph="ring(n=6)", names="QM", mind="uniform", seed=3)
    return record(tmp_path / "run", spec, 3, Goal())


def refused(folder: Path, match: str) -> None:
    """Check that a folder is refused in one line."""
    with pytest.raises(FileFormatError, match=match) as caught:
        read_recorded_run(folder)
    assert "\n" not in str(caught.value)
    assert len(caught.value.remedy) > 10


def changed(folder: Path, **columns: Any) -> None:
    path = folder / "interactions.parquet"
    pd.read_parquet(path).assign(**columns).to_parquet(path)


def test_a_folder_without_a_run_is_refused(tmp_path: Path, folder: Path) -> None:
    refused(tmp_path / "nowhere", "no such folder")
    refused(folder / "spec.json", "no such folder")
    refused(tmp_path, "no run in it")
    (folder / "interactions.parquet").unlink()
    refused(folder, "interactions were not kept.*--keep-interactions")


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"name_a": "Z"}, "a name that is not in the pool"),
        ({"name_a": 3}, "its name_a cannot be int64"),
        ({"name_a": None}, "its name_a cannot be null"),
        ({"node_b": 1.5}, "its node_b cannot be double"),
        ({"node_b": [None, *range(17)]}, "its node_b cannot be double"),
        ({"node_b": [None, *map(str, range(17))]}, "some of it is empty"),
        ({"interaction": 4}, "out of order"),
        ({"round": range(18, 0, -1)}, "out of order"),
        ({"node_a": "1", "node_b": "1"}, "two agents are both called '1'"),
        (
            {"node_a": range(-2_000, -1_982), "interaction": [*range(17), 2**62]},
            "not in the network",
        ),
    ],
)
def test_rows_that_no_run_can_have_left_are_refused(
    folder: Path, columns: dict[str, Any], match: str
) -> None:
    changed(folder, **columns)
    refused(folder, match)


def test_what_is_no_table_of_interactions_is_refused(folder: Path) -> None:
    path = folder / "interactions.parquet"
    shutil.copy(folder / "rounds.parquet", path)
    refused(folder, "damaged or no table of interactions")
    for contents in (b"", b"PAR1", b"no table at all", bytes(9_000)):
        path.write_bytes(contents)
        refused(folder, "damaged or no table of interactions")
    path.unlink()
    path.mkdir()
    refused(folder, "interactions were not kept")


def test_more_agents_than_can_be_looked_at_are_refused(tmp_path: Path) -> None:
    spec = Spec(graph="ring(n=1200)", names="QM", mind="uniform")
    refused(record(tmp_path / "ring", spec, 1, Goal()), "1,000 agents are too many to look at")
    spec = replace(spec, graph=nx.cycle_graph(1200))
    refused(record(tmp_path / "graph", spec, 1, Goal()), "1,000 agents are too many to look at")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec",), None),
        (("spec", "graph"), 5),
        (("spec", "graph"), "ring(n=1)"),
        (("spec", "graph"), "ring(n=6, k=5"),
        (("spec", "graph"), "/etc/hostname"),
        (("spec", "graph"), {"directed": False, "nodes": [0, 1], "edges": [[0, 2]]}),
        (("spec", "names"), "Q"),
        (("spec", "names"), [["Q"], "M"]),
        (("spec", "mind"), 5),
        (("spec", "mind"), {}),
        (("spec", "mind"), {"minds": ["uniform"], "shares": [-1]}),
        (("spec", "mind"), {"minds": ["uniform"], "nodes": [[0, 1]]}),
        (("spec", "memory"), 0),
        (("spec", "incumbent"), "Z"),
        (("spec", "committed"), [["Z", 1]]),
        (("spec", "committed"), [["M", 7]]),
        (("spec", "committed"), [["M", {"nodes": [9]}]]),
        (("spec", "committed"), [["M", {"nodes": [[0]]}]]),
        (("spec", "committed"), [["M", True]]),
        (("spec", "committed"), 5),
        (("spec", "seed"), -1),
        (("spec", "seed"), None),
        (("run", "window"), 10**9),
        (("run", "until"), "never"),
        (("run",), []),
    ],
)
def test_a_spec_that_no_run_can_have_had_is_refused(
    folder: Path, path: tuple[str, ...], value: Any
) -> None:
    file = folder / "spec.json"
    content = json.loads(file.read_text())
    inside = content
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    file.write_text(json.dumps(content))
    refused(folder, "no run is described in it")


def test_a_journal_that_cannot_be_read_is_refused(server: MessagesServer, tmp_path: Path) -> None:
    model = live(tmp_path / "run")
    list(model.play(4))
    model.close()
    assert server.answered
    path = tmp_path / "run" / "journal.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(JournalError):
        read_recorded_run(tmp_path / "run")
    path.unlink()
    bad: list[dict[str, Any]] = [{}, {"spec": {}}, {"spec": 3, "run": 0}, {"spec": {}, "run": "x"}]
    for spec in bad:
        with Journal.create(path, spec) as journal:
            journal.commit(Interaction(0, 0, 0, 0, 1, "Q", "Q", 100))
        refused(tmp_path / "run", "no run is described in it")
        path.unlink()
    with Journal.create(path, {"runs": 5}):
        pass
    refused(tmp_path / "run", "no interaction of run 0.*that of 5 runs")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["spec.json", "interactions.parquet"]),
    st.floats(0, 1, exclude_max=True),
    st.binary(max_size=20),
    st.integers(0, 20),
)
def test_a_damaged_folder_is_shown_or_refused_and_nothing_else(
    folder: Path, name: str, where: float, put: bytes, instead_of: int
) -> None:
    path = folder / name
    whole = path.read_bytes()
    at = int(where * len(whole))
    path.write_bytes(whole[:at] + put + whole[at + instead_of :])
    with suppress(FileFormatError):
        shown(FolderSource(read_recorded_run(folder)))
    path.write_bytes(whole)


@settings(max_examples=30)
@given(pools(), st.lists(node_ids(), min_size=2, max_size=5, unique_by=str))
def test_a_journal_keeps_names_and_nodes_as_they_were(
    pool: tuple[str, ...], nodes: list[Any]
) -> None:
    graph = nx.path_graph(nodes)
    spec = Spec(graph=graph, names=pool, mind="uniform")
    played = play_run(spec, 0, Goal(), 2, keep=True)
    with tempfile.TemporaryDirectory() as folder:
        content = {"spec": to_json(spec), "run": 0}
        with Journal.create(Path(folder) / "journal.sqlite", content) as journal:
            journal.commit(*played.rows)
        recorded = read_recorded_run(Path(folder))
    assert list(recorded.rows) == played.rows
    assert list(recorded.graph) == nodes
    assert recorded.game == spec.game
