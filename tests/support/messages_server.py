"""A server on this machine that speaks the Messages API over HTTP/1.1, and fails as it is told to.

    with MessagesServer() as server:
        ...  # calls to server.url, with any key
        assert len(server.answered) == 3

What it answers follows from the body of a call alone, so a run that repeats, reorders or overlaps
its calls hears the same. ``messages_api_rules`` has what it accepts.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote

import h11
from messages_api_rules import (
    MODELS,
    Answer,
    Model,
    check_body,
    check_headers,
    choose,
    digest,
    error_body,
    message,
)

Body = dict[str, Any]
BATCHES = "/v1/messages/batches"
PATIENCE = 30.0
"""Seconds within which the server starts and stops, or the test fails."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a call.

    ``status`` answers with that error, its ``headers``, ``message`` and ``code``, or a ``raw``
    body. ``reset`` resets the connection, ``hang`` never answers, ``cut`` breaks off in the middle
    of the answer, ``drip`` sends it byte by byte, ``seconds`` apart. A message comes back, and is
    paid for, with ``empty`` (no content), ``garbage`` (no JSON), ``refusal``, ``foreign`` (a name
    that is in no pool) and ``max_tokens`` (cut off).
    """

    kind: str
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "a fault, for the test"
    code: str | None = None
    raw: bytes | None = None
    seconds: float = 0.05

    def __post_init__(self) -> None:
        assert self.kind in (*KINDS, *SAYINGS), self.kind


KINDS = ("status", "reset", "hang", "cut", "drip", "lost", "expired", "canceled")
SAYINGS = {
    "empty": Answer(),
    "garbage": Answer(raw=b"{not JSON"),
    "refusal": Answer(stop="refusal"),
    "foreign": Answer('{"name": "in no pool at all"}'),
    "max_tokens": Answer('{"na', stop="max_tokens"),
}

FAULTS = (
    Fault("status", 429, {"retry-after": "0"}),
    Fault("status", 429),
    Fault("status", 529),
    Fault("status", 500),
    Fault("reset"),
    Fault("hang"),
    Fault("cut"),
    *(Fault(kind) for kind in SAYINGS),
)
"""One of every kind that passes when the call is made again."""


def share_of_faults(
    share: float, kinds: Sequence[Fault] = FAULTS, seed: int = 0
) -> Callable[[int, Body], Fault | None]:
    """Return a schedule by which that share of calls meets a fault, one ``kinds`` or another.

    It follows from the body and from how often that body came before, in whatever order.
    """
    seen: Counter[bytes] = Counter()

    def fault(_: int, body: Body) -> Fault | None:
        what = digest(body)
        chance = digest([seed, what.hex(), seen[what]])
        seen[what] += 1
        if int.from_bytes(chance[:8], "big") >= share * 2**64:
            return None
        return kinds[int.from_bytes(chance[8:16], "big") % len(kinds)]

    return fault


@dataclass
class SentBatch:
    """A batch as it was sent: the bodies by custom id, and the results once it has ended."""

    requests: dict[str, Body]
    ends: float
    results: list[dict[str, Any]] | None = None


class Received(NamedTuple):
    """A call as it came in; the names of ``headers`` are in lower case."""

    body: Body
    headers: Mapping[str, str]


class MessagesServer:
    """Serves from ``with`` to the end of its block, in a thread of its own.

    ``answer`` gives what to say to a body, or None for the usual (see ``choose``). ``faults`` and
    ``latency`` (seconds) are asked with the running number of the call, from 0, and its body.
    ``lookup_fault`` befalls the models endpoint. A batch ends after ``batch_seconds``; of its
    calls, those with a fault of a status are errored, and "expired" or "canceled" ones are that.
    ``batch_fault`` is asked with the running number of a batch that is sent: "lost" makes it and
    resets the connection, any other fault makes none.

    With a ``key``, no other is let in. ``names`` are what is answered without a schema.
    """

    def __init__(
        self,
        *,
        answer: Callable[[Body], Answer | None] = lambda _: None,
        faults: Callable[[int, Body], Fault | None] = lambda *_: None,
        latency: float | Callable[[int, Body], float] = 0.0,
        models: Mapping[str, Model] = MODELS,
        lookup_fault: Fault | Callable[[int], Fault | None] | None = None,
        key: str | None = None,
        names: Sequence[str] = ("Q", "M"),
        batch_seconds: float = 0.0,
        batch_fault: Callable[[int], Fault | None] = lambda _: None,
    ) -> None:
        self.answer = answer
        self.faults = faults
        self.latency = latency
        self.models = models
        self.lookup_fault = lookup_fault
        self.key = key
        self.names = names
        self.batch_seconds = batch_seconds
        self.batch_fault = batch_fault
        self.batches: dict[str, SentBatch] = {}
        self.created = datetime.now(UTC)
        self._sent: list[dict[str, Body]] = []
        self._lock = threading.Lock()
        self._requests: list[Received] = []
        self._answered: list[Body] = []
        self._looked_up: list[str] = []
        self._in_flight = self._most_in_flight = self._connections = 0
        self._broken: Exception | None = None

    # What is known of the calls so far, to be read from any thread

    @property
    def requests(self) -> list[Received]:
        """Every call that came in whole, in order."""
        with self._lock:
            return list(self._requests)

    @property
    def answered(self) -> list[Body]:
        """The bodies that were answered with a 200, down to the last byte: what was paid for."""
        with self._lock:
            return list(self._answered)

    @property
    def looked_up(self) -> list[str]:
        """The models that were asked about."""
        with self._lock:
            return list(self._looked_up)

    @property
    def in_flight(self) -> int:
        """How many calls are neither answered nor given up by the client."""
        with self._lock:
            return self._in_flight

    @property
    def most_in_flight(self) -> int:
        """The most there were at once."""
        with self._lock:
            return self._most_in_flight

    @property
    def connections(self) -> int:
        """How many connections were opened."""
        with self._lock:
            return self._connections

    def end_batches(self) -> None:
        """Have all batches end that are out, and those to come at once."""
        self.batch_seconds = 0.0
        for batch in self.batches.values():
            batch.ends = 0.0

    # Starting and stopping

    def __enter__(self) -> MessagesServer:
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(ready)), name="messages server", daemon=True
        )
        self._thread.start()
        assert ready.wait(PATIENCE), "the server does not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the server does not stop"
        if self._broken is not None:
            raise self._broken

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        serving: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(_Connection(self, reader, writer).serve())
            serving.add(task)
            task.add_done_callback(serving.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await self._stop.wait()
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


class _Connection:
    """One connection of a client, kept alive from call to call."""

    def __init__(
        self, server: MessagesServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.http = h11.Connection(h11.SERVER)
        with server._lock:
            server._connections += 1

    async def serve(self) -> None:
        try:
            while (call := await self._read()) is not None:
                await self._while_client_waits(self._handle(*call))
                if self.http.our_state is not h11.DONE or self.writer.is_closing():
                    break
                self.http.start_next_cycle()
        except (ConnectionError, h11.ProtocolError):
            pass  # the client is gone, or speaks no HTTP
        except Exception as error:
            self.server._broken = error
        finally:
            self.writer.close()

    async def _read(self) -> tuple[h11.Request, bytes] | None:
        request, body = None, bytearray()
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                self.http.receive_data(await self.reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                return request, bytes(body)
            else:
                return None

    async def _while_client_waits(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, or stop in the middle of it where the client hangs up."""
        working = asyncio.create_task(work)
        hearing = asyncio.create_task(self.reader.read(65536))
        try:
            await asyncio.wait({working, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                assert not hearing.result(), "the client sends before it is answered"
                return
            working.result()
        finally:
            working.cancel()
            hearing.cancel()
            _, heard = await asyncio.gather(working, hearing, return_exceptions=True)
            if isinstance(heard, bytes):
                self.http.receive_data(heard)

    async def _handle(self, request: h11.Request, content: bytes) -> None:
        headers = {name.decode(): value.decode() for name, value in request.headers}
        method, path = request.method.decode(), unquote(request.target.decode().partition("?")[0])
        if method == "POST" and path == "/v1/messages":
            await self._handle_call(headers, content)
        elif path.startswith(BATCHES):
            await self._handle_batches(method, path.removeprefix(BATCHES), headers, content)
        elif method == "GET" and path.startswith("/v1/models/"):
            await self._handle_lookup(headers, path.removeprefix("/v1/models/"))
        else:
            await self._send(404, error_body(404, "Not Found"))

    async def _handle_lookup(self, headers: Mapping[str, str], name: str) -> None:
        server = self.server
        with server._lock:
            server._looked_up.append(name)
        wrong = check_headers(headers, server.key)
        fault = server.lookup_fault
        if callable(fault):
            fault = fault(len(server.looked_up) - 1)
        if fault is not None:
            await self._fail(fault, server.models[name].info(name))
        elif wrong is not None:
            await self._send(wrong.status, error_body(*wrong))
        elif name not in server.models:
            await self._send(404, error_body(404, f"model: {name}"))
        else:
            await self._send(200, server.models[name].info(name))

    async def _handle_batches(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes
    ) -> None:
        server = self.server
        wrong = check_headers(headers, server.key)
        name, _, what = path.strip("/").partition("/")
        if wrong is not None:
            await self._send(wrong.status, error_body(*wrong))
        elif method == "POST" and not name:
            await self._create_batch(headers, json.loads(content))
        elif method == "GET" and not name:
            known = [self._batch_info(it) for it in reversed(server.batches)]
            ids = {"first_id": None, "last_id": None}
            await self._send(200, {"data": known, "has_more": False, **ids})
        elif name not in server.batches:
            await self._send(404, error_body(404, f"batch: {name}"))
        elif method == "GET" and not what:
            await self._send(200, self._batch_info(name))
        elif method == "GET" and what == "results" and self._batch_info(name)["results_url"]:
            lines = [json.dumps(it) for it in server.batches[name].results or ()]
            data = "\n".join(lines).encode()
            await self._send(200, data, media="application/x-jsonl")
        else:
            await self._send(404, error_body(404, "Not Found"))

    async def _create_batch(self, headers: Mapping[str, str], body: Any) -> None:
        server = self.server
        requests = {it["custom_id"]: it["params"] for it in body["requests"]}
        assert len(requests) == len(body["requests"]), "custom ids are unique"
        assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", it) for it in requests)
        with server._lock:
            number = len(server._sent)
            server._sent.append(requests)
        for params in requests.values():
            wrong = check_body(params, headers["anthropic-version"], server.models)
            assert wrong is None, wrong
        fault = server.batch_fault(number)
        if fault is not None and fault.kind != "lost":
            await self._fail(fault, {})
            return
        name = f"msgbatch_{number:04}"
        end = time.monotonic() + server.batch_seconds
        with server._lock:
            server.batches[name] = SentBatch(requests, end)
        if fault is not None:
            await self._fail(Fault("reset"), {})
        else:
            await self._send(200, self._batch_info(name))

    def _batch_info(self, name: str) -> Body:
        """Return how a batch stands; its calls are made once its time is over."""
        server = self.server
        batch = server.batches[name]
        if batch.results is None and time.monotonic() >= batch.ends:
            batch.results = [self._result(*it) for it in batch.requests.items()]
            random.Random(name).shuffle(batch.results)
        counts = Counter(it["result"]["type"] for it in batch.results or ())
        kinds = "succeeded", "errored", "canceled", "expired"
        ended = batch.results is not None
        return {
            "id": name,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {
                "processing": len(batch.requests) - counts.total(),
                **{kind: counts[kind] for kind in kinds},
            },
            "created_at": server.created.isoformat(),
            "expires_at": server.created.isoformat(),
            "ended_at": server.created.isoformat() if ended else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"{server.url}{BATCHES}/{name}/results" if ended else None,
        }

    def _result(self, custom_id: str, body: Body) -> Body:
        server = self.server
        with server._lock:
            number = len(server._requests)
            server._requests.append(Received(body, {}))
        fault = server.faults(number, body)
        if fault is not None and fault.kind in ("expired", "canceled"):
            result: Body = {"type": fault.kind}
        elif fault is not None and fault.kind == "status":
            result = {"type": "errored", "error": error_body(fault.status, fault.message)}
        else:
            answer = SAYINGS.get(fault.kind) if fault is not None else server.answer(body)
            answer = answer or choose(body, server.names)
            said = message(body, answer, server.models[body["model"]])
            result = {"type": "succeeded", "message": said}
            with server._lock:
                server._answered.append(body)
        return {"custom_id": custom_id, "result": result}

    async def _handle_call(self, headers: Mapping[str, str], content: bytes) -> None:
        server = self.server
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        with server._lock:
            number = len(server._requests)
            server._requests.append(Received(body, headers))
            server._in_flight += 1
            server._most_in_flight = max(server._most_in_flight, server._in_flight)
        counted = True

        def leave(paid: bool) -> None:
            nonlocal counted
            with server._lock:
                server._in_flight -= counted
                counted = False
                if paid:
                    server._answered.append(body)

        try:
            await self._answer(number, headers, body, leave)
        finally:
            leave(False)

    async def _answer(
        self, number: int, headers: Mapping[str, str], body: Any, leave: Callable[[bool], None]
    ) -> None:
        server = self.server
        wrong = check_headers(headers, server.key)
        wrong = wrong or check_body(body, headers["anthropic-version"], server.models)
        if wrong is not None:
            await self._send(wrong.status, error_body(*wrong), leave=leave)
            return
        latency = server.latency
        await asyncio.sleep(latency(number, body) if callable(latency) else latency)
        fault = server.faults(number, body)
        answer = SAYINGS.get(fault.kind) if fault is not None else server.answer(body)
        answer = answer or choose(body, server.names)
        said: Any = answer.raw
        if said is None:
            said = message(body, answer, server.models[body["model"]])
        if fault is None or fault.kind in SAYINGS:
            await self._send(200, said, media=answer.media, leave=leave)
        else:
            await self._fail(fault, said, leave)

    async def _fail(
        self, fault: Fault, content: Any, leave: Callable[[bool], None] | None = None
    ) -> None:
        if fault.kind == "status":
            body: Any = fault.raw
            if body is None:
                body = error_body(fault.status, fault.message, fault.code)
            await self._send(fault.status, body, fault.headers, leave=leave)
        elif fault.kind == "hang":
            await asyncio.Event().wait()
        elif fault.kind == "reset":
            linger = struct.pack("ii", 1, 0)
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.writer.transport.abort()
        else:
            await self._send(200, content, leave=leave, broken=fault)

    async def _send(
        self,
        status: int,
        content: Any,
        headers: Mapping[str, str] | None = None,
        *,
        media: str = "application/json",
        leave: Callable[[bool], None] | None = None,
        broken: Fault | None = None,
    ) -> None:
        payload = content if isinstance(content, bytes) else json.dumps(content).encode()
        lines = {
            "content-type": media,
            "content-length": str(len(payload)),
            "request-id": "req_test",
            **(headers or {}),
        }
        head = self.http.send(h11.Response(status_code=status, headers=list(lines.items())))
        data = (head or b"") + (self.http.send(h11.Data(data=payload)) or b"")
        data += self.http.send(h11.EndOfMessage()) or b""
        if broken is not None and broken.kind == "cut":
            self.writer.write(data[: -len(payload) // 2])
            await self.writer.drain()
            self.writer.close()
            return
        if broken is not None:
            for at in range(len(data) - 1):
                self.writer.write(data[at : at + 1])
                await self.writer.drain()
                await asyncio.sleep(broken.seconds)
            data = data[-1:]
        # On record first: once it is written, the client may look.
        if leave is not None and not self.writer.is_closing():
            leave(status == 200)
        self.writer.write(data)
        await self.writer.drain()
