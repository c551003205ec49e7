"""How soon the page answers, how little it sends, and whether it lasts.

``python -m benchmarks.app`` starts ``mesa-llm-norms app`` on this computer, opens it in a headless
Chromium, and prints one JSON object per line. For 24, 100, 300 and 500 agents::

    agents         how many, on a small world
    click_ms       median over 30 clicks on "Round", in the browser: from the click to the frame in
                   which agents and figures of the new round are drawn
    step_ms        the same for "Step", one interaction instead of as many as there are agents
    reference_ms   the same for a click on an agent, until its card is there
    bytes          what an update took on average, playing at 20 rounds a second, uncompressed
    updates        updates a second meanwhile
    target, met    the milliseconds and bytes asked for

and then 60 seconds at full speed::

    seconds        how long it played
    rounds         population rounds a second
    answered_ms    the longest a control took to answer (pause, play, round, select an agent)
    errors         errors in the browser or on the page
    target, met    the longest that is allowed
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIZES = (24, 100, 300, 500)
CLICKS = 30
CLICK_MS = 40
BYTES = 5_000
ANSWER_MS = 300
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

CLICK = """async ([click, shown]) => {
    const target = document.querySelector(click);
    const text = () => document.querySelector(shown)?.innerText;
    const before = text();
    const start = performance.now();
    target.dispatchEvent(new MouseEvent("click", {bubbles: true}));
    await new Promise(done => {
        const seen = () => { if (text() !== before) { watch.disconnect(); done(); } };
        const watch = new MutationObserver(seen);
        watch.observe(document.body, {subtree: true, childList: true, characterData: true});
    });
    await new Promise(requestAnimationFrame);
    return Math.max(performance.now(), window.__norms_painted || 0) - start;
}"""
"""Clicks, and returns the milliseconds until something else is written somewhere, and is drawn."""

FIGURES = "[data-testid=figures-0]"
CARD = "[data-testid=agent]"
CONTROLS = "[data-testid=controls]"


def main(seconds: float, sizes: list[int]) -> None:
    """Measure, and print."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, server() as link:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        for agents in sizes:
            print(json.dumps(measure(browser, link, agents)), flush=True)
        print(json.dumps(last(browser, link, seconds)), flush=True)
        browser.close()


def main_viewers(numbers: list[int], seconds: float = 10) -> None:
    """Measure with so many viewers at the same time, and print a table."""
    from playwright.sync_api import sync_playwright

    from benchmarks import viewers

    print("| " + " | ".join(viewers.HEADS) + " |")
    print("|---" * len(viewers.HEADS) + "|", flush=True)
    with sync_playwright() as playwright:
        for number in numbers:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            row = viewers.measure(browser, number, seconds)
            print("| " + " | ".join(row) + " |", flush=True)
            browser.close()


@contextmanager
def server() -> Iterator[str]:
    """Serve the page, and give its link."""
    with serving() as (link, _):
        yield link


@contextmanager
def serving() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve the page, and give its link and the server's process."""
    command = [sys.executable, "-m", "mesa_llm_norms", "app", "--no-browser", "--port", "0"]
    process = subprocess.Popen([*command, "--offline"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = (line.strip() for line in process.stdout)
        yield next(line for line in lines if line.startswith("http")), process
    finally:
        process.terminate()
        process.wait()


def chromium() -> str:
    """Return the path of the browser."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise SystemExit("There is no chromium here: apt-get install chromium.")
    return found


def opened(browser: Any, link: str, agents: int) -> Any:
    """Return a page with so many agents."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{link}&topology=watts_strogatz(n={agents},k=4,p=0.1)&names=QMXYF")
    page.wait_for_selector('[data-node="0"]')
    page.wait_for_timeout(500)
    return page


def clicked(page: Any, click: str, shown: str) -> float:
    """Return the milliseconds from a click until something else is written there."""
    took: float = page.evaluate(CLICK, [click, shown])
    return took


def measure(browser: Any, link: str, agents: int) -> dict[str, Any]:
    """Measure clicks and updates with so many agents."""
    page = opened(browser, link, agents)
    rounds, steps, rings = [], [], []
    for number in range(CLICKS):
        rounds.append(clicked(page, "[data-testid=round]", FIGURES))
        page.wait_for_timeout(250)
        steps.append(clicked(page, "[data-testid=step]", FIGURES))
        page.wait_for_timeout(250)
        rings.append(clicked(page, f'[data-node="{number % agents}"]', CARD))
        page.wait_for_timeout(100)
    page.close()
    size, rate = updates(browser, link, agents)
    click, step = statistics.median(rounds), statistics.median(steps)
    return {
        "agents": agents,
        "click_ms": round(click, 1),
        "step_ms": round(step, 1),
        "reference_ms": round(statistics.median(rings), 1),
        "bytes": round(size),
        "updates": round(rate, 1),
        "target": [CLICK_MS, BYTES],
        "met": click <= CLICK_MS and size <= BYTES,
    }


def updates(browser: Any, link: str, agents: int) -> tuple[float, float]:
    """Return the bytes per update of the network while agents play, and updates a second."""
    received: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: received.append(str(frame))),
    )
    page.goto(f"{link}&topology=watts_strogatz(n={agents},k=4,p=0.1)&names=QMXYF&speed=20")
    page.wait_for_selector('[data-node="0"]')
    page.wait_for_timeout(500)
    page.click("[data-testid=play]")
    page.wait_for_timeout(2_000)
    received.clear()
    page.wait_for_timeout(5_000)
    many = sum('"figures"' in frame for frame in received)
    total = sum(len(frame.encode()) for frame in received)
    page.close()
    return total / max(1, many), many / 5


def last(browser: Any, link: str, seconds: float) -> dict[str, Any]:
    """Play at full speed, with a control used every second."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{link}&names=QM&topology=complete(n=24)&speed=inf")
    page.wait_for_selector('[data-node="0"]')
    page.wait_for_timeout(500)
    answered = [clicked(page, "[data-testid=play]", CONTROLS)]
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        page.wait_for_timeout(700)
        number += 1
        answered.append(clicked(page, f'[data-node="{number % 24}"]', CARD))
        answered.append(clicked(page, "[data-testid=pause]", CONTROLS))
        answered.append(clicked(page, "[data-testid=play]", CONTROLS))
    rounds = int(page.inner_text(FIGURES).split("\n")[0].replace(",", ""))
    told = page.inner_text("[data-testid=messages]")
    errors += [told] if told else []
    page.close()
    return {
        "seconds": seconds,
        "rounds": round(rounds / seconds, 1),
        "answered_ms": round(max(answered), 1),
        "errors": errors,
        "target": ANSWER_MS,
        "met": max(answered) <= ANSWER_MS and not errors,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--agents", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--viewers", metavar="1,10,30", help="measure so many viewers instead")
    arguments = parser.parse_args()
    if arguments.viewers:
        main_viewers([int(number) for number in arguments.viewers.split(",")])
    else:
        main(arguments.seconds, arguments.agents)
