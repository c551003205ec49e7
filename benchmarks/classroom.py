"""A class of simulated phones over real websockets, with cuts: how it holds, and what is exported.

``python -m benchmarks.classroom`` starts ``mesa-llm-norms app --class`` on this computer, has 60
phones join and play, each of which answers after a moment of its own and loses its connection now
and then for 1 to 60 seconds, and prints one JSON object::

    phones, rounds   how many
    cpu              share of one core that the server used while it was played
    push_ms          95% of the phones knew of their turn so soon after the round began
    answered_ms      95% of the answers were confirmed so soon
    cuts             how often a connection was cut, and phones came back
    chosen           choices that were confirmed
    lost             confirmed choices that the export does not have
    doubled          turns with another number of names than one
    replayed         whether the exported run, read as --replay reads it, has the exported rows
    addresses        addresses in the export
    target, met      what is asked for
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import zipfile
from collections import Counter
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mesa_llm_norms.web.replay import read_recorded_run

CPU, PUSH_MS = 0.30, 200
SECONDS = 10
CUT_SHARE = 0.05
"""How many of the phones lose their connection in a round."""


class Server:
    """A server in a process of its own, as its teacher sees it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "mesa_llm_norms", "app", "--class", "--no-browser"]
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        link = next(line for line in self.process.stdout if line.startswith("http"))
        self.origin = link.partition("/?")[0]
        token = urllib.parse.parse_qs(urlsplit(link).query)["token"][0].strip()
        welcome = urllib.request.urlopen(f"{self.origin}/?token={token}")
        self.cookie = welcome.headers["set-cookie"].partition(";")[0]

    def ask(self, path: str, **given: Any) -> bytes:
        """Return what the teacher gets; with anything given it is done."""
        body = json.dumps(given).encode() if given else None
        headers = {"Cookie": self.cookie, "Origin": self.origin}
        request = urllib.request.Request(f"{self.origin}/class/{path}", body, headers)
        with urllib.request.urlopen(request) as answer:
            return bytes(answer.read())

    def tell(self, action: str) -> dict[str, Any]:
        """Do something that needs no more words, and return how the class stands."""
        headers = {"Cookie": self.cookie, "Origin": self.origin}
        request = urllib.request.Request(f"{self.origin}/class/{action}", b"{}", headers)
        with urllib.request.urlopen(request) as answer:
            return dict(json.load(answer))

    def join(self, code: str) -> str:
        """Return the cookie of a new phone."""
        connection = HTTPConnection(self.origin.removeprefix("http://"))
        connection.request("POST", "/seat", f"code={code}", {"Origin": self.origin})
        cookie = connection.getresponse().getheader("set-cookie") or ""
        connection.close()
        return cookie.partition(";")[0]


class Seen:
    """What all phones saw."""

    def __init__(self) -> None:
        self.pushes: list[float] = []
        self.confirmed: list[float] = []
        self.choices: dict[tuple[int, int], str] = {}
        self.cuts = 0
        self.over = 0


async def play(server: Server, number: int, cookie: str, seen: Seen, longest: float) -> None:
    """Be one phone, until the game is over."""
    rng = random.Random(number)
    state: dict[str, Any] = {"phase": None}
    address = server.origin.replace("http", "ws", 1) + "/seat"
    headers = {"Cookie": cookie, "Origin": server.origin}
    while state["phase"] != "over":
        with suppress(ConnectionClosed, InvalidStatus, OSError):
            async with connect(address, additional_headers=headers, proxy=None) as socket:
                cut = await stay(socket, number, state, rng, seen)
            if cut:
                seen.cuts += 1
                await asyncio.sleep(rng.uniform(1, longest))
    seen.over += 1


async def stay(
    socket: ClientConnection, number: int, state: dict[str, Any], rng: random.Random, seen: Seen
) -> bool:
    """Play on a connection; return whether it was cut before the game was over."""
    fresh, answering, sent_at = True, None, 0.0
    beat = time.monotonic()
    while True:
        if answering is not None and time.monotonic() >= answering[0]:
            message = {"do": "choice", "interaction": state["i"], "name": answering[1]}
            answering, sent_at = None, time.monotonic()
            await socket.send(json.dumps(message))
        if time.monotonic() - beat > 3:
            beat = time.monotonic()
            await socket.send("{}")
        try:
            text = await asyncio.wait_for(socket.recv(), 0.25)
        except TimeoutError:
            continue
        now, change = time.monotonic(), json.loads(text)
        before = dict(state)
        state.update(change)
        if state["phase"] == "over" and state.get("rounds"):
            return False
        if state["phase"] == "asking" and before.get("i") != state["i"]:
            if not fresh:
                seen.pushes.append(SECONDS * 1000 - change["ms"])
                if rng.random() < CUT_SHARE:
                    return True
            answering = now + rng.uniform(0.5, 0.8 * SECONDS), rng.randrange(len(state["names"]))
        if state["phase"] == "idle":
            await socket.send('{"do":"wake"}')
        if change.get("mine") is not None and change["mine"] != before.get("mine"):
            if sent_at:
                seen.confirmed.append((now - sent_at) * 1000)
            seen.choices[number, state["i"]] = state["names"][change["mine"]]
        fresh = False


def ninety_five(values: list[float]) -> float:
    """Return the value that 95% are below."""
    return round(sorted(values)[int(0.95 * len(values))], 1) if values else 0.0


def check(archive: zipfile.ZipFile, seen: Seen) -> dict[str, Any]:
    """Compare what the phones received with what is exported."""
    rows = list(csv.DictReader(io.StringIO(archive.read("interactions.csv").decode())))
    chosen = {
        (int(row[f"student_{seat}"]), int(row["interaction"])): row[f"name_{seat}"]
        for row in rows
        for seat in "ab"
        if row[f"by_{seat}"] == "person"
    }
    turns = Counter((row["round"], row[f"node_{seat}"]) for row in rows for seat in "ab")
    with tempfile.TemporaryDirectory() as folder:
        archive.extractall(folder)
        replayed = [
            (str(row.interaction), *map(str, row.nodes), *row.names)
            for row in read_recorded_run(Path(folder) / "replay").rows
        ]
    columns = ("interaction", "node_a", "node_b", "name_a", "name_b")
    exported = [tuple(row[column] for column in columns) for row in rows]
    everything = b"".join(archive.read(name) for name in archive.namelist())
    return {
        "chosen": len(seen.choices),
        "lost": sum(chosen.get(key) != name for key, name in seen.choices.items()),
        "doubled": sum(count != 1 for count in turns.values()),
        "replayed": replayed == exported,
        "addresses": len(re.findall(rb"127\.0\.0\.1", everything)),
    }


async def measure(phones: int, rounds: int, longest: float) -> dict[str, Any]:
    """Play a whole game, and return what came of it."""
    server = Server()
    try:
        code = server.tell("open")["code"]
        cookies = [server.join(code) for _ in range(phones)]
        process = psutil.Process(server.process.pid)
        seen = Seen()
        tasks = [
            asyncio.create_task(play(server, i + 1, cookie, seen, longest))
            for i, cookie in enumerate(cookies)
        ]
        await asyncio.sleep(3)
        game = {"graph": f"complete(n={phones})", "names": "QM", "rounds": rounds}
        await asyncio.to_thread(server.ask, "start", **game, seconds=SECONDS)
        used, begun = sum(process.cpu_times()[:2]), time.monotonic()
        state: dict[str, Any] = {"phase": ""}
        while state["phase"] != "over":
            await asyncio.sleep(1)
            state = json.loads(await asyncio.to_thread(server.ask, "state"))["game"]
            if sys.stderr.isatty():
                print(f"\rround {state['round']} of {rounds}", end="", file=sys.stderr)
        cpu = (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - begun)
        await asyncio.gather(*tasks)
        with zipfile.ZipFile(io.BytesIO(server.ask("export"))) as archive:
            found = check(archive, seen)
    finally:
        server.process.terminate()
        server.process.wait()
    push = ninety_five(seen.pushes)
    right = found["replayed"] and not (found["lost"] or found["doubled"] or found["addresses"])
    return {
        "phones": phones,
        "rounds": rounds,
        "cpu": round(cpu, 3),
        "push_ms": push,
        "answered_ms": ninety_five(seen.confirmed),
        "cuts": seen.cuts,
        **found,
        "target": {"cpu": CPU, "push_ms": PUSH_MS},
        "met": right and cpu < CPU and push < PUSH_MS,
    }


def main() -> None:
    """Measure, and say so by the exit status if what is exported is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classroom", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--phones", type=int, default=60, help="how many phones (default: 60)")
    parser.add_argument("--rounds", type=int, default=15, help="how many rounds (default: 15)")
    parser.add_argument(
        "--longest", type=float, default=60, help="the longest cut, in seconds (default: 60)"
    )
    given = parser.parse_args()
    found = asyncio.run(measure(given.phones, given.rounds, given.longest))
    print(json.dumps(found))
    sys.exit(0 if found["replayed"] and not (found["lost"] or found["doubled"]) else 1)


if __name__ == "__main__":
    main()
