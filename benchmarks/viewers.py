"""Many people on one page: what ``python -m benchmarks.app --viewers 1,10,30`` measures.

Each viewer plays a small world of 24 agents at 2 rounds a second. All but one are websockets of
another process that speak as Solara's scripts do and say at once that a frame is drawn, because a
Chromium for each would take the processor from the server that is measured; the last one is a real
Chromium.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import time
import uuid
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil

from benchmarks import app

STEPS = 20
POPULATION = "topology=watts_strogatz(n=24,k=4,p=0.1)"
HEADS = (
    *("viewers", "server CPU", "updates/s each (min)"),
    *("step answered, median / max", "slowest opening"),
)


def measure(browser: Any, viewers: int, seconds: float) -> list[str]:
    """Return a row of the table, for so many viewers of a server of their own."""
    with app.serving() as (link, process):
        here, there = multiprocessing.Pipe()
        crowd = multiprocessing.Process(
            target=play, args=(link, viewers - 1, seconds, there), daemon=True
        )
        crowd.start()
        openings: list[float] = here.recv()
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        failed: list[str] = []
        page.on("pageerror", lambda error: failed.append(str(error)))
        received: list[float] = []
        page.on(
            "websocket",
            lambda socket: socket.on(
                "framereceived",
                lambda frame: received.append(time.monotonic()) if is_update(str(frame)) else None,
            ),
        )
        begun = time.monotonic()
        page.goto(f"{link}&{POPULATION}")
        page.wait_for_selector('[data-node="0"]')
        openings.append(time.monotonic() - begun)
        page.wait_for_timeout(1_000)
        answered = []
        for _ in range(STEPS):
            answered.append(app.clicked(page, "[data-testid=step]", app.FIGURES))
            page.wait_for_timeout(200)
        page.click("[data-testid=play]")
        page.wait_for_timeout(1_500)
        server = psutil.Process(process.pid)
        server.cpu_percent()
        begun = time.monotonic()
        here.send("count")
        while not here.poll():
            page.wait_for_timeout(50)
        rates: list[float] = here.recv()
        busy = server.cpu_percent()
        passed = time.monotonic() - begun
        rates.append(sum(it >= begun for it in received) / passed)
        failed += [text for text in [page.inner_text("[data-testid=messages]")] if text]
        page.close()
        crowd.join()
    if failed:
        raise SystemExit(f"The page failed with {viewers} viewers: {failed}")
    return [
        str(viewers),
        f"{busy:.0f}%",
        f"{statistics.mean(rates):.1f} ({min(rates):.1f})",
        f"{statistics.median(answered):.0f} / {max(answered):.0f} ms",
        f"{max(openings):.1f} s",
    ]


def is_update(text: str) -> bool:
    """Whether a message of the server changes the key figures of a population."""
    return '"comm_msg"' in text and "figures" in text


def play(link: str, viewers: int, seconds: float, parent: Connection) -> None:
    """Open so many pages, one after another, and have them play until the updates are counted."""
    asyncio.run(_play(link, viewers, seconds, parent))


async def _play(link: str, viewers: int, seconds: float, parent: Connection) -> None:
    found, openings = [], []
    for _ in range(viewers):
        viewer = Viewer()
        begun = time.monotonic()
        await viewer.open(link)
        openings.append(time.monotonic() - begun)
        await viewer.press("play")
        found.append(viewer)
    parent.send(openings)
    await asyncio.to_thread(parent.recv)
    before, begun = [viewer.updates for viewer in found], time.monotonic()
    await asyncio.sleep(seconds)
    passed = time.monotonic() - begun
    pairs = zip(found, before, strict=True)
    parent.send([(viewer.updates - then) / passed for viewer, then in pairs])
    for viewer in found:
        await viewer.close()


class Viewer:
    """A page without a browser."""

    def __init__(self) -> None:
        self.updates = 0
        self.shown = asyncio.Event()
        self.buttons: dict[str, str] = {}
        self._session = str(uuid.uuid4())

    async def open(self, link: str) -> None:
        """Open the page, and wait until its population is shown."""
        from websockets.asyncio.client import connect

        parts = urlsplit(link)
        token = parse_qs(parts.query)["token"][0]
        self._socket = await connect(
            f"ws://{parts.netloc}/jupyter/api/kernels/{uuid.uuid4()}/channels"
            f"?session_id={self._session}",
            additional_headers={"cookie": f"norms-{parts.port}={token}"},
            origin=f"http://{parts.netloc}",  # type: ignore[arg-type]
            max_size=None,
            proxy=None,
        )
        self._reading = asyncio.create_task(self._read())
        control = str(uuid.uuid4())
        await self._send("comm_open", comm_id=control, target_name="solara.control", data={})
        themes: dict[str, Any] = {"light": {}, "dark": {}}
        path = f"/?{POPULATION}"
        await self._send(
            "comm_msg",
            comm_id=control,
            data={"method": "run", "args": {"path": path, "themes": themes, "dark": False}},
        )
        await self.shown.wait()

    async def press(self, name: str) -> None:
        """Click a button."""
        await self._tell(self.buttons[name], "click", {})

    async def close(self) -> None:
        """Break the connection."""
        self._reading.cancel()
        await self._socket.close()

    async def _tell(self, widget: str, event: str, given: Any) -> None:
        content = {"event": event, "data": given}
        await self._send("comm_msg", comm_id=widget, data={"method": "custom", "content": content})

    async def _send(self, kind: str, **content: Any) -> None:
        header = {"msg_id": str(uuid.uuid4()), "msg_type": kind, "session": self._session}
        header |= {"username": "", "date": "2025-01-01T00:00:00Z", "version": "5.2"}
        message = {"header": header, "parent_header": {}, "content": content, "channel": "shell"}
        await self._socket.send(json.dumps(message | {"metadata": {}, "buffers": []}))

    async def _read(self) -> None:
        async for frame in self._socket:
            if isinstance(frame, bytes):
                continue
            if '"data-testid"' in frame:
                content = json.loads(frame)["content"]
                has = content["data"].get("state", {}).get("attributes") or {}
                if "data-testid" in has:
                    self.buttons[has["data-testid"]] = content["comm_id"]
            if '"comm_open"' in frame and '"event_drawn"' in frame:
                self._channel = json.loads(frame)["content"]["comm_id"]
            if '"finished"' in frame:
                await self._tell(self._channel, "ready", None)
            if '"show"' in frame:
                content = json.loads(frame)["content"]
                number = content["data"]["content"]["args"][0]
                await self._tell(content["comm_id"], "event_drawn", number)
            if is_update(frame):
                self.updates += 1
                if "interactions" in frame:
                    self.shown.set()
