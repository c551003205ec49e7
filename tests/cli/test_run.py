"""``run`` as typed: what it prints, what it leaves behind, and how it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest
from commands import invoke, printed, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesa_llm_norms import NamingGame, run_ensemble

RUN_KEYS = [
    *("mind", "agents", "topology", "interactions", "rounds", "converged", "agreed"),
    *("one_name", "names_left", "clusters", "largest_cluster"),
    *("winner", "success_rate", "shares", "out"),
]
ENSEMBLE_KEYS = [
    *("runs", "converged", "agreed", "one_name", "names_left", "clusters", "largest_cluster"),
    *("interactions_median", "winners"),
]
TREE = ("-t", "barabasi_albert(n=96, m=1)", "--names", "QM", "--seed", "7", "--no-files")
SMALL = ("--topology", "ring(n=6)", "--names", "QM")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def test_one_run_prints_its_object_and_leaves_its_folder() -> None:
    found = printed("run", *SMALL, "--seed", "1")
    assert list(found) == RUN_KEYS
    model = NamingGame(graph="ring(n=6)", names="QM", rng=1)
    outcome = model.run()
    assert found["interactions"] == outcome.interactions
    assert (found["rounds"], found["winner"]) == (outcome.rounds, outcome.winner)
    assert (found["agents"], found["topology"]) == (6, "ring(n=6)")
    assert found["mind"] == "claude-3.5-sonnet"
    assert list(found["shares"]) == ["Q", "M"]
    assert found["shares"][found["winner"]] == pytest.approx(outcome.share)
    folder = Path(found["out"])
    assert folder == Path("runs/claude-3.5-sonnet-ring-6-seed1")
    assert sorted(path.name for path in folder.iterdir()) == [
        "interactions.parquet",
        "network.gexf",
        "network.png",
        "network.svg",
        "nodes.parquet",
        "rounds.parquet",
        "rounds.png",
        "rounds.svg",
        "spec.json",
    ]
    assert len(pd.read_parquet(folder / "interactions.parquet")) == found["interactions"]


def test_without_arguments_24_agents_play_ten_letters_on_a_small_world() -> None:
    found = printed("run", "--seed", "1", "--rounds", "2", "--no-files")
    assert found["topology"] == "watts_strogatz(n=24, k=4, p=0.1)"
    assert (found["agents"], "".join(found["shares"])) == (24, "QMXYFJPRCD")
    assert found["out"] is None
    assert not Path("runs").exists()


def test_many_runs_print_their_object_and_are_those_of_run_ensemble() -> None:
    found = printed("run", "--names", "QM", "--runs", "20", "--seed", "1")
    assert list(found) == ENSEMBLE_KEYS
    runs = run_ensemble(graph="complete(n=24)", names="QM", runs=20, rng=1).runs
    assert (found["runs"], found["converged"]) == (20, int(runs["converged"].sum()))
    assert found["interactions_median"] == runs["interactions"].median()
    assert found["winners"] == runs["winner"].value_counts().to_dict()
    (folder,) = Path("runs").iterdir()
    assert folder.name == "claude-3.5-sonnet-complete-24-seed1-20runs"
    assert sorted(path.name for path in folder.iterdir()) == [
        "ensemble.png",
        "ensemble.svg",
        "network.gexf",
        "nodes.parquet",
        "rounds.parquet",
        "runs.parquet",
        "spec.json",
    ]


def test_where_no_run_converges_nobody_wins() -> None:
    found = printed("run", *SMALL, "--mind", "uniform", "--runs", "3", "--rounds", "4")
    assert (found["converged"], found["interactions_median"], found["winners"]) == (0, None, {})
    result = invoke("run", *SMALL, "--mind", "uniform", "--runs", "3", "--rounds", "4", "-q")
    assert result.stdout.startswith("None of 3 runs went quiet")


def test_runs_that_went_quiet_with_several_names_are_not_said_to_have_a_convention() -> None:
    found = printed("run", *TREE, "--runs", "20")
    assert (found["converged"], found["agreed"], found["one_name"]) == (20, 0, 0)
    assert found["names_left"] == 2
    assert found["clusters"] > 4
    told = invoke("run", *TREE, "--runs", "20", "--quiet").stdout
    assert re.match(
        r"20 of 20 runs went quiet, half of them within [\d,]+ interactions, 0 of ", told
    )
    assert "with one name; " in told
    one = invoke("run", *TREE, "--quiet").stdout
    assert "the population went quiet, with 2 names held: " in one


def test_runs_until_agreed_say_how_many_agreed() -> None:
    common = ("--runs", "8", "--until", "agreed", "--rounds", "40", "--seed", "7", "--no-files")
    told = invoke("run", "--names", "QM", "-q", *common).stdout
    assert told.startswith("8 of 8 runs agreed on a name, half of them within ")
    assert invoke("run", *TREE, "-q", *common).stdout == "None of 8 runs agreed on a name.\n"
    found = printed("run", "--names", "QM", *common)
    assert found["agreed"] == 8
    assert sum(found["winners"].values()) == 8


@pytest.mark.slow
def test_workers_change_nothing() -> None:
    arguments = ("run", *SMALL, "--runs", "6", "--seed", "3", "--no-files")
    assert printed(*arguments, "--workers", "2") == printed(*arguments)


def test_the_same_seed_gives_the_same_run_and_a_new_folder() -> None:
    first, second = (printed("run", *SMALL, "--seed", "5") for _ in range(2))
    assert second.pop("out") == first.pop("out") + "-2"
    assert first == second
    folders = sorted(Path("runs").iterdir())
    for name in ("spec.json", "rounds.parquet", "rounds.png", "network.svg"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_a_run_can_be_repeated_with_the_seed_it_prints() -> None:
    told = invoke("run", *SMALL, "--no-files").stdout
    (seed,) = re.findall(r"seed (\d+)", told)
    assert invoke("run", *SMALL, "--no-files", "--seed", seed).stdout == told


def test_a_run_shows_every_round_and_ends_in_one_sentence() -> None:
    result = invoke("run", *SMALL, "--seed", "1", "--out", "mine")
    lines = result.stdout.splitlines()
    rounds = [line for line in lines if line.startswith("round")]
    model = NamingGame(graph="ring(n=6)", names="QM", rng=1)
    outcome = model.run()
    assert len(rounds) == outcome.rounds
    assert lines[-2] == (
        f"After {outcome.interactions} interactions ({outcome.rounds} rounds) all 6 agents say "
        f"{outcome.winner}."
    )
    assert lines[-1].startswith("In mine/: interactions.parquet, network.gexf")
    quiet = invoke("run", *SMALL, "--seed", "1", "--no-files", "--quiet")
    assert quiet.stdout.splitlines() == [lines[-2]]


def test_a_long_run_shows_fewer_rounds_and_the_last() -> None:
    result = invoke("run", *SMALL, "--mind", "uniform", "--rounds", "125", "--no-files")
    shown = [int(number) for number in re.findall(r"^round +(\d+)", result.stdout, re.MULTILINE)]
    assert shown == [*range(1, 41), *range(50, 121, 10), 125]
    assert "No convention after 125 rounds (750 interactions): " in result.stdout


def test_every_argument_of_the_game_can_be_given() -> None:
    Path("minds.json").write_text(
        json.dumps({str(n): "uniform" if n else "llama-2-70b-chat" for n in range(6)})
    )
    printed(
        *("run", "-t", "ring(n=6)", "--names", "yes,no,maybe", "--minds-by-node", "minds.json"),
        *("--pairing", "matching", "--memory", "3", "--reward", "1.5", "--penalty", "-2"),
        *("--incumbent", "yes", "--committed", "maybe=[0, 3]", "--committed", "no=2:hubs"),
        *("--seed", "9", "--rounds", "4", "--until", "flipped", "--window", "2"),
        *("--threshold", "0.9", "--out", "here"),
    )
    content = json.loads(Path("here/spec.json").read_text(encoding="utf-8"))
    spec = content["spec"]
    assert spec == {
        "graph": "ring(n=6)",
        "names": ["yes", "no", "maybe"],
        "mind": {
            "minds": ["llama-2-70b-chat", "uniform"],
            "nodes": [[n, 1 if n else 0] for n in range(6)],
        },
        "pairing": "matching",
        "memory": 3,
        "reward": 1.5,
        "penalty": -2.0,
        "incumbent": "yes",
        "committed": [["maybe", {"nodes": [0, 3]}], ["no", [2, "hubs"]]],
        "seed": 9,
    }
    run = {"rounds": 4, "until": "flipped", "window": 2.0, "threshold": 0.9, "runs": None}
    assert content["run"] == run


def test_a_share_of_the_agents_may_be_committed() -> None:
    arguments = ("run", "-t", "ring(n=20)", "--names", "QM", "--rounds", "1", "--seed", "1")
    printed(*arguments, "--committed", "M=10%:hubs", "--out", "share")
    printed(*arguments, "--committed", "M=2:hubs", "--out", "count")
    spec = json.loads(Path("share/spec.json").read_text(encoding="utf-8"))["spec"]
    assert spec["committed"] == [["M", [0.1, "hubs"]]]
    share, count = (
        Path(folder, "interactions.parquet").read_bytes() for folder in ("share", "count")
    )
    assert share == count


def test_minds_may_share_a_population() -> None:
    shares = ("--mind", "uniform=0.25", "--mind", "claude-3.5-sonnet=0.75")
    found = printed("run", *SMALL, *shares, "--rounds", "2", "--no-files")
    assert found["mind"] == "uniform 25%, claude-3.5-sonnet 75%"


def test_a_graph_file_with_separate_parts_is_played_with_a_note() -> None:
    nx.write_graphml(nx.disjoint_union(nx.path_graph(3), nx.path_graph(2)), "parts.graphml")
    run = ("run", "-t", "parts.graphml", "--names", "QM", "--rounds", "9", "--no-files")
    for more in ((), ("--runs", "2", "--workers", "2")):
        result = invoke(*run, *more)
        assert result.exit_code == 0
        notes = [it for it in result.stderr.splitlines() if "compiling" not in it]
        (line,) = notes
        assert line.startswith("note: graph: 2 components with no edge between them")


def test_names_that_look_like_markup_are_shown_as_they_are() -> None:
    for more in ((), ("--runs", "2")):
        result = invoke("run", "-t", "ring(n=4)", "--names", "[red],[/x]", "--seed", "1", *more)
        assert result.exit_code == 0
        assert "[red]" in result.stdout or "[/x]" in result.stdout


HOSTILE = {
    "mind": (("--mind", "claude-3.5-sonet"), "did you mean 'claude-3.5-sonnet'"),
    "mind file": (("--mind", "none.json"), "No such file"),
    "mind twice": (("--mind", "uniform", "--mind", "uniform"), "named twice"),
    "shares": (("--mind", "uniform=nan"), "shares"),
    "some shares": (("--mind", "uniform=1", "--mind", "llama-2-70b-chat"), "only some"),
    "minds by node": (("--minds-by-node", "none.json"), "No such file"),
    "topology": (("--topology", "rin(n=3)"), "Did you mean ring"),
    "code": (("--topology", "__import__('os').getcwd()"), "graph: "),
    "one node": (("--topology", "star(n=1)"), "star"),
    "names": (("--names", "QQ"), "named twice"),
    "no name": (("--names", "a,,b"), "not usable as a name"),
    "pairing": (("--pairing", "nod"), "did you mean 'node'"),
    "memory": (("--memory", "0"), "1 to 1,000"),
    "reward": (("--reward", "nan"), "reward"),
    "incumbent": (("--incumbent", "Z"), "not in the pool"),
    "committed": (("--committed", "M"), "M=5:hubs"),
    "committed name": (("--committed", "Z=3"), "not in the pool"),
    "committed nodes": (("--committed", "M=[77]"), "no node"),
    "too many committed": (("--committed", "M=99"), "cannot be committed"),
    "too large a share": (("--committed", "M=101%"), "cannot be committed"),
    "share": (("--committed", "M=ten%"), "M=10%"),
    "placement": (("--committed", "M=2:top"), "random, hubs, periphery, cluster"),
    "seed": (("--seed", "-1"), "0 to 2**64 - 1"),
    "until": (("--until", "bored"), "not a valid stopping rule"),
    "never": (("--until", "none"), "nothing says when to stop"),
    "flipped": (("--until", "flipped"), "nobody is committed"),
    "rounds": (("--rounds", "-3"), "not a whole number"),
    "window": (("--window", "0"), "out of range"),
    "threshold": (("--threshold", "1.1"), "out of range"),
    "a file to write in": (("--out", "file/below"), "cannot be written"),
    "newline": (("--mind", "a\nb\x1b[2J"), "there is no mind"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_bad_arguments_are_refused_in_one_line(case: str) -> None:
    Path("file").write_text("")
    arguments, told = HOSTILE[case]
    assert told in refused("run", *arguments)


def test_nothing_is_overwritten() -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("all of it")
    assert "nothing is overwritten" in refused("run", "--out", "mine")
    assert Path("mine/thesis.txt").read_text() == "all of it"


@pytest.mark.parametrize(
    "arguments",
    [("--memory", "five"), ("--runs", "0"), ("--workers", "0"), ("--workers", "1001"), ("--rund",)],
)
def test_options_of_the_wrong_kind_are_refused_by_name(arguments: tuple[str, ...]) -> None:
    result = invoke("run", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert arguments[0] in result.stderr
    assert "Traceback" not in result.stderr


words = st.one_of(
    st.sampled_from(["QM", "Q,M", "uniform", "claude-3.5-sonnet=1", "M=1", "M=[0]", "M=2:hubs"]),
    st.sampled_from(
        ["ring(n=4)", "complete(n=3)", "star(3)", "torus", "ring(n=", "nan", "-1", "3"]
    ),
    st.text(max_size=6),
)
numbers = st.one_of(
    st.integers(-2, 6).map(str), st.sampled_from(["nan", "inf", "1e999", "9" * 30, "0.5", "x"])
)


@st.composite
def run_arguments(draw: st.DrawFn) -> list[str]:
    """Options of ``run``, sensible ones and not, on small graphs and for few rounds."""
    sensible = {
        "--topology": st.sampled_from(["ring(n=5)", "complete(n=4)", "star(n=4)"]),
        "--names": st.sampled_from(["QM", "yes,no,maybe", "ABCDEF"]),
        "--mind": st.sampled_from(["uniform", "llama-2-70b-chat", "claude-3.5-sonnet=0.4"]),
        "--pairing": st.sampled_from(["node", "edge", "matching"]),
        "--memory": st.sampled_from(["1", "5", "7"]),
        "--reward": st.sampled_from(["1", "0", "-5"]),
        "--penalty": st.sampled_from(["1", "0", "-5"]),
        "--incumbent": st.sampled_from(["Q", "yes", "A"]),
        "--committed": st.sampled_from(
            ["M=1", "M=[1]", "M=50%", "B=0.2:cluster", "no=1:periphery"]
        ),
        "--seed": st.integers(0, 9).map(str),
        "--until": st.sampled_from(["converged", "flipped", "none"]),
        "--window": st.sampled_from(["1", "3", "0.01"]),
        "--threshold": st.sampled_from(["1", "0.5"]),
        "--runs": st.sampled_from(["1", "2"]),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(sensible)), max_size=7, unique=True))
    hostile = (
        draw(st.sampled_from([*chosen, "--topology", "--mind"])) if draw(st.booleans()) else ""
    )
    arguments = ["--topology", "ring(n=4)"] if "--topology" not in chosen else []
    for option in dict.fromkeys([*chosen, hostile]):
        if option:
            odd = words if option in ("--topology", "--names", "--mind", "--committed") else numbers
            value = draw(odd if option == hostile else sensible[option])
            arguments.append(f"{option}={value}")
    return [*arguments, "--rounds", "3", "--no-files", "--json"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run_arguments())
def test_any_arguments_give_a_result_or_an_error_of_this_package(arguments: list[str]) -> None:
    result = invoke("run", *arguments)
    assert result.exit_code in (0, 2), result.stderr
    assert "Traceback" not in result.stderr
    assert list(Path().iterdir()) == []
    if result.exit_code == 0:
        assert list(json.loads(result.stdout)) in (RUN_KEYS, ENSEMBLE_KEYS)
    else:
        assert result.stdout == ""


def test_a_file_is_cleaned_on_the_way_and_what_was_done_is_said() -> None:
    Path("club.csv").write_text("ann,bo\nann,bo\nbo,cy\ndi,di\n")
    play = ("run", "--names", "QM", "--seed", "1", "--no-files", "-t", "club.csv")
    assert "--read parallel=sum" in refused(*play)
    cleaned = invoke(*play, "--clean")
    assert cleaned.exit_code == 0
    assert "note: graph: club.csv: dropped 1 edge from a node to itself; merged 1" in cleaned.stderr
    typed = 'file("club.csv", loops="drop", parallel="sum", isolated="drop")'
    assert printed(*play[:-1], typed)["agents"] == 3
