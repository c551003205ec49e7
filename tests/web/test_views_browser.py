"""The network and the charts as a browser draws them: what they show, say, and take."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import OpenPage, need_browser
from playwright.sync_api import Locator, Page
from served import Served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    need_browser()
    server = Path(__file__).parents[1] / "support" / "views_server.py"
    with Served([sys.executable, str(server)]) as served:
        yield served


class Views:
    """The page of views, opened with a query."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.network = page.get_by_test_id("network")
        self.chart = page.get_by_test_id("chart").last
        self.nodes.first.wait_for()

    @property
    def nodes(self) -> Locator:
        return self.network.locator("[data-node]")

    def node(self, place: int) -> Locator:
        return self.network.locator(f'[data-node="{place}"]')

    def centre(self, place: int) -> tuple[float, float]:
        """Return where on the screen the middle of a node is."""
        box = self.node(place).locator("rect").bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def button(self, name: str) -> Locator:
        return self.page.get_by_test_id(f"network-zoom-{name}")

    def picked(self, what: object) -> None:
        """Wait until the server was told of a pick."""
        self.page.get_by_text(f"picked {what},").wait_for()

    def legend(self) -> dict[str, int]:
        """Return how often the legend says that a name is held."""
        entries = self.page.get_by_test_id("network-legend").locator("[data-legend]").all()
        return {
            str(entry.get_attribute("data-legend")): int(entry.locator("b").inner_text())
            for entry in entries
        }

    def held(self) -> dict[str, int]:
        """Return how many nodes hold each name."""
        names = self.nodes.evaluate_all("nodes => nodes.map(node => node.dataset.name)")
        return {name: names.count(name) for name in names if name}


@pytest.fixture
def views(server: Served, open_page: OpenPage) -> Any:
    def open_views(query: str = "", width: int = 1280, height: int = 720) -> Views:
        return Views(open_page(f"{server.link}&{query}", width, height))

    return open_views


def ground(page: Page) -> tuple[float, float]:
    """Return a place on the screen within the drawing with no node near: the middle of a circle."""
    box = page.get_by_test_id("network").locator("svg").first.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2 + 30, box["y"] + box["height"] / 2 + 30


def view_box(view: Views) -> list[float]:
    text = view.network.locator("svg").first.get_attribute("viewBox") or ""
    return [float(number) for number in text.split()]


def test_nodes_legend_and_description_agree_on_who_holds_what(views: Any) -> None:
    view = views("n=24&names=Q,M&committed=3")
    assert view.nodes.count() == 24
    held = view.held()
    assert view.legend() == held
    assert sum(held.values()) == 23
    description = view.network.get_by_role("img").first.get_attribute("aria-label")
    for name, count in held.items():
        assert f"{count} hold {name}" in description
    assert description.startswith("Network of 24 agents: ")
    assert description.endswith("1 hold no name yet, 3 are committed.")
    marks = view.nodes.evaluate_all("nodes => nodes.map(node => node.dataset.mark).join('')")
    assert marks == "ccc"


def test_committed_agents_are_square_and_others_round(views: Any) -> None:
    view = views("committed=1")
    rounded = "rect => 2 * rect.getAttribute('rx') / rect.getAttribute('width')"
    assert view.node(0).locator("rect").evaluate(rounded) < 0.3
    assert view.node(1).locator("rect").evaluate(rounded) == 1


def test_names_and_ids_are_text_whatever_is_in_them(views: Any) -> None:
    bad = "<img src=x onerror=alert(1)>"
    view = views(f"kind=directed&n=6&names={bad},<b>,x&committed=0".replace(" ", "%20"))
    view.page.mouse.move(*view.centre(2))
    tip = view.page.get_by_test_id("network-tip")
    assert tip.inner_text().startswith("<script>2\n")
    assert view.page.locator("img[src=x], .norms-net b b, .norms-chart b b").count() == 0
    assert set(view.legend()) == set(view.held())
    assert set(view.held()) <= {bad, "<b>", "x"}


def test_a_click_tells_which_node_and_one_on_the_ground_that_it_is_none(views: Any) -> None:
    view = views()
    view.node(7).click()
    view.picked(7)
    ring = view.network.locator('[data-ring="selected"] circle').first
    assert ring.is_visible()
    view.node(3).dispatch_event("click")
    view.picked(3)
    view.page.mouse.click(*ground(view.page))
    view.picked(-1)
    assert view.network.locator("[data-ring]").count() == 0


def test_a_drag_moves_the_drawing_and_picks_nothing(views: Any) -> None:
    view = views()
    mouse, before = view.page.mouse, view_box(view)
    mouse.move(*view.centre(7))
    mouse.down()
    mouse.move(view.centre(7)[0] + 60, view.centre(7)[1] + 40, steps=4)
    mouse.up()
    after = view_box(view)
    assert after[0] < before[0]
    assert after[2:] == before[2:]
    view.page.get_by_text("picked nothing,").wait_for()
    view.button("reset").click()
    assert view_box(view) == before
    view.node(7).click()
    view.picked(7)


def test_buttons_and_wheel_zoom_and_at_its_whole_the_wheel_scrolls_the_page(views: Any) -> None:
    view = views()
    whole = view_box(view)[2]
    view.button("in").click()
    assert view_box(view)[2] == pytest.approx(whole / 1.5)
    view.button("out").click()
    assert view_box(view)[2] == pytest.approx(whole)
    assert view.button("out").is_disabled()
    view.page.mouse.move(*view.centre(7))
    x, y = view.centre(7)
    view.page.mouse.wheel(0, -100)
    view.button("reset").and_(view.page.locator(":enabled")).wait_for()
    assert view_box(view)[2] < whole
    assert view.centre(7) == pytest.approx((x, y), abs=1.5), "what is under the mouse stays there"
    stopped = """svg => {
        const wheel = new WheelEvent("wheel", {deltaY: 10, cancelable: true, bubbles: true})
        return !svg.dispatchEvent(wheel)
    }"""
    drawing = view.network.locator("svg[role=group]")
    assert drawing.evaluate(stopped)
    view.button("reset").click()
    assert not drawing.evaluate(stopped)


def test_two_fingers_zoom(views: Any) -> None:
    view = views()
    x, y = ground(view.page)
    whole = view_box(view)[2]
    session = view.page.context.new_cdp_session(view.page)

    def touch(kind: str, *offsets: float) -> None:
        points = [{"x": x + offset, "y": y, "id": place} for place, offset in enumerate(offsets)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -20, 20)
    for reach in (30, 45, 60):
        touch("touchMove", -reach, reach)
    touch("touchEnd")
    view.button("reset").and_(view.page.locator(":enabled")).wait_for()
    assert view_box(view)[2] == pytest.approx(whole / 3, rel=0.25)
    view.page.get_by_text("picked nothing,").wait_for()


def test_nodes_are_reached_and_picked_with_the_keyboard(views: Any) -> None:
    view = views()
    view.node(0).focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        view.page.keyboard.press(key)
    view.picked(2)
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft", " "):
        view.page.keyboard.press(key)
    view.picked(23)
    tabbed = view.network.locator('[data-node][tabindex="0"]')
    assert tabbed.get_attribute("data-node") == "23"
    assert (view.node(2).get_attribute("aria-label") or "").startswith("2: ")


def test_a_view_that_is_only_looked_at_picks_nothing(views: Any) -> None:
    view = views("readonly=yes")
    view.node(7).click()
    view.page.mouse.move(*view.centre(7))
    view.page.get_by_test_id("network-tip").wait_for()
    view.page.get_by_text("picked nothing,").wait_for()


def test_a_change_reaches_nodes_legend_and_description(views: Any) -> None:
    view = views("names=A,B,C,D,E,F,G,H")
    before = view.held()
    updates = view.page.evaluate("window.__norms_updates || 0")
    view.page.get_by_test_id("change").click()
    view.page.wait_for_function(f"window.__norms_updates === {updates + 1}")
    view.page.wait_for_function("window.__norms_painted > 0")
    assert view.held() != before
    assert view.legend() == view.held()


def test_of_many_names_the_most_held_are_in_the_legend(views: Any) -> None:
    names = ",".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    view = views(f"n=100&kind=grid&names={names}")
    legend, held = view.legend(), view.held()
    assert len(legend) == 14
    assert list(legend.values()) == sorted(held.values(), reverse=True)[:14]
    more = view.network.locator("[data-legend-more]").inner_text()
    assert more == f"and {len(held) - 14} more"


def test_a_small_node_among_500_is_picked_beside_it_too(views: Any) -> None:
    view = views("n=500&kind=grid")
    x, y = view.centre(0)
    view.page.mouse.click(x - 7, y - 5)
    view.picked(0)
    assert view.network.locator('[data-node][tabindex="0"]').count() == 1


def test_on_a_phone_nothing_is_wider_than_the_screen_and_no_button_covers_a_node(
    views: Any,
) -> None:
    names = "yes,no,perhaps,a very long name indeed"
    view = views(f"names={names}&hint=Click.".replace(" ", "%20"), 390, 844)
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert view.page.get_by_test_id("network-hint").inner_text() == "Click."
    for place in range(24):
        view.node(place).click(trial=True)
    chart = view.chart.bounding_box()
    assert chart is not None
    assert chart["x"] + chart["width"] <= 390


def test_colours_fade_only_where_motion_is_welcome(views: Any) -> None:
    view = views()
    change = """() => new Promise(resolve => {
        let run = 0
        document.addEventListener("transitionrun", () => run++)
        const before = window.__norms_updates || 0
        document.querySelector('[data-testid="change"]').click()
        const look = () => window.__norms_updates > before
            ? setTimeout(() => resolve(run), 100) : setTimeout(look, 10)
        look()
    })"""
    fill = "[...document.querySelectorAll('.norms-net-node rect')].length"
    assert view.page.evaluate(fill) == 24
    assert view.page.evaluate(change) > 0
    view.page.emulate_media(reduced_motion="reduce")
    view.page.wait_for_timeout(600)
    moving = """() => [...document.querySelectorAll('.norms-net-node rect')]
        .filter(rect => parseFloat(getComputedStyle(rect).transitionDuration) > 0).length"""
    view.page.get_by_test_id("change").click()
    view.page.wait_for_function("window.__norms_updates >= 2")
    assert view.page.evaluate(moving) == 0


def test_recent_interactions_are_told_apart_without_colour(views: Any) -> None:
    view = views()
    dashes = "lines => lines.map(line => getComputedStyle(line).strokeDasharray)"
    matched = view.network.locator('[data-recent="match"]').evaluate_all(dashes)
    missed = view.network.locator('[data-recent="miss"]').evaluate_all(dashes)
    assert len(matched) + len(missed) == 12
    assert set(matched) == {"none"}
    assert "none" not in missed
    opacities = view.network.locator("[data-recent]").evaluate_all(
        "lines => lines.map(line => Number(line.getAttribute('opacity')))"
    )
    assert opacities == sorted(opacities)
    assert opacities[-1] == 1


def test_a_chart_says_its_last_values_and_labels_do_not_overlap(views: Any) -> None:
    names = ",".join("ABCDEFGHIJ")
    view = views(f"names={names}&rounds=40")
    description = view.chart.get_by_role("img").get_attribute("aria-label")
    assert description.startswith("Share of each name, round 40: A ")
    assert view.chart.locator("[data-line]").count() == 10
    boxes = view.chart.locator("[data-end] text").evaluate_all(
        "labels => labels.map(label => label.getBoundingClientRect()).map(r => [r.top, r.bottom])"
    )
    assert len(boxes) >= 2
    ordered = sorted(boxes)
    assert all(above[1] <= below[0] + 1.5 for above, below in pairwise(ordered))
    percents = view.chart.locator("[data-end] text").all_text_contents()
    assert description.endswith(", ".join(percents[:1]) + ".") or percents[0] in description


def test_a_chart_tells_all_values_under_the_mouse_and_a_click_seeks(views: Any) -> None:
    view = views("names=A,B,C&rounds=41")
    box = view.chart.locator("svg").bounding_box()
    assert box is not None
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
    view.page.mouse.move(x, y)
    tip = view.page.get_by_test_id("chart-tip")
    said = tip.inner_text()
    assert said.startswith("round ")
    number = int(said.split()[1])
    assert 15 < number < 27
    assert sorted(tip.locator(".norms-chart-name").all_inner_texts()) == ["A", "B", "C"]
    view.page.mouse.click(x, y)
    view.page.get_by_text(f", round {number}").wait_for()
    cursor = view.chart.locator("[data-cursor]")
    cursor.wait_for(state="attached")
    assert abs(box["x"] + float(cursor.get_attribute("x1") or 0) - x) < 8


@pytest.mark.parametrize("rounds", [1, 12, 150])
def test_a_chart_has_some_round_numbers_along_its_axis(views: Any, rounds: int) -> None:
    view = views(f"rounds={rounds}")
    ticks = [int(text.replace(",", "")) for text in view.chart.locator(".tick").all_text_contents()]
    assert 2 <= len(ticks) <= 7
    steps = {after - before for before, after in pairwise(ticks[1:])}
    assert len(steps) <= 1


def test_no_edge_passes_behind_a_third_agent(views: Any) -> None:
    view = views("n=40")
    found = view.page.evaluate(
        """() => {
          const nodes = [...document.querySelectorAll('[data-node]')].map((node) => {
            const [x, y] = node.getAttribute('transform').match(/-?[\\d.]+/g).map(Number)
            return { x, y, r: Number(node.querySelector('rect').getAttribute('width')) / 2 }
          })
          const line = document.createElementNS('http://www.w3.org/2000/svg', 'path')
          const all = document.querySelector('.norms-net-edges').getAttribute('d')
          const lines = all.match(/M[^M]+/g)
          const behind = lines.filter((text) => {
            line.setAttribute('d', text)
            const length = line.getTotalLength()
            const touched = new Set()
            for (let part = 0; part <= 60; part++) {
              const at = line.getPointAtLength((length * part) / 60)
              nodes.forEach(({ x, y, r }, place) => {
                if (Math.hypot(x - at.x, y - at.y) < r) touched.add(place)
              })
            }
            return touched.size !== 2
          })
          return [lines.length, lines.filter((text) => text.includes('Q')).length, behind.length]
        }"""
    )
    assert found[0] == 80
    assert found[1] > 20
    assert found[2] == 0


def test_edges_of_other_weights_have_other_widths(views: Any) -> None:
    view = views("n=12&kind=weighted")
    widths = view.page.evaluate(
        """() => [...document.querySelectorAll('.norms-net-edges')]
             .map(edge => getComputedStyle(edge).strokeWidth)"""
    )
    assert len(set(widths)) == len(widths) == 4
    assert view.page.locator("[data-legend-widths]").count() == 1


def test_a_web_of_thousands_of_edges_is_told_not_drawn(views: Any) -> None:
    view = views("n=150&kind=complete")
    assert view.page.locator(".norms-net-edges").count() == 0
    legend = view.page.locator("[data-legend-unseen]").inner_text()
    assert "11,175 edges not drawn" in legend
