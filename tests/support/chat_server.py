"""A server on this machine that speaks chat completions the way one program or another does.

    with ChatServer(VLLM, chances={"Q": 0.6, "M": 0.3, "I": 0.1}) as server:
        ...  # calls to server.url
        assert len(server.bodies) == 3

It stands in for programs that the tests cannot run. Behind it is a model of one token: ``chances``
is how likely each is, before any constraint and temperature, and a name begun is then finished.
"""

from __future__ import annotations

import json
import math
import random
import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

from mesa_llm_norms.llm.chat_completions import QUESTION

Body = dict[str, Any]

CITIES = {"Paris": 0.4, "London": 0.3, "Rome": 0.15, "Oslo": 0.08, "Cairo": 0.05, "Lima": 0.02}
"""What the model says to the question by which abilities are found out."""

COMMON = {"model", "messages", "temperature", "top_p", "seed", "max_tokens"}


@dataclass(frozen=True)
class Program:
    """What a server does with the fields of a request.

    ``honours`` are the constraints it keeps to, ``listing`` the probabilities it gives: those
    before the constraint and the temperature, between the two, or after both; ``most_listed`` of
    them at most. Any other field is passed over, or answered by the status ``unknown``, as are
    those it ``lacks`` of the common ones; one that lacks ``max_tokens`` has another name for it.
    ``no_system`` is the error by which it refuses a system message.
    """

    honours: frozenset[str] = frozenset()
    listing: Literal["none", "before", "masked", "after"] = "none"
    most_listed: int = 20
    unknown: int | None = None
    with_bytes: bool = True
    lacks: frozenset[str] = frozenset()
    no_system: tuple[int, str] | None = None

    def knows(self) -> set[str]:
        listing = set() if self.listing == "none" else {"logprobs", "top_logprobs"}
        renamed = {"max_completion_tokens"} if "max_tokens" in self.lacks else set()
        return (COMMON | self.honours | listing | renamed) - self.lacks


VLLM = Program(frozenset({"structured_outputs", "response_format"}), "masked")
VLLM_UNMASKED = Program(frozenset({"structured_outputs", "response_format"}), "before")
VLLM_PROCESSED = Program(frozenset({"structured_outputs"}), "after")
OLLAMA = Program(frozenset({"response_format"}))
OLLAMA_LISTING = Program(frozenset({"response_format"}), "before", with_bytes=False)
LLAMA_CPP_PYTHON = Program(frozenset({"grammar"}), unknown=500)
STRICT = Program(frozenset({"response_format"}), unknown=400)
DEAF = Program()
DEAF_LISTING = Program(listing="before")
DEAF_LISTING_AFTER = Program(listing="after")


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a call, instead of an answer or to it."""

    kind: Literal["status", "raw", "reset", "hang", "drip", "endless"]
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Any = ""


class ChatServer:
    """Serves from ``with`` to the end of its block.

    ``alter`` may change a choice of an answer before it is sent; ``usage`` is sent as it is.
    ``fault`` is asked with the body of every chat completion. A ``listing`` is sent as the list of
    ``models``, whatever it is, with ``listing_status``.
    """

    def __init__(
        self,
        program: Program,
        chances: Mapping[str, float] | None = None,
        *,
        models: Sequence[str] | None = ("m",),
        alter: Callable[[Body], None] = lambda _: None,
        usage: Body | None = None,
        fault: Callable[[Body], Fault | None] = lambda _: None,
    ) -> None:
        self.program = program
        self.chances = dict(chances or {"Q": 0.6, "M": 0.3, "I": 0.1})
        self.models = models
        self.alter = alter
        self.usage = usage or {"prompt_tokens": 10, "completion_tokens": 2}
        self.fault = fault
        self.listing: Any = None
        self.listing_status = 200
        self.bodies: list[Body] = []
        self.headers: list[Mapping[str, str]] = []
        self._stop = threading.Event()

    @property
    def asked(self) -> list[Body]:
        """The bodies of the calls that were no question about abilities."""
        return [body for body in self.bodies if body["messages"][-1]["content"] != QUESTION.user]

    def __enter__(self) -> ChatServer:
        outer = self

        class Handler(_Handler):
            server_of = outer

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._stop.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    def answer(self, body: Body) -> tuple[int, Body]:
        unknown = sorted(set(body) - self.program.knows())
        if unknown and self.program.unknown:
            return self.program.unknown, error(f"{unknown[0]}: no such field")
        if self.program.no_system and body["messages"][0]["role"] == "system":
            return self.program.no_system[0], error(self.program.no_system[1])
        if (
            body.get("top_logprobs", 0) > self.program.most_listed
            and self.program.listing != "none"
        ):
            return 400, error(f"top_logprobs: {self.program.most_listed} at most")
        names, form = self._allowed(body)
        raw = CITIES if body["messages"][-1]["content"] == QUESTION.user else self.chances
        if names is not None:
            unlikely = {name: 1e-9 * 3**place for place, name in enumerate(names)}
            raw = {**unlikely, **raw}
        kept = {
            token: chance
            for token, chance in raw.items()
            if names is None or any(name.startswith(token) for name in names)
        }
        heated = _heated(kept, body.get("temperature", 1.0))
        token = random.Random(body.get("seed", 0)).choices(list(heated), list(heated.values()))[0]
        text = next((name for name in names or () if name.startswith(token)), token)
        whole = most_tokens(body) > 1
        choice: Body = {
            "index": 0,
            "message": {"role": "assistant", "content": form(text) if whole else token},
            "finish_reason": "stop" if whole else "length",
        }
        if body.get("logprobs") and self.program.listing != "none":
            listed = {"before": raw, "masked": _heated(kept, 1.0), "after": heated}[
                self.program.listing
            ]
            best = sorted(listed.items(), key=lambda item: -item[1])[: body["top_logprobs"]]
            rows = [self._row(*item) for item in best]
            first = {**self._row(token, listed[token]), "top_logprobs": rows}
            choice["logprobs"] = {"content": [first]}
        self.alter(choice)
        return 200, {
            "id": "x",
            "object": "chat.completion",
            "model": body["model"],
            "choices": [choice],
            "usage": self.usage,
        }

    def _row(self, token: str, chance: float) -> Body:
        row: Body = {"token": token, "logprob": math.log(chance) if chance > 0 else -9999.0}
        return {**row, "bytes": list(token.encode())} if self.program.with_bytes else row

    def _allowed(self, body: Body) -> tuple[list[str] | None, Callable[[str], str]]:
        honoured = self.program.honours & set(body)
        if "grammar" in honoured:
            return gbnf_names(body["grammar"]), str
        if "structured_outputs" in honoured:
            return body["structured_outputs"]["choice"], str
        if "response_format" in honoured:
            schema = body["response_format"]["json_schema"]["schema"]
            names = schema["properties"]["name"]["enum"]
            return names, lambda name: json.dumps({"name": name})
        return None, str


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits 40 ms for an acknowledgement
    server_of: ChatServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        models = self.server_of.models
        if self.path != "/v1/models" or models is None:
            self._send(404, error("Not Found"))
        else:
            listing = {"object": "list", "data": [{"id": model} for model in models]}
            listing = listing if self.server_of.listing is None else self.server_of.listing
            self._send(self.server_of.listing_status, listing)

    def do_POST(self) -> None:
        server = self.server_of
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/chat/completions":
            self._send(404, error("Not Found"))
            return
        server.bodies.append(body)
        server.headers.append({key.lower(): value for key, value in self.headers.items()})
        match server.fault(body):
            case None:
                self._send(*server.answer(body))
            case Fault("status", status, headers, content):
                self._send(status, content, headers)
            case Fault("raw", _, headers, content):
                self._send(200, content, headers)
            case Fault("reset"):
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                self.close_connection = True
            case Fault("hang"):
                server._stop.wait(30)
                self.close_connection = True
            case Fault("drip"):
                self._drip(json.dumps(server.answer(body)[1]).encode())
            case Fault("endless", status):
                self._go_on(status)

    def _send(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        text = content if isinstance(content, (str, bytes)) else json.dumps(content)
        data = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        lines = {"content-type": "application/json", "content-length": str(len(data))}
        for key, value in {**lines, **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        with suppress(ConnectionError):  # a client may have read enough
            self.wfile.write(data)

    def _go_on(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):
            while not self.server_of._stop.is_set():
                self.wfile.write(b'{"and so on": ' * 1_000)

    def _drip(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.close_connection = True
        for at in range(len(data)):
            if self.server_of._stop.wait(0.02):
                return
            try:
                self.wfile.write(data[at : at + 1])
            except ConnectionError:
                return


def most_tokens(body: Body) -> int:
    """Return the most that a call may write, under either name."""
    most: int = body.get("max_completion_tokens") or body.get("max_tokens") or 1_000
    return most


def error(message: str) -> Body:
    return {"error": {"message": message, "type": "error", "param": None, "code": None}}


def gbnf_names(grammar: str) -> list[str]:
    """Return the texts that a grammar of alternatives allows, read as llama.cpp reads it."""
    assert grammar.startswith("root ::= ")
    rest, names = grammar.removeprefix("root ::= "), []
    while rest:
        literal = re.match(r'"((?:[^"\\]|\\["\\])*)"( \| |$)', rest, re.DOTALL)
        assert literal, rest
        names.append(re.sub(r"\\(.)", r"\1", literal[1], flags=re.DOTALL))
        rest = rest[literal.end() :]
    return names


def _heated(chances: Mapping[str, float], temperature: float) -> dict[str, float]:
    highest = max(chances.values())
    if temperature == 0:
        return {token: float(chance == highest) for token, chance in chances.items()}
    powers = {token: (chance / highest) ** (1 / temperature) for token, chance in chances.items()}
    total = math.fsum(powers.values())
    return {token: power / total for token, power in powers.items()}
