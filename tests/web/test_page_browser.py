"""What people do on the page, in a real browser against the real server."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from browser import OpenPage, StartApp
from front import Front
from playwright.sync_api import Browser, Page, expect

from mesa_llm_norms.web.model_source import ModelSource
from mesa_llm_norms.web.scenes import read_scenes
from mesa_llm_norms.web.scenes.scene import sentences
from mesa_llm_norms.web.setting import Setting

pytestmark = pytest.mark.browser

FULL = "&speed=inf"


def ready(page: Page) -> Page:
    page.locator("[data-node='0']").first.wait_for()
    return page


def figure(page: Page, label: str, side: int = 0) -> str:
    lines = page.get_by_test_id(f"figures-{side}").inner_text().split("\n")
    return lines[lines.index(label) - 1]


def interactions(page: Page, side: int = 0) -> int:
    return int(figure(page, "interactions", side).replace(",", ""))


def is_at(page: Page, number: int) -> bool:
    return interactions(page) == number


def held(page: Page, side: int = 0) -> list[str]:
    nodes = page.get_by_test_id(f"side-{side}").locator("[data-node]")
    found: list[str] = nodes.evaluate_all(
        "nodes => nodes.sort((a, b) => a.dataset.node - b.dataset.node)"
        ".map(node => node.dataset.name || '')"
    )
    return found


def setting(page: Page) -> Setting:
    return Setting.from_query(urlsplit(page.url).query)


def expected(page: Page) -> list[str]:
    """Return what the model holds at the moment that the page's link says."""
    now = setting(page)
    model = ModelSource(now.at_start()).model
    list(model.play(now.at))
    return [name or "" for name in model.names_held.values()]


def until(page: Page, condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        page.wait_for_timeout(50)


def paused(page: Page) -> Page:
    page.get_by_test_id("play").wait_for()
    until(page, lambda: setting(page).at == interactions(page))
    return page


def test_colors_change_while_it_plays_and_match_the_model(
    app: StartApp, open_page: OpenPage
) -> None:
    page = ready(open_page(app("--names", "QMX", "--seed", "3").link))
    assert set(held(page)) == {""}
    page.get_by_test_id("play").click()
    until(page, lambda: interactions(page) > 40)
    page.get_by_test_id("pause").click()
    assert held(paused(page)) == expected(page)
    page.get_by_test_id("round").click()
    until(page, lambda: interactions(page) == setting(page).at)
    page.get_by_test_id("converge").click()
    until(page, lambda: figure(page, "agreed") == "yes")
    assert held(paused(page)) == expected(page)
    assert len(set(held(page))) == 1
    assert "token" not in page.url


def test_a_link_shows_the_same_and_reset_begins_anew(app: StartApp, open_page: OpenPage) -> None:
    served = app()
    page = ready(open_page(served.link + "&names=QM&topology=ring(n%3D9)&seed=5"))
    for number in (1, 2, 3):
        page.get_by_test_id("step").click()
        until(page, partial(is_at, page, number))
    paused(page)
    query = urlsplit(page.url).query
    other = ready(open_page(f"{served.link}&{query}"))
    until(other, lambda: interactions(other) == 3)
    assert held(other) == held(page)
    page.get_by_test_id("reset").click()
    until(page, lambda: interactions(page) == 0)
    assert set(held(page)) == {""}
    page.get_by_test_id("new-seed").click()
    until(page, lambda: setting(page).seed != 5)


def test_a_click_on_an_agent_tells_why_it_plays_what_it_plays(
    app: StartApp, open_page: OpenPage
) -> None:
    page = ready(open_page(app("--names", "QM", "--seed", "3").link))
    page.get_by_test_id("round").click()
    until(page, lambda: interactions(page) == 24)
    page.locator("[data-node='5']").first.dispatch_event("click")
    details = page.get_by_test_id("agent")
    details.wait_for()
    source = ModelSource(setting(page).at_start())
    list(source.model.play(24))
    agent = source.model.agent_on(5)
    expect(details).to_contain_text("Agent 5")
    expect(details).to_contain_text("claude-3.5-sonnet")
    rows = page.get_by_test_id("memory").locator("tr").all_inner_texts()[1:]
    assert [tuple(row.split("\t")[:2]) for row in rows] == list(agent.memory)
    assert len(page.get_by_test_id("choices").locator("tr").all()) == 3
    assert len(page.get_by_test_id("partners").locator("tr").all()) == 1 + 4


def test_a_committed_minority_tips_the_population(app: StartApp, open_page: OpenPage) -> None:
    link = app().link + "&names=QM&topology=complete(n%3D12)&seed=4&incumbent=Q" + FULL
    page = ready(open_page(link))
    page.get_by_test_id("round").click()
    until(page, lambda: set(held(page)) <= {"Q", ""} and interactions(page) == 12)
    for node in range(5):
        page.locator(f"[data-node='{node}']").first.dispatch_event("click")
        page.get_by_test_id("commit-M").click()
        page.locator(f"[data-node='{node}'][data-mark='c']").wait_for()
    page.get_by_test_id("play").click()
    until(page, lambda: set(held(page)) == {"M"})
    page.get_by_test_id("pause").click()
    edits = setting(paused(page)).edits
    assert [(edit.at, edit.place) for edit in edits] == [(12, node) for node in range(5)]
    page.get_by_test_id("release").click()
    expect(page.locator("[data-mark='c']")).to_have_count(4)


def choose(page: Page, label: str, words: str) -> None:
    page.get_by_label(label, exact=True).locator("..").click()
    page.locator(".v-menu__content.menuable__content__active").get_by_text(
        words, exact=True
    ).click()


def test_edges_are_added_and_removed_by_two_clicks(app: StartApp, open_page: OpenPage) -> None:
    page = ready(open_page(app().link + "&topology=ring(n%3D8)&names=QM"))
    choose(page, "Click on an agent", "adds or removes an edge")
    for _ in range(2):
        for node in (0, 4):
            page.locator(f"[data-node='{node}']").first.dispatch_event("click")
            page.wait_for_timeout(150)
    until(page, lambda: len(setting(page).edits) == 2)
    assert [edit.text for edit in setting(page).edits] == ["0:0+4", "0:0-4"]


def test_the_setting_is_changed_and_what_cannot_be_is_a_message(
    app: StartApp, open_page: OpenPage
) -> None:
    page = ready(open_page(app().link + "&explore=1"))
    agents = page.get_by_test_id("parameter-n")
    agents.fill("10")
    agents.press("Enter")
    until(page, lambda: len(held(page)) == 10)
    agents.fill("3")
    agents.press("Enter")
    messages = page.get_by_test_id("messages")
    expect(messages).to_contain_text("watts_strogatz")
    assert len(held(page)) == 10
    assert "n=10" in setting(page).topology
    choose(page, "Topology", "star")
    until(page, lambda: setting(page).topology == "star(n=10)")
    expect(messages).to_have_text("")
    choose(page, "Mind", "llama-2-70b-chat")
    until(page, lambda: setting(page).mind == ("llama-2-70b-chat",))


def test_the_first_screen_leads_to_scenes_and_to_free_play(
    app: StartApp, open_page: OpenPage
) -> None:
    page = open_page(app().link, width=1366, height=650)
    start = page.get_by_test_id("start")
    start.wait_for()
    expect(page.locator("[data-node]")).to_have_count(0)
    words = page.locator(".norms-start-words").inner_text()
    assert sentences(words) == 2
    for key, scene in SCENES.items():
        tile = page.get_by_test_id(f"tile-{key}")
        expect(tile).to_contain_text(scene.title)
        expect(tile).to_contain_text(scene.question)
        assert tile.locator("circle").count() >= 12
    assert inside(page, page.get_by_test_id("explore"))
    page.get_by_test_id("tile-hubs").click()
    ready(page)
    expect(page.get_by_text(SCENES["hubs"].question)).to_be_visible()
    page.get_by_test_id("home").click()
    start.wait_for()
    page.get_by_test_id("explore").click()
    ready(page)
    until(page, lambda: "explore=1" in page.url)
    page.reload()
    ready(page)
    expect(start).to_have_count(0)


def test_back_forward_and_undo_go_through_settings(app: StartApp, open_page: OpenPage) -> None:
    page = ready(open_page(app().link + "&names=QM&topology=ring(n%3D9)&seed=5"))
    page.get_by_test_id("round").click()
    until(page, lambda: interactions(page) == 9)
    before = held(paused(page))
    page.locator("[data-node='2']").first.dispatch_event("click")
    page.get_by_test_id("commit-M").click()
    page.locator("[data-mark='c']").wait_for()
    until(page, lambda: len(setting(page).edits) == 1)
    page.get_by_test_id("round").click()
    until(page, lambda: interactions(page) == 18)
    paused(page)
    later = held(page)
    agents = page.get_by_test_id("parameter-n")
    agents.fill("12")
    agents.press("Enter")
    until(page, lambda: len(held(page)) == 12 and "n=12" in setting(page).topology)
    expect(page.get_by_test_id("messages")).to_contain_text("Undo brings back")
    for _ in range(2):
        page.go_back()
        until(page, lambda: setting(page).at == 18 and held(page) == later)
        page.go_back()
        until(page, lambda: setting(page).at == 9 and held(page) == before)
        assert not setting(page).edits
        page.go_forward()
        until(page, lambda: setting(page).at == 18 and held(page) == later)
        page.go_forward()
        until(page, lambda: len(held(page)) == 12)
    page.get_by_test_id("undo").click()
    until(page, lambda: setting(page).at == 18 and held(page) == later)
    page.go_back()
    until(page, lambda: len(held(page)) == 12)


def test_two_populations_side_by_side_differ_in_one_thing(
    app: StartApp, open_page: OpenPage
) -> None:
    page = ready(open_page(app().link + "&names=QM&topology=ring(n%3D12)"))
    choose(page, "Compare by", "topology")
    page.get_by_test_id("side-1").locator("[data-node='0']").first.wait_for()
    page.get_by_test_id("round").click()
    until(page, lambda: interactions(page, 0) == 12 and interactions(page, 1) == 24)
    expect(page.get_by_test_id("side-0")).to_contain_text("a ring, 12 agents")
    expect(page.get_by_test_id("side-1")).to_contain_text("everybody meets everybody, 24 agents")


def test_two_viewers_stay_apart(app: StartApp, open_page: OpenPage) -> None:
    link = app("--names", "QM").link
    one, other = ready(open_page(link)), ready(open_page(link))
    one.get_by_test_id("round").click()
    until(one, lambda: interactions(one) == 24)
    other.wait_for_timeout(300)
    assert interactions(other) == 0
    assert set(held(other)) == {""}


def threads(process: int) -> int:
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def test_closing_the_tab_stops_the_work(app: StartApp, open_page: OpenPage) -> None:
    served = app("--seed", "77")
    page = ready(open_page(served.link + FULL))
    page.wait_for_timeout(500)
    before = threads(served.pid)
    page.get_by_test_id("play").click()
    until(page, lambda: interactions(page) > 1_000)
    page.close(run_before_unload=True)
    end = time.monotonic() + 30
    while threads(served.pid) > before - 2:
        assert time.monotonic() < end, "its threads still run"
        time.sleep(0.1)


SCENES = {key: it for key, it in read_scenes().items() if key != "a-small-model"}


@pytest.mark.parametrize("key", list(SCENES))
def test_a_scene_is_predicted_played_and_resolved(
    app: StartApp, open_page: OpenPage, key: str
) -> None:
    scene = SCENES[key]
    page = ready(open_page(app().link + f"&scene={key}" + FULL))
    for text in (scene.text, scene.question):
        expect(page.get_by_text(text, exact=True)).to_be_visible()
    expect(page.get_by_test_id("outcome")).to_have_count(0)
    page.get_by_test_id("answer-0").click()
    expect(page.get_by_test_id("answer-0")).to_have_attribute("aria-pressed", "true")
    page.get_by_test_id("play").click()
    expect(page.get_by_test_id("answer-1")).to_be_disabled()
    outcome = page.get_by_test_id("outcome")
    outcome.wait_for(timeout=60_000)
    expect(page.get_by_test_id("chart")).to_have_count(2 * len(scene.settings(1)))
    said = outcome.inner_text()
    assert any(f"What happened: {answer.text}" in said for answer in scene.answers)
    assert ("You predicted this" in said) == (f"happened: {scene.answers[0].text}" in said)
    lesson = scene.lesson
    for later in ("In 400 populations: ", scene.why, lesson.people, lesson.after):
        assert later not in outcome.inner_text()
        page.get_by_test_id("next").click()
        expect(outcome).to_contain_text(later, timeout=30_000)
    expect(page.get_by_test_id("next")).to_have_count(0, timeout=30_000)
    page.get_by_test_id("reset").click()
    expect(outcome).to_have_count(0, timeout=30_000)
    expect(page.get_by_test_id("answer-0")).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_test_id("answer-1")).to_be_enabled()


def test_it_fits_a_phone_and_can_be_played_there(app: StartApp, open_page: OpenPage) -> None:
    page = ready(open_page(app().link + "&names=QM", width=390, height=844))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.get_by_test_id("settings")).to_be_hidden()
    page.get_by_test_id("panel").click()
    expect(page.get_by_test_id("settings")).to_be_visible()
    page.get_by_test_id("panel").click()
    page.get_by_test_id("round").click()
    until(page, lambda: interactions(page) == 24)
    box = page.get_by_test_id("network").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_names_are_never_read_as_markup(app: StartApp, open_page: OpenPage) -> None:
    names = "<img src=x onerror=seen=1>,<script>seen=1</script>,b"
    page = ready(open_page(app().link + "&topology=complete(n%3D6)&names=" + quote(names)))
    page.get_by_test_id("converge").click()
    until(page, lambda: figure(page, "agreed") == "yes")
    page.locator("[data-node='0']").first.dispatch_event("click")
    page.get_by_test_id("agent").wait_for()
    assert page.evaluate("typeof window.seen") == "undefined"
    assert page.locator("img[src=x]").count() == 0
    assert set(held(page)) <= set(names.split(","))


def downloaded(page: Page, label: str) -> bytes:
    with page.expect_download() as found:
        page.get_by_text(label, exact=True).click()
    return Path(found.value.path()).read_bytes()


def test_the_picture_the_rounds_and_the_run_can_be_exported(
    app: StartApp, open_page: OpenPage, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ready(open_page(app().link + "&names=QM&seed=8"))
    for _ in range(2):
        page.get_by_test_id("round").click()
        page.wait_for_timeout(300)
    until(page, lambda: interactions(page) == 48)
    page.get_by_text("Export").click()
    assert b"<svg" in downloaded(page, "network (SVG)")
    assert downloaded(page, "network (PNG)").startswith(b"\x89PNG")
    alone = downloaded(page, "page that plays by itself (HTML)").decode()
    assert "names Q, M, seed 8" in alone
    rows = list(csv.DictReader(downloaded(page, "rounds (CSV)").decode().splitlines()))
    assert [int(row["interactions"]) for row in rows] == [24, 48]
    made: dict[str, Any] = {}
    exec(downloaded(page, "this run (Python)").decode(), made)
    capsys.readouterr()
    assert [name or "" for name in made["model"].names_held.values()] == held(page)


def test_a_recorded_run_is_gone_through(
    app: StartApp, open_page: OpenPage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("runs") / "one"
    command = [sys.executable, "-m", "mesa_llm_norms", "run", "--names", "QM", "--seed", "3"]
    subprocess.run([*command, "--rounds", "2", "-q", "--out", str(folder)], check=True)
    page = ready(open_page(app("--replay", str(folder)).link))
    expect(page.get_by_test_id("seek")).to_contain_text("0 of 48")
    page.get_by_test_id("step").click()
    expect(page.get_by_test_id("seek")).to_contain_text("1 of 48")
    page.get_by_test_id("converge").click()
    expect(page.get_by_test_id("seek")).to_contain_text("48 of 48")
    page.get_by_test_id("back").click()
    expect(page.get_by_test_id("seek")).to_contain_text("47 of 48")
    model = ModelSource(Setting(names="QM", seed=3)).model
    list(model.play(47))
    assert held(page) == [name or "" for name in model.names_held.values()]
    assert re.search("replay", page.url)


SIZES = [(1366, 650), (1366, 768), (1920, 1080), (390, 844)]


def inside(page: Page, place: Any) -> bool:
    """Return whether all of an element is on the screen."""
    box, size = place.bounding_box(), page.viewport_size
    assert size is not None
    return (
        box is not None
        and box["x"] >= 0
        and box["y"] >= 0
        and box["x"] + box["width"] <= size["width"]
        and box["y"] + box["height"] <= size["height"]
    )


def test_pictures_stay_on_the_screen_at_the_reveal(app: StartApp, open_page: OpenPage) -> None:
    page = ready(open_page(app().link + "&scene=the-committed-few&seed=2" + FULL))
    page.get_by_test_id("play").click()
    outcome = page.get_by_test_id("outcome")
    outcome.wait_for(timeout=60_000)
    headings = page.get_by_role("heading", level=2).all_inner_texts()
    assert headings[-2:] == ["five who always say M", "three who always say M"]
    page.locator("[data-node='3']").first.dispatch_event("click")
    page.get_by_test_id("agent").wait_for()
    text = page.get_by_text("In two groups of twenty-four")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for net in page.locator(".norms-net-box").all():
            assert inside(page, net), (width, height)
        page.mouse.wheel(0, 300)
        page.wait_for_timeout(200)
        assert all(inside(page, net) for net in page.locator(".norms-net-box").all())
        page.mouse.wheel(0, -1_000)
        page.wait_for_timeout(200)
        above, below = outcome.bounding_box(), text.bounding_box()
        beside = page.locator(".norms-net-box").first.bounding_box()
        details = page.get_by_test_id("agent").bounding_box()
        assert above is not None
        assert below is not None
        assert beside is not None
        assert details is not None
        assert above["y"] < below["y"]
        if width > 900:
            assert inside(page, page.get_by_test_id("controls"))
            assert above["x"] + above["width"] <= beside["x"]
            assert details["x"] + details["width"] <= beside["x"]


def test_the_details_of_an_agent_are_beside_the_network(app: StartApp, open_page: OpenPage) -> None:
    page = ready(open_page(app().link + "&names=QM", width=1366, height=650))
    page.get_by_test_id("round").click()
    until(page, lambda: interactions(page) == 24)
    page.locator("[data-node='3']").first.dispatch_event("click")
    details = page.get_by_test_id("agent")
    details.wait_for()
    net, card = page.get_by_test_id("network").bounding_box(), details.bounding_box()
    assert net is not None
    assert card is not None
    assert card["x"] >= net["x"] + net["width"]
    assert card["y"] < net["y"] + 20
    assert inside(page, page.get_by_test_id("network"))


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("rounds", "-3", "'-3' is out of range. Use a whole number, 0 to 1,000,000."),
        ("rounds", "3.5", "'3.5' is not a whole number. Use a whole number, 0 to 1,000,000."),
        ("seed", "hello", "'hello' is not a number. Use a whole number, 0 to 2**64 - 1."),
        ("reward", "0,2", "'0,2' has a comma. Write 0.2, with a point."),
        ("parameter-p", "0,2", "'0,2' has a comma. Write 0.2, with a point."),
        ("parameter-k", "many", "'many' is not a number."),
    ],
)
def test_a_number_that_is_none_is_told_below_its_field(
    app: StartApp, open_page: OpenPage, field: str, typed: str, said: str
) -> None:
    page = ready(open_page(app().link + "&explore=1"))
    for group in ("Rules", "Seed and length"):
        page.get_by_text(group, exact=True).click()
    before = setting(page)
    box = page.get_by_test_id(field)
    box.fill(typed)
    box.press("Enter")
    message = page.get_by_text(said)
    expect(message).to_be_visible()
    assert setting(page) == before
    box.fill("1")
    box.press("Enter")
    expect(message).to_have_count(0)


def test_keys_play_pause_and_step(app: StartApp, open_page: OpenPage) -> None:
    page = ready(open_page(app().link + "&names=QM"))
    page.keyboard.press("ArrowRight")
    until(page, lambda: interactions(page) == 1)
    page.keyboard.press("ArrowDown")
    until(page, lambda: interactions(page) == 24)
    page.keyboard.press(" ")
    until(page, lambda: interactions(page) > 24)
    page.keyboard.press(" ")
    at = interactions(paused(page))
    field = page.get_by_test_id("parameter-n")
    field.click()
    for key in ("ArrowRight", " ", "ArrowDown"):
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert interactions(page) == at
    assert page.get_by_test_id("pause").count() == 0
    assert page.evaluate("document.documentElement.lang") == "en"
    assert "user-scalable=no" not in (
        page.locator("meta[name=viewport]").get_attribute("content") or ""
    )


def test_a_projector_shows_large_type_and_no_settings(app: StartApp, open_page: OpenPage) -> None:
    link = app().link + "&names=QM&present=1"
    page = ready(open_page(link, width=1366, height=768))
    expect(page.get_by_test_id("settings")).to_be_hidden()
    page.get_by_test_id("round").click()
    until(page, lambda: interactions(paused(page)) == 24)
    assert "present=1" in page.url
    assert page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)") == 20
    for picture in (page.get_by_test_id("network"), *page.get_by_test_id("chart").all()):
        assert inside(page, picture)
    first, last = (page.get_by_test_id("chart").nth(i).bounding_box() for i in (0, 1))
    assert first is not None
    assert last is not None
    assert last["y"] + last["height"] - first["y"] > 500


def test_the_page_is_dark_where_the_viewer_wants_it(app: StartApp, open_page: OpenPage) -> None:
    page = ready(open_page(app().link + "&names=QM"))
    background = """getComputedStyle(document.querySelector('.norms-network')).backgroundColor"""
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{background} === 'rgb(18, 18, 18)'")


# Connections that break


def played(page: Page) -> int:
    page.get_by_test_id("play").click()
    until(page, lambda: interactions(page) > 24)
    return interactions(page)


@pytest.mark.parametrize("seconds", [2, pytest.param(90, marks=pytest.mark.slow)])
def test_a_population_plays_on_after_a_break(
    app: StartApp, running_browser: Browser, seconds: int
) -> None:
    served = app("--names", "QM", "--seed", "3")
    # Failed requests are part of this, which would end a test with pages of ``open_page``.
    with Front(served.origin) as front, running_browser.new_context() as context:
        page = context.new_page()
        page.goto(served.link.replace(served.origin, front.url))
        before = played(ready(page))
        front.down()
        banner = page.get_by_test_id("connection")
        expect(banner).to_contain_text("Reconnecting")
        page.wait_for_timeout(1_000 * seconds)
        front.up()
        expect(banner).to_have_count(0, timeout=15_000)
        until(page, lambda: interactions(page) > before + 12)
        page.get_by_test_id("pause").click()
        assert held(paused(page)) == expected(page)


def test_a_page_that_is_loaded_again_shows_what_it_showed(
    app: StartApp, open_page: OpenPage
) -> None:
    page = ready(open_page(app("--names", "QM", "--seed", "3").link))
    before = played(page)
    page.wait_for_timeout(1_500)
    page.reload()
    ready(page)
    until(page, lambda: interactions(page) >= before)
    assert held(paused(page)) == expected(page)
