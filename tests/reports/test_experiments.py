"""Pages and figures of tipping points and interventions: what they say of any result."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms import tip
from mesa_llm_norms.experiments.tipping import Comparison, Tipping, TippingPoint
from mesa_llm_norms.experiments.tipping.conditions import Direction, Phases, Question, TwoPhaseRun
from mesa_llm_norms.experiments.tipping.search import conclude
from mesa_llm_norms.minds.policies import ScriptedMind
from mesa_llm_norms.plots.experiments import plot_interventions, plot_tipping
from mesa_llm_norms.reports import environment
from mesa_llm_norms.reports.experiments import (
    draw_comparison,
    draw_tipping,
    write_comparison,
    write_tipping,
)
from mesa_llm_norms.simulation.spec import Spec

ODD = ("<script>x</script>", "M&M")
AGENTS = 10


class Page(HTMLParser):
    """Collects the tags of a page, where they point, and what can be read on it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text("utf-8")
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.text = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for key, value in attrs if key in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text += data


def point(
    flips: Mapping[int, int],
    *,
    runs: int = 20,
    names: Sequence[str] = "QM",
    topology: str = "complete(n=10)",
    placement: str = "random",
    mind: str = "scripted",
) -> TippingPoint:
    """Return what is found where so many runs flip of every number committed, none lasting."""
    incumbent, challenger = names
    base = Spec(
        graph=f"complete(n={AGENTS})", names=names, mind=ScriptedMind(names[0], mind), seed=1
    )
    question = Question(
        base,
        topology,
        Direction(incumbent, challenger),
        placement,
        Phases(challenger, rounds=30, after=30),
    )
    played = [
        (
            committed,
            TwoPhaseRun(run, True, 10 * AGENTS, 10, challenger, 1.0, False)
            if run < flipped
            else TwoPhaseRun(run, False, 30 * AGENTS, 30, incumbent, 0.9, None),
        )
        for committed, flipped in flips.items()
        for run in range(runs)
    ]
    return conclude(question, played, 0.95)


def comparison(*rows: Mapping[str, object], convention: str = "Q") -> Comparison:
    """Return a comparison of nothing and of rows that differ from it."""
    nothing: dict[str, object] = {
        "intervention": "nothing",
        "runs": 20,
        "worked": 0.0,
        "worked_low": 0.0,
        "worked_high": 0.17,
        "more": 0.0,
        "more_low": -0.16,
        "more_high": 0.16,
        "p": 1.0,
        "rounds": math.inf,
        "rounds_low": math.inf,
        "rounds_high": math.inf,
        "lasts": math.nan,
        "lasts_low": 0.0,
        "lasts_high": 1.0,
        "agents": 0,
        "edges": 0,
        "cost": 0.0,
    }
    every = pd.DataFrame([nothing, *({**nothing, **row} for row in rows)])
    return Comparison(
        goal="undo",
        convention=convention,
        alternative="M",
        enough=0.5,
        table=every,
        runs=pd.DataFrame({"run": [0]}),
        seed=1,
        level=0.95,
    )


def tipping_page(found: Tipping, folder: Path) -> Page:
    folder.mkdir(exist_ok=True)
    write_tipping(found, folder)
    draw_tipping(found, folder)
    return Page(folder / "report.html")


def comparison_page(found: Comparison, folder: Path) -> Page:
    folder.mkdir(exist_ok=True)
    write_comparison(found, folder)
    draw_comparison(found, folder)
    return Page(folder / "report.html")


def check_it_holds_all_it_needs(page: Page) -> None:
    assert not {"script", "link", "iframe", "a", "object"} & page.tags
    assert page.sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert not re.search(r"url\(|@import|https?:", page.source)


def test_names_networks_and_minds_cannot_put_anything_into_the_page_of_tipping_points(
    tmp_path: Path,
) -> None:
    odd = point({0: 0, 5: 20}, names=ODD, topology="<i>net</i>", mind="<b>bold</b>")
    page = tipping_page(Tipping((odd, point({0: 0, 5: 20}, names=ODD)), 1), tmp_path)
    check_it_holds_all_it_needs(page)
    assert not {"i", "b"} & page.tags
    for text in (*ODD, "<i>net</i>", "<b>bold</b>"):
        assert text in page.text


def test_names_and_interventions_cannot_put_anything_into_the_page_that_compares_them(
    tmp_path: Path,
) -> None:
    row = {"intervention": "50% <b>bold</b>", "worked": 0.9, "worked_low": 0.7, "worked_high": 1.0}
    page = comparison_page(comparison(row, convention=ODD[0]), tmp_path)
    check_it_holds_all_it_needs(page)
    assert "b" not in page.tags
    assert f"What would undo {ODD[0]}?" in page.text
    assert "50% <b>bold</b>" in page.text


PAGE = """
{% extends "page.html" %}{% from "macros.html" import bullets, figure, glossary, row, table %}
{% block body %}
<p>{{ text }}</p>{% call table(text) %}{{ row(text) }}{% endcall %}{{ glossary({text: text}) }}
{{ bullets([text]) }}{{ figure("data:", text) }}{{ text | capital }}
{% endblock %}
"""


@given(text=st.text())
def test_nothing_that_a_page_is_made_of_reads_a_text_as_html(text: str) -> None:
    made = environment().from_string(PAGE).render(title=text, text=text)
    body = made.partition("<body>")[2]
    tags = {tag.strip("/") for tag in re.findall(r"<([^ >]*)", body)}
    lists = {"dl", "dt", "dd", "ul", "li"}
    assert tags == {"h1", "p", "div", "table", "tr", "th", "td", "img", "body", "html"} | lists


def test_what_is_infinite_or_missing_is_said_in_words(tmp_path: Path) -> None:
    few = point({0: 0, 1: 0, 2: 1}, placement="hubs")
    wide = point({0: 0, 2: 1, 3: 2}, runs=3, placement="cluster")
    assert math.isinf(wide.curve.critical_mass.high)
    assert math.isfinite(wide.curve.critical_mass.value)
    page = tipping_page(Tipping((few, wide), 1), tmp_path)
    assert "<td>more than tried</td>" in page.source
    assert re.search(r"of 10 agents \(\d+\.\d%, \d+\.\d% to more than tried\)", page.text)
    assert "by none of the numbers tried (up to 2 of 10)" in page.text
    assert "<td>more than 30</td>" in page.source
    assert "<td>none</td>" in page.source
    assert not re.search(r"\b(inf|nan)\b", page.text)


def test_interventions_that_never_work_are_told_in_words(tmp_path: Path) -> None:
    page = comparison_page(comparison({"intervention": "1 committed"}), tmp_path)
    assert page.source.count("<td>more than played</td>") == 2
    assert "none of these is shown to work" in page.text
    assert not re.search(r"\b(inf|nan)\b", page.text)


def test_a_page_says_which_condition_is_meant_and_what_all_of_them_share(tmp_path: Path) -> None:
    hubs, periphery = (point({0: 0, 5: 20}, placement=it) for it in ("hubs", "periphery"))
    page = tipping_page(Tipping((hubs, periphery), 7), tmp_path)
    assert "<li>Q by M, hubs: Q is overturned by M" in page.source
    assert "<h3>Q by M, periphery</h3>" in page.source
    assert "Names Q M; scripted; complete(n=10); pairing by node; memory of 5; seed 7." in page.text


def test_every_column_that_is_no_plain_count_is_explained(tmp_path: Path) -> None:
    pages = [
        tipping_page(Tipping((point({0: 0, 5: 20}),), 1), tmp_path / "one"),
        comparison_page(comparison({"intervention": "1 committed"}), tmp_path / "two"),
    ]
    plain = {"convention", "intervention", "agents", "runs", "committed", "share", "flipped"}
    for page in pages:
        explained = " ".join(re.findall(r"<dt>(.*?)</dt>", page.source))
        heads = set(re.findall(r"<th>(.*?)</th>", page.source)) - plain
        assert all(head.removesuffix(" of agents") in explained for head in heads), heads


def test_the_figure_has_points_and_an_interval_for_every_condition() -> None:
    found = tip(graph="complete(n=12)", placements=("random", "hubs"), rounds=15, runs=400, rng=1)
    above, below = plot_tipping(found).axes
    assert len(above.containers) == 4
    assert [label.get_text() for label in below.get_yticklabels()] == [
        "Q by M, random",
        "Q by M, hubs",
        "M by Q, random",
        "M by Q, hubs",
    ]


def test_no_two_conditions_look_alike_in_the_figure() -> None:
    points = tuple(point({0: 0, 1: 20}, topology=f"net {number}") for number in range(16))
    lines = plot_tipping(Tipping(points, 1)).axes[1].lines
    looks = [(line.get_color(), line.get_marker()) for line in lines if line.get_marker() != "None"]
    assert len(set(looks)) == len(looks) == 16


@pytest.mark.parametrize("flips", [{0: 20, 10: 20}, {0: 0, 1: 0}, {0: 0, 10: 10}, {0: 12, 10: 20}])
def test_a_figure_is_drawn_whatever_flips(flips: dict[int, int]) -> None:
    above, below = plot_tipping(Tipping((point(flips),), 1)).axes
    low, high = above.get_xlim()
    assert low < 0 < high
    assert below.get_xlim() == (low, high)


def test_the_figure_of_interventions_says_where_fewer_than_half_of_the_runs_flip() -> None:
    slow = {"intervention": "slow", "rounds": 20.0, "rounds_low": 12.0}
    left, right = plot_interventions(comparison(slow)).axes
    assert [text.get_text() for text in right.texts] == ["in fewer than half of the runs"]
    endless = [line.get_xdata() for line in right.lines if line.get_marker() == ">"]
    assert np.array(endless).tolist() == [[right.get_xlim()[1]]]
    assert [label.get_text() for label in left.get_yticklabels()] == ["slow", "nothing"]
