"""A class in real browsers: a teacher's and phones', from joining to the export."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from browser import OpenPage, StartApp
from front import Front
from playwright.sync_api import APIResponse, Browser, Page, Route, expect
from served import Served

pytestmark = pytest.mark.browser


@pytest.fixture
def served(app: StartApp) -> Served:
    return app("--class", "--host", "127.0.0.1")


@pytest.fixture
def teacher(served: Served, open_page: OpenPage) -> Iterator[Page]:
    """The teacher's page, with an open class and nobody in it."""
    page = open_page(served.link, 1366, 768)
    page.get_by_test_id("class").click()
    page.on("dialog", lambda dialog: dialog.accept())
    opening = page.locator("#open")
    expect(page.locator("#code")).to_have_text(re.compile("[A-Z0-9]{6}"))
    if opening.is_enabled():
        opening.click()
    yield page
    while page.locator("#students button").count():
        before = page.locator("#students li").count()
        page.locator("#students button").first.click()
        expect(page.locator("#students li")).to_have_count(before - 1)


def join(served: Served, open_page: OpenPage, teacher: Page) -> Page:
    code = teacher.locator("#code").inner_text()
    phone = open_page(f"{served.origin}/j/{code}", 390, 844)
    phone.get_by_role("button", name="Join").click()
    expect(phone.locator("#who")).not_to_be_empty()
    return phone


def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled sideways."""
    return page.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth") is True


def test_a_class_answers_a_scenes_question_and_sees_it_beside_the_outcome(
    served: Served, open_page: OpenPage, teacher: Page
) -> None:
    phones = [join(served, open_page, teacher) for _ in range(2)]
    expect(teacher.locator("#count")).to_have_text("2 students")
    scene = open_page(f"{served.link}&scene=the-committed-few", 1366, 768)
    scene.get_by_test_id("class-ask").click()
    for phone in phones:
        phone.get_by_role("button", name="Only in the one with five").click()
        expect(phone.locator("#answers [aria-pressed=true]")).to_have_count(1)
        assert fits(phone)
    expect(scene.get_by_test_id("class-vote")).to_contain_text("2 of the class")
    expect(scene.get_by_test_id("class-vote")).not_to_contain_text("100%")
    scene.get_by_test_id("class-close").click()
    expect(scene.get_by_test_id("class-vote")).to_contain_text("2 (100%)")
    expect(phones[0].locator("#answers")).to_contain_text("Only in the one with five (2)")


def test_a_class_plays_from_the_phones(served: Served, open_page: OpenPage, teacher: Page) -> None:
    phones = [join(served, open_page, teacher) for _ in range(2)]
    teacher.locator("[name=agents]").fill("6")
    teacher.locator("[name=rounds]").fill("2")
    teacher.locator("[name=seconds]").fill("200")
    teacher.get_by_role("button", name="Start").click()
    for _ in range(2):
        for phone in phones:
            phone.locator("#names button:enabled", has_text="Q").click()
    for phone in phones:
        expect(phone.locator("#what")).to_contain_text("The game is over")
        expect(phone.locator("#past li")).to_have_count(2)
        assert fits(phone)
    expect(teacher.locator("#round")).to_have_text("Over after 2 of 2 rounds")
    expect(teacher.locator("#network circle")).to_have_count(6)
    with teacher.expect_download() as download:
        teacher.get_by_role("link", name="Export").click()
    assert download.value.suggested_filename == "class.zip"


def test_a_phone_that_lost_its_connection_comes_back_to_its_place(
    served: Served, open_page: OpenPage, teacher: Page
) -> None:
    phone = join(served, open_page, teacher)
    who = phone.locator("#who").inner_text()
    phone.reload()
    expect(phone.locator("#who")).to_have_text(who)
    newer = phone.context.new_page()
    newer.goto(f"{served.origin}/seat")
    expect(newer.locator("#who")).to_have_text(who)
    expect(phone.locator("#trouble")).to_contain_text("another tab")


def test_a_phone_says_that_it_is_cut_off_and_comes_back_to_what_was_played(
    served: Served, running_browser: Browser, teacher: Page
) -> None:
    code = teacher.locator("#code").inner_text()
    with Front(served.origin) as front, running_browser.new_context() as context:
        phone = context.new_page()
        phone.goto(f"{front.url}/j/{code}")
        phone.get_by_role("button", name="Join").click()
        expect(phone.locator("#who")).not_to_be_empty()
        who = phone.locator("#who").inner_text()
        front.down()
        expect(phone.locator("#trouble")).to_contain_text("No connection")
        teacher.locator("[name=seconds]").fill("200")
        teacher.get_by_role("button", name="Start").click()
        front.up()
        expect(phone.locator("#trouble")).to_be_empty()
        phone.locator("#names button:enabled").first.click()
        expect(phone.locator("#past li")).to_have_count(1)
        expect(phone.locator("#who")).to_have_text(who)
        # What is answered meanwhile is not lost.
        phone.locator("#names button:enabled").first.wait_for()
        front.down()
        phone.locator("#names button").first.click()
        expect(phone.locator("#names button:enabled")).to_have_count(0)
        front.up()
        expect(phone.locator("#past li")).to_have_count(2)
        expect(phone.locator("#past li").first).to_have_text(re.compile("^you:"))
        teacher.locator("#end").click()


def test_a_phone_shows_what_is_newest_however_what_it_fetches_arrives(
    served: Served, running_browser: Browser, teacher: Page
) -> None:
    context = running_browser.new_context()
    phone = context.new_page()
    phone.goto(f"{served.origin}/j/{teacher.locator('#code').inner_text()}")
    phone.get_by_role("button", name="Join").click()
    expect(phone.locator("#who")).not_to_be_empty()
    state = "**/seat/state"
    phone.route(state, lambda route: route.abort(), times=1)
    teacher.locator("#scene").select_option("dialects-on-a-ring")  # too long for an event
    teacher.locator("#ask").click()
    expect(phone.locator("#answers button")).not_to_have_count(0)
    held: list[tuple[Route, APIResponse]] = []
    phone.route(state, lambda route: held.append((route, route.fetch())), times=1)
    with phone.expect_request(state):
        teacher.locator("#close").click()
    while not held:
        phone.wait_for_timeout(20)
    teacher.locator("[name=seconds]").fill("200")
    teacher.get_by_role("button", name="Start").click()
    teacher.locator("#pause").click()
    expect(phone.locator("#what")).to_have_text("The game is paused.")
    ((route, old),) = held
    with phone.expect_response(state) as _, phone.expect_response(state, timeout=60_000):
        route.fulfill(response=old)
    expect(phone.locator("#what")).to_have_text("The game is paused.")
    expect(phone.locator("#after")).to_have_text("Voting is closed.")
    teacher.locator("#end").click()
    context.close()


def test_the_teachers_page_says_what_is_missing_and_asks_for_it_again(
    served: Served, running_browser: Browser
) -> None:
    context = running_browser.new_context()
    teacher = context.new_page()
    teacher.goto(served.link)
    trouble = teacher.locator("#trouble")
    for what in ("choices", "network"):
        teacher.route(f"**/class/{what}", lambda route: route.abort(), times=1)
    teacher.goto(f"{served.origin}/class")
    expect(trouble).to_have_text("No connection to the server.")
    expect(trouble).to_be_empty()
    teacher.locator("[name=agents]").fill("5")
    teacher.get_by_role("button", name="Start").click()
    expect(teacher.locator("#network circle")).to_have_count(5)
    teacher.locator("#end").click()
    context.clear_cookies()
    expect(trouble).to_contain_text("open the link")
    context.new_page().goto(served.link)
    expect(trouble).to_be_empty()
    context.close()


def test_who_opened_a_shared_link_does_not_teach(served: Served, open_page: OpenPage) -> None:
    page = open_page(f"{served.link}&scene=the-committed-few", 1366, 768)
    page.get_by_test_id("class-ask").wait_for()
    page.get_by_test_id("share").click()
    guest = open_page(page.get_by_test_id("share-link").inner_text(), 1366, 768)
    guest.get_by_test_id("answer-0").wait_for()
    expect(guest.get_by_test_id("class-ask")).to_have_count(0)
    expect(guest.get_by_test_id("class")).to_have_count(0)
    answer = guest.request.get(f"{served.origin}/class/state")
    assert answer.status == 403
