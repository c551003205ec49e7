"""A class served on this computer, in a thread, and phones that speak to it as the page does."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode

import uvicorn
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from websockets.sync.client import ClientConnection, connect

from mesa_llm_norms.classroom.classroom import Classroom
from mesa_llm_norms.web.guard import Guard, TimedProtocol
from mesa_llm_norms.web.phones import Phones
from mesa_llm_norms.web.serve import listen
from mesa_llm_norms.web.teacher import TeacherPage

TOKEN = "the-token-of-the-teacher"
COOKIE = "norms-test"
TEACHER = {"Cookie": f"{COOKIE}={TOKEN}"}


async def rest(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand for the page."""
    if scope["type"] == "http":
        await PlainTextResponse("the page")(scope, receive, send)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


class ClassServer:
    """A server's address, and its class."""

    def __init__(self, classroom: Classroom, port: int) -> None:
        self.classroom = classroom
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"

    def ask(self, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Answer:
        """Send a request; one with a body is a POST from a page of this server."""
        sent = {**({} if body is None else {"Origin": self.origin}), **headers}
        sent = {name: value for name, value in sent.items() if value}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET" if body is None else "POST", path, body, sent)
        response = connection.getresponse()
        text = response.read().decode("latin-1")
        connection.close()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, text)

    def teach(self, what: str, **given: Any) -> Answer:
        """Do what the teacher's page does."""
        return self.ask(f"/class/{what}", json.dumps(given).encode(), headers=TEACHER)

    def join(self) -> Phone:
        """Return a phone that has joined by the code."""
        answer = self.ask("/seat", urlencode({"code": self.classroom.code}).encode())
        assert answer.status == 303, answer
        return Phone(self, answer.headers["set-cookie"])


class Phone:
    """One student's phone."""

    def __init__(self, server: ClassServer, cookie: str) -> None:
        ((self.name, self.token),) = cookie_parser(cookie.split(";")[0]).items()
        self.cookie = {"Cookie": f"{self.name}={self.token}"}
        self.server = server

    def ask(self, path: str, **given: Any) -> Answer:
        """Send what the phone's page sends; without anything it is a GET."""
        body = json.dumps(given).encode() if given else None
        return self.server.ask(path, body, headers=self.cookie)

    def connect(self, **headers: str) -> ClientConnection:
        """Open the websocket."""
        sent = {"Origin": self.server.origin, **self.cookie, **headers}
        return connect(
            f"ws://127.0.0.1:{self.server.port}/seat",
            additional_headers={name: value for name, value in sent.items() if value},
            proxy=None,
        )


def follow(socket: ClientConnection, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the state of a phone that took in what came, once it is as wanted."""
    state: dict[str, Any] = {}
    while not state or not until(state):
        state.update(json.loads(socket.recv(timeout=60)))
    return state


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def served_class(classroom: Classroom | None = None) -> Iterator[ClassServer]:
    """Serve a class within the block."""
    classroom = classroom or Classroom()
    listening = listen(port=0)
    phones = Phones(classroom, f"seat-{listening.port}", listening.goes_by)
    page = TeacherPage(rest, phones, listening.origin)
    guard = Guard(app=page, token=TOKEN, cookie=COOKIE, goes_by=listening.goes_by, phones=phones)
    config = uvicorn.Config(
        guard, http=TimedProtocol, log_level="critical", lifespan="off", ws_max_size=1 << 17
    )
    server = uvicorn.Server(config)

    async def run() -> None:
        keeping_time = asyncio.create_task(phones.run())
        await server.serve(sockets=[listening.socket])
        keeping_time.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield ClassServer(classroom, listening.port)
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
