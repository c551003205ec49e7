"""A page without a browser: it speaks to a served page's kernel as Solara's scripts do."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any, Self

from served import Served
from websockets.sync.client import ClientConnection, connect

Message = dict[str, Any]
PATIENCE = 20
"""Seconds without a message after which a test fails."""


def get(server: Served, path: str = "/", **headers: str) -> tuple[int, Message, str]:
    """Return status, headers (in lower case) and text of a page; ``_`` in a header is a dash."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=sent)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, {name.lower(): it for name, it in response.getheaders()}, text


class Viewer:
    """One open page of a server; ``widgets`` holds the state of every widget by its id."""

    def __init__(self, server: Served, kernel: str = "", **headers: str) -> None:
        cookie = f"norms-{server.port}={server.token}"
        sent = {"cookie": cookie, "origin": server.origin, **headers}
        self.widgets: dict[str, Message] = {}
        self._server = server
        self.heard: list[Message] = []
        self.kernel, self._session = kernel or str(uuid.uuid4()), str(uuid.uuid4())
        self._socket: ClientConnection = connect(
            f"ws://127.0.0.1:{server.port}/jupyter/api/kernels/{self.kernel}/channels"
            f"?session_id={self._session}",
            additional_headers=sent,
            max_size=None,
            proxy=None,
            close_timeout=1,
        )

    def __enter__(self) -> Self:
        self._socket.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._socket.__exit__(*error)

    def send(self, kind: str, **content: Any) -> None:
        """Send a message of Jupyter's protocol."""
        message = {
            "header": {
                "msg_id": str(uuid.uuid4()),
                "msg_type": kind,
                "session": self._session,
                "username": "",
                "date": "2025-01-01T00:00:00Z",
                "version": "5.2",
            },
            "parent_header": {},
            "metadata": content.pop("metadata", {}),
            "content": content,
            "channel": "shell",
            "buffers": [],
        }
        self._socket.send(json.dumps(message))

    def open(self, target: str) -> str:
        """Open a channel and return its id."""
        comm = str(uuid.uuid4())
        metadata = {"version": "1.0.0"}
        self.send("comm_open", comm_id=comm, target_name=target, data={}, metadata=metadata)
        return comm

    def say(self, comm: str, **data: Any) -> None:
        """Say something to a widget, or over another channel."""
        self.send("comm_msg", comm_id=comm, data=data)

    def tell(self, widget: str, **content: Any) -> None:
        """Send a widget what ipyvue takes for an event or a command."""
        self.say(widget, method="custom", content=content)

    def run(self, path: str = "") -> None:
        """Have the page of this path and query run, and wait until it is there."""
        control = self.open("solara.control")
        themes: Message = {"light": {}, "dark": {}}
        self.say(control, method="run", args={"path": path, "themes": themes, "dark": False})
        self.until(lambda message: said(message).get("method") == "finished")

    def until(self, wanted: Callable[[Message], bool]) -> Message:
        """Read on until a message comes that is wanted, and return it."""
        while True:
            message = self.read()
            if wanted(message):
                return message

    def settle(self) -> None:
        """Wait until what was sent so far is dealt with: the kernel answers in order."""
        self.send("comm_info_request", target_name="none")
        self.until(lambda message: message["header"]["msg_type"] == "comm_info_reply")

    def widget(self, **state: Any) -> str:
        """Return the id of the widget in this state, waiting until there is one."""
        while True:
            for widget, has in self.widgets.items():
                if all(has.get(name) == value for name, value in state.items()):
                    return widget
            self.read()

    def press(self, name: str) -> None:
        """Click the button of this ``data-testid`` once it is there."""
        while True:
            for widget, has in self.widgets.items():
                if (has.get("attributes") or {}).get("data-testid") == name:
                    self.tell(widget, event="click", data={})
                    return
            self.read()

    def leave(self) -> None:
        """Tell the server that the page is closed, as browsers do."""
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=PATIENCE)
        path = f"/_solara/api/close/{self.kernel}?session_id={self._session}"
        cookie = f"norms-{self._server.port}={self._server.token}"
        connection.request("POST", path, headers={"cookie": cookie})
        assert connection.getresponse().status == 200
        connection.close()

    def drop(self) -> None:
        """Break the connection, as when a cable is unplugged."""
        with suppress(OSError):
            self._socket.socket.shutdown(socket.SHUT_RDWR)

    def read(self) -> Message:
        """Return the next message, and change ``widgets`` as it says."""
        frame = self._socket.recv(timeout=PATIENCE)
        if isinstance(frame, bytes):  # a number of offsets, the offsets, JSON, buffers
            count = int.from_bytes(frame[:4], "big")
            offsets = [int.from_bytes(frame[4 * k : 4 * k + 4], "big") for k in range(1, count + 1)]
            frame = frame[offsets[0] : offsets[1] if count > 1 else None].decode()
        message: Message = json.loads(frame)
        self.heard.append(message)
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "comm_open":
            self.widgets[content["comm_id"]] = dict(content["data"].get("state", {}))
        elif kind == "comm_msg" and content["comm_id"] in self.widgets:
            self.widgets[content["comm_id"]] |= content["data"].get("state", {})
            shown = content["data"].get("content", {})
            if shown.get("method") == "show":
                self._draw(content["comm_id"], *shown["args"])
        if said(message).get("method") == "finished":
            self._say_ready()
        return message

    def _say_ready(self) -> None:
        """Say of the widget that brings frames that it is there, as its view does."""
        for widget, has in self.widgets.items():
            if "event_drawn" in has.get("events", ()):
                self.tell(widget, event="ready", data=None)

    def _draw(self, channel: str, number: int, changes: list[tuple[str, Message]]) -> None:
        """Take a frame, and say at once that it is drawn."""
        for widget, state in changes:
            self.widgets.get(widget, {}).update(state)
        self.tell(channel, event="event_drawn", data=number)


def said(message: Message) -> Message:
    """Return the data of a message over a channel, or nothing for one of another kind."""
    data = message["content"].get("data")
    return data if isinstance(data, dict) else {}


def counts(server: Served) -> dict[str, int]:
    """Return how many kernels a server has, ``total``, and how many of them in which state."""
    cookie = f"norms-{server.port}={server.token}"
    kernels: dict[str, int] = json.loads(get(server, "/resourcez", cookie=cookie)[2])["kernels"]
    return kernels


def wait_until(true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait for something to come true, and fail if it does not."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)
