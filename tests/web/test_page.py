"""What the page is made of, without a browser: it never falls over, and stops what it began."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import solara

from mesa_llm_norms import NamingGame
from mesa_llm_norms.web.page import page_of
from mesa_llm_norms.web.page_state import PageState
from mesa_llm_norms.web.session import ViewerSession

pytestmark = pytest.mark.usefixtures("thread_with_loop")


class Mine(NamingGame):
    """Has no first screen: its author's page shows its population."""


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def texts(widget: Any) -> str:
    """Return all that is written in a widget."""
    inside = getattr(widget, "children", ())
    return " ".join(child if isinstance(child, str) else texts(child) for child in inside)


def players() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "mesa_llm_norms pl" in thread.name]


def test_the_page_has_its_controls_and_ends_its_threads_with_it() -> None:
    before = set(players())
    box, context = solara.render(page_of(Mine)(), handle_error=False)
    for words in ("Play", "Run to convergence", "Rules", "Export"):
        assert words in texts(box)
    mine = set(players()) - before
    assert len(mine) == 1
    context.close()
    until(lambda: not any(thread.is_alive() for thread in mine))


def test_an_error_in_the_page_itself_is_a_message_and_a_way_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    box, context = solara.render(page_of(Mine)(), handle_error=False)
    until(lambda: "Building the network" not in texts(box))

    def fail(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(PageState, "give", fail)
    press(box, "Round")
    until(lambda: "out of order" in texts(box))
    assert "unexpected error on the page" in caplog.text
    monkeypatch.undo()
    press(box, "Start over")
    until(lambda: "Run to convergence" in texts(box))
    context.close()


def test_an_unexpected_error_of_a_change_is_a_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    box, context = solara.render(page_of(Mine)(), handle_error=False)

    def fail(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(ViewerSession, "restart", fail)
    press(box, "Reset")
    # The thread that refreshes the page may be drawing it just now, and then draws this too.
    until(lambda: "out of order" in texts(box))
    assert "Run to convergence" in texts(box)
    assert "unexpected error on the page" in caplog.text
    context.close()


def press(box: Any, label: str) -> None:
    """Press the button with a label."""
    next(button for button in buttons(box) if label in texts(button)).click()


def buttons(widget: Any) -> list[Any]:
    """Return the buttons in a widget."""
    inside = [child for child in getattr(widget, "children", ()) if not isinstance(child, str)]
    found = [button for child in inside for button in buttons(child)]
    return [widget, *found] if type(widget).__name__ == "Btn" else found
