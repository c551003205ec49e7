"""What a ``graph=`` argument may be, how strings are read, and how topologies are added."""

from __future__ import annotations

import pickle
import random
import re
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import graphs

import mesa_llm_norms.networks
from mesa_llm_norms.errors import FileFormatError, TopologyError
from mesa_llm_norms.networks import registry
from mesa_llm_norms.networks.adjacency import graph_size, is_directed
from mesa_llm_norms.networks.reading import read_graph
from mesa_llm_norms.networks.registry import (
    check_size,
    read_topology,
    size_limit,
    topologies,
    topology,
)


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a test adds out of the other tests."""
    monkeypatch.setattr(registry, "_TOPOLOGIES", dict(registry._TOPOLOGIES))


def rng() -> random.Random:
    """Return a fresh generator, always in the same state."""
    return random.Random(11)


def test_everything_public_is_listed_in_order_and_there() -> None:
    """One sorted __all__."""
    names = mesa_llm_norms.networks.__all__
    assert names == sorted(names)
    assert all(hasattr(mesa_llm_norms.networks, name) for name in names)


@given(graph=graphs())
def test_a_networkx_graph_is_returned_as_it_is(graph: nx.Graph[Any]) -> None:
    """Not copied, not checked."""
    assert read_graph(graph, rng()) is graph


def test_a_path_or_a_string_with_a_known_suffix_is_a_file(tmp_path: Path) -> None:
    """Both forms read it."""
    path = tmp_path / "friends.csv"
    path.write_text("a,b\nb,c\n")
    for given_as in (path, str(path)):
        assert set(read_graph(given_as, rng())) == {"a", "b", "c"}


def test_a_name_is_a_topology_even_where_a_file_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a string means does not depend on the folder it is used in."""
    (tmp_path / "ring").write_text("a b")
    monkeypatch.chdir(tmp_path)
    assert len(read_graph("ring", rng())) == 24
    with pytest.raises(FileFormatError, match="suffix"):
        read_graph(Path("ring"), rng())


def test_a_string_naming_an_existing_file_without_a_known_suffix_says_which_are_known(
    tmp_path: Path,
) -> None:
    """Rather than calling it an unknown topology."""
    path = tmp_path / "friends.pajek"
    path.write_text("a b")
    with pytest.raises(FileFormatError, match=r"\.graphml"):
        read_graph(str(path), rng())


@pytest.mark.parametrize("thing", [None, 24, 2.5, True, b"ring", ["ring"], {"n": 3}, nx, object()])
def test_anything_else_is_refused_with_what_to_give(thing: object) -> None:
    """The message shows a topology."""
    with pytest.raises(TopologyError, match=r"ring\(n=24\)") as raised:
        read_graph(thing, rng())
    assert raised.value.value is thing


@pytest.mark.parametrize(
    "text",
    [
        "watts_strogatz(n=30, k=6, p=0.25)",
        "watts_strogatz(30, 6, 0.25)",
        "watts_strogatz(30, p=.25, k=6)",
        " watts_strogatz ( n = 30 ,k=6,\n p=2.5e-1, ) ",
        "watts_strogatz(n=+30, k=6, p=0.25)",
    ],
)
def test_values_go_by_name_or_by_place_with_free_spacing(text: str) -> None:
    """All the same graph."""
    expected = read_topology("watts_strogatz(n=30,k=6,p=0.25)", rng())
    assert nx.utils.graphs_equal(read_topology(text, rng()), expected)


@pytest.mark.parametrize("sizes", ["[5, 6]", "(5, 6)", "[5,6,]", "(5,6)", "[ 5 , 6 ]"])
def test_lists_may_be_in_brackets_or_parentheses(sizes: str) -> None:
    """Both are read."""
    assert len(read_topology(f"stochastic_block({sizes}, p_in=1, p_out=0.5)", rng())) == 11


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("wats_strogatz(n=24)", "Did you mean watts_strogatz(n=24, k=4, p=0.1)?"),
        ("Watts-Strogatz", "Did you mean watts_strogatz"),
        ("COMPLETE", "Did you mean complete(n=24)?"),
        ("ring n=5", "Did you mean ring"),
        ("complete_graph(5)", "Did you mean complete"),
        ("hypercube", "Known are balanced_tree, barabasi_albert"),
        ("", "Known are"),
        ("networks/missing", "paths of graph files"),
    ],
)
def test_an_unknown_name_brings_a_suggestion_and_the_known_names(
    text: str, suggestion: str
) -> None:
    """Close matches first."""
    with pytest.raises(TopologyError) as raised:
        read_graph(text, rng())
    assert suggestion in str(raised.value)
    assert raised.value.value == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ring(nodes=24)", "no parameter 'nodes'; it has n, k"),
        ("karate(n=3)", "no parameter 'n'; it has none"),
        ("ring(24, n=24)", "two values for n"),
        ("ring(n=24, n=24)", "n is given twice"),
        ("ring(n=24, 2)", "2 without a name"),
        ("ring(24, 2, 3)", "3 values for 2 parameters"),
        ("ring(24, 2", "no closing parenthesis"),
        ("ring(24, 2) extra", "no closing parenthesis"),
        ("ring(24,, 2)", "cannot read"),
        ("ring(,)", "cannot read"),
        ("ring(n=)", "cannot read"),
        ("ring(n=True)", "'True' is not a number"),
        ("ring(n=None)", "'None' is not a number"),
        ("ring(n='24')", "is not a number"),
        ("ring(n=3*8)", "'3*8' is not a number"),
        ("ring(n=[[3]])", "cannot read"),
        ("ring(n=-5)", "n=-5 is not a whole number from 3 to 10,000,000"),
        ("watts_strogatz(p=2)", "p=2 is not a number from 0 to 1"),
        ("ring(n=" + "9" * 600 + ")", "characters"),
    ],
)
def test_a_bad_string_is_refused_saying_what_is_wrong(text: str, problem: str) -> None:
    """Naming the part in the way, with an example that works."""
    with pytest.raises(TopologyError) as raised:
        read_topology(text, rng())
    assert problem in str(raised.value)
    example = re.search(r'"([^"]+)"', raised.value.remedy)
    assert example is not None
    read_topology(example[1], rng())


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "ring(n=__import__('os').getpid())",
        "ring(n=9**9**9)",
        "complete(9**9**9)",
        "complete(n=" + "9" * 450 + ")",
        "erdos_renyi(p=1e" + "9" * 450 + ")",
        "ring" + "(" * 10_000 + ")" * 10_000,
        "(" * 10_000,
        "ring(" + "-" * 400 + "5)",
        "ring(n=" + "[" * 200 + "]" * 200 + ")",
        "ring(lambda: 0)",
        "ring(\0)",
        "ring(n=\ud800)",
        "\0",
        "ring; import os",
        "ring(*[1, 2])",
        "ring(**{'n': 5})",
        "x" * 5_000_000,
    ],
    ids=range(18),
)
def test_hostile_strings_are_refused_at_once_and_never_evaluated(text: str) -> None:
    """Code, nesting and huge numbers are just text that is no topology."""
    with pytest.raises(TopologyError) as raised:
        read_graph(text, rng())
    assert len(str(raised.value)) < 600


def test_a_refusal_can_cross_processes() -> None:
    """Errors pickle with all they say."""
    with pytest.raises(TopologyError) as raised:
        read_topology("ring(n=10, k=3)", rng())
    assert raised.value.value == "ring(n=10, k=3)"
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.value) == (str(raised.value), raised.value.value)


@given(text=st.text(max_size=30))
@settings(max_examples=300)
def test_any_text_is_a_graph_or_an_error_of_this_package(text: str) -> None:
    """No other exception, whatever the text."""
    with suppress(TopologyError, FileFormatError):
        read_graph(text, rng())


@given(
    name=st.sampled_from([it.name for it in topologies()]),
    inside=st.text(alphabet="nkpmd=,012.[]()-+e_ \n", max_size=14),
)
@settings(max_examples=300, deadline=None)
def test_anything_in_the_parentheses_is_a_graph_or_a_topology_error(name: str, inside: str) -> None:
    """No other exception, whatever is written after a known name."""
    assume(not re.search(r"[\d_]{3}", inside))
    try:
        graph = read_topology(f"{name}({inside})", rng())
    except TopologyError:
        return
    assert isinstance(graph, nx.Graph)
    assert nx.is_connected(graph)


@pytest.mark.usefixtures("own_registry")
def test_a_topology_of_ones_own_is_used_by_name_with_checked_parameters() -> None:
    """Name, summary, parameters and example come from the function."""

    @topology("hub_ring(n=12)", n=(4, 1_000))
    def hub_ring(n: int = 24, share: float = 0.5) -> Any:
        """A ring with a hub.

        More than the first line is not the summary.
        """
        if share > 1:
            raise ValueError(f"share={share} is above 1")
        return nx.wheel_graph(n)

    assert nx.utils.graphs_equal(read_graph("hub_ring(n=10)", rng()), nx.wheel_graph(10))
    assert hub_ring(5).number_of_nodes() == 5
    added = topologies()[-1]
    assert (added.name, added.summary) == ("hub_ring", "A ring with a hub.")
    assert added.signature == "hub_ring(n=24, share=0.5)"
    assert added.parameters["n"].allowed == "a whole number from 4 to 1,000"
    assert added.parameters["share"].allowed == "a number"
    with pytest.raises(TopologyError, match="n=3 is not a whole number from 4 to 1,000"):
        read_graph("hub_ring(3)", rng())
    with pytest.raises(TopologyError, match=r"share=2\.0 is above 1"):
        read_graph("hub_ring(share=2)", rng())
    with pytest.raises(TopologyError, match="hub_ring"):
        read_graph("hubring", rng())


@pytest.mark.usefixtures("own_registry")
def test_a_random_topology_of_ones_own_is_drawn_again_until_connected() -> None:
    """connect_by says what to raise when that is in vain; the draws are counted."""
    calls: list[int] = []

    @topology("gamble(p=0.9)", connect_by="p", p=(0, 1))
    def gamble(n: int = 6, p: float = 0.5, *, rng: random.Random) -> Any:
        calls.append(n)
        return nx.gnp_random_graph(n, p, seed=rng.getrandbits(32))

    graph: Any = read_graph("gamble(p=0.3)", rng())
    assert nx.is_connected(graph)
    calls.clear()
    with pytest.raises(TopologyError, match="no connected graph in 100 draws; raise p"):
        read_graph("gamble(p=0)", rng())
    assert len(calls) == 100


@pytest.mark.usefixtures("own_registry")
def test_a_directed_topology_of_ones_own_counts_as_connected_when_weakly_so() -> None:
    """A path of arrows is one part."""

    @topology("arrows()", connect_by="n")
    def arrows(n: int = 5) -> Any:
        return nx.path_graph(n, create_using=nx.DiGraph)

    assert is_directed(read_graph("arrows", rng()))


@pytest.mark.usefixtures("own_registry")
def test_running_a_definition_again_replaces_it() -> None:
    """As happens in a notebook."""
    for size in (3, 5):

        @topology("again()")
        def again(n: int = size) -> Any:
            return nx.path_graph(n)

        assert len(read_graph("again", rng())) == size


@pytest.mark.usefixtures("own_registry")
def test_the_names_of_the_catalogue_cannot_be_taken() -> None:
    """A published string keeps its meaning."""

    def ring(n: int = 3) -> Any:
        return nx.path_graph(n)

    with pytest.raises(TopologyError, match="'ring' is taken"):
        topology("ring(n=5)")(ring)


@pytest.mark.usefixtures("own_registry")
def test_a_definition_that_could_not_be_used_is_refused_when_it_is_made() -> None:
    """No default, a default that is no number or out of range, a wrong example or range."""

    def no_default(n: int) -> Any:
        return nx.path_graph(n)

    def word(kind: str = "x") -> Any:
        return nx.path_graph(len(kind))

    def flag(closed: bool = True) -> Any:
        return nx.path_graph(2 + closed)

    def fine(n: int = 5) -> Any:
        return nx.path_graph(n)

    cases: list[tuple[str, Callable[..., Any]]] = [
        ("no_default(n=3)", no_default),
        ("word()", word),
        ("flag()", flag),
        ("other(n=3)", fine),
        ("fine(m=3)", fine),
        ("fine(", fine),
    ]
    for example, function in cases:
        with pytest.raises(TopologyError, match="cannot be used by name"):
            topology(example)(function)
    with pytest.raises(TopologyError, match="it has no p"):
        topology("fine()", p=(0, 1))(fine)
    with pytest.raises(TopologyError, match="n=5 is not a whole number from 6 to 9"):
        topology("fine()", n=(6, 9))(fine)


@pytest.mark.usefixtures("own_registry")
def test_what_is_no_graph_or_too_large_is_refused_and_a_bug_shows_as_itself() -> None:
    """ValueError and networkx errors become TopologyError; anything else is the author's."""

    @topology("lines(n=3)")
    def lines(n: int = 3) -> Any:
        return list(range(n))

    @topology("squares(n=3)")
    def squares(n: int = 3) -> Any:
        check_size(n * n)
        return nx.random_regular_graph(n, n)

    @topology("broken()")
    def broken() -> Any:
        raise KeyError("a bug")

    with pytest.raises(TopologyError, match="made a list, not a networkx graph"):
        read_graph("lines", rng())
    with pytest.raises(TopologyError, match="1,000,000 nodes"):
        read_graph("squares(1000)", rng())
    with pytest.raises(TopologyError) as raised:
        read_graph("squares(4)", rng())
    assert isinstance(raised.value.__cause__, nx.NetworkXError)
    with pytest.raises(KeyError):
        read_graph("broken", rng())


# A limit on the size


@st.composite
def topology_strings(draw: Any) -> str:
    """Any topology that ships, with numbers of any size."""
    one = draw(st.sampled_from([it for it in topologies() if "mesa_llm" in it.function.__module__]))
    shares = st.floats(0, 1) | st.floats(0, 0.01)
    counts = st.integers(0, 60) | st.integers(0, 2_000) | st.integers(0, 100_000)
    values = {
        name: draw(
            st.lists(counts, min_size=1, max_size=60)
            if isinstance(it.default, tuple)
            else shares
            if isinstance(it.default, float)
            else counts
        )
        for name, it in one.parameters.items()
    }
    return f"{one.name}({', '.join(f'{name}={value}' for name, value in values.items())})"


@given(topology_strings())
@settings(deadline=None)
def test_within_a_limit_a_larger_graph_is_refused_before_it_is_made(text: str) -> None:
    tracemalloc.start()
    try:
        with size_limit(500, 2_000), suppress(TopologyError):
            assert graph_size(read_topology(text, rng())) <= (500, 2_100)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        "connected_caveman(cliques=1000, size=100)",
        f"stochastic_block(sizes={[999] * 60}, p_in=1e-9, p_out=0.0001)",
        "complete(n=1000)",
        "star(n=1001)",
        "wheel(n=1001)",
        "random_regular(n=1000, d=100)",
        "barbell(clique=500, path=0)",
    ],
)
def test_the_size_that_is_refused_is_named_and_so_is_the_limit(text: str) -> None:
    with size_limit(1_000, 40_000), pytest.raises(TopologyError, match=r"nodes.*1,000 and 40,000"):
        read_topology(text, rng())


@pytest.mark.usefixtures("own_registry")
def test_a_topology_of_ones_own_that_checks_nothing_is_refused_too() -> None:
    @topology("grown(n=3)")
    def grown(n: int = 3) -> nx.Graph[Any]:
        graph: nx.Graph[Any] = nx.path_graph(n * n)
        return graph

    assert len(read_topology("grown(n=10)", rng())) == 100
    with size_limit(50, 1_000), pytest.raises(TopologyError, match="too many"):
        read_topology("grown(n=10)", rng())
