"""What stands in front of the page: who is let in, by which names, and what others are told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any, NamedTuple

import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import cookie_parser
from starlette.types import Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mesa_llm_norms.web.guard import Guard
from mesa_llm_norms.web.serve import Listening, listen

TOKEN = "a-token-of-the-tests"
COOKIE = "norms-test"
GUEST = "a-token-of-guests"
SIGNED = {"Cookie": f"{COOKIE}={TOKEN}"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what was asked; over a websocket, say everything again."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        names = [name.decode() for name, _ in scope["headers"]]
        asked = {"path": scope["path"], "query": scope["query_string"].decode(), "headers": names}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(asked).encode()})
    else:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


class Address(NamedTuple):
    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, text)

    def say(self, text: str, **headers: str) -> Any:
        """Open a websocket, say something and return the answer."""
        sent = {"Origin": self.origin, **SIGNED, **headers}
        with connect(
            f"ws://127.0.0.1:{self.port}/anything",
            additional_headers={name: value for name, value in sent.items() if value},
            proxy=None,
        ) as socket:
            socket.send(text)
            return socket.recv(timeout=20)


def serve(listening: Listening) -> Iterator[Address]:
    guard = Guard(
        app=echo,
        token=TOKEN,
        cookie=COOKIE,
        goes_by=listening.goes_by,
        guest=GUEST,
        reserved="/class",
    )
    config = uvicorn.Config(guard, log_level="critical", ws="websockets-sansio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening.socket],))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield Address(listening.port)
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    yield from serve(listen(port=0))


@pytest.fixture(scope="module")
def open_server() -> Iterator[Address]:
    """A server that other computers reach too."""
    yield from serve(listen("0.0.0.0", 0))


@pytest.mark.parametrize(
    "path", ["/", "/static/main.js", "/resourcez", "/?token", "/x?token=" + TOKEN]
)
def test_nothing_is_served_without_the_token(server: Address, path: str) -> None:
    answer = server.ask(path)
    assert answer.status == 403
    assert "open the" in answer.text
    assert TOKEN not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", "%C3%A9", TOKEN + "&token=x"])
def test_a_link_with_another_token_is_told_so(server: Address, token: str) -> None:
    answer = server.ask(f"/?token={token}", **SIGNED)
    assert answer.status == 403
    assert "printed" in answer.text


@pytest.mark.parametrize(
    "cookies", ["norms-test=x", "norms-test=", "norms-test", f"other={TOKEN}", "é=1", "a=b; ;=;"]
)
def test_a_wrong_cookie_is_none(server: Address, cookies: str) -> None:
    assert server.ask("/", Cookie=cookies).status == 403


def test_other_cookies_do_not_hide_the_token(server: Address) -> None:
    """Programs on other ports of this computer set cookies too, some of them odd."""
    odd = f'a="{{"x": [1]}}"; bad cookie; {SIGNED["Cookie"]}; z=é'
    assert server.ask("/", Cookie=odd).status == 200


def test_the_link_sets_a_cookie_and_leads_to_the_page_without_the_token(server: Address) -> None:
    answer = server.ask(f"/?topology=ring(n%3D6)&token={TOKEN}&names=QM&mind=a&mind=b")
    assert answer.status == 200
    assert 'url=/?topology=ring(n%3D6)&amp;names=QM&amp;mind=a&amp;mind=b"' in answer.text
    assert TOKEN not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    cookie = answer.headers["set-cookie"]
    assert cookie_parser(cookie)[COOKIE] == TOKEN
    assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.lower().split("; "))
    asked = json.loads(server.ask("/?names=QM", **SIGNED).text)
    assert (asked["path"], asked["query"]) == ("/", "names=QM")


def test_a_shared_link_admits_to_the_page_and_to_nothing_of_the_teacher(server: Address) -> None:
    answer = server.ask(f"/?token={GUEST}&names=QM")
    assert answer.status == 200
    assert cookie_parser(answer.headers["set-cookie"])[COOKIE] == GUEST
    guest = {"Cookie": f"{COOKIE}={GUEST}"}
    for path in ("/", "/static/main.js", "/classes", "/?names=QM"):
        assert server.ask(path, **guest).status == 200
    wanted = {"channel": "shell", "header": {"msg_type": "comm_info_request"}, "content": {}}
    assert json.loads(server.say(json.dumps(wanted), **guest)) == wanted
    for path in ("/class", "/class/", "/class/state", "/class?x", "/%63lass/state"):
        assert server.ask(path, **guest).status == 403
        assert server.ask(path, **SIGNED).status == 200
    assert server.ask("/class/open", "POST", **guest, Origin=server.origin).status == 403


def test_who_has_the_token_keeps_it_when_opening_a_shared_link(server: Address) -> None:
    answer = server.ask(f"/?token={GUEST}", **SIGNED)
    assert cookie_parser(answer.headers["set-cookie"])[COOKIE] == TOKEN


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
@example('"><script>alert(1)</script>')
@example("'onload='x")
def test_what_is_in_a_link_is_never_markup(query: str) -> None:
    guard = Guard(app=echo, token=TOKEN, cookie=COOKIE, goes_by=lambda _: True)
    body = bytes(guard._welcome(query, TOKEN).body).decode()
    assert body.count("<") == len(["!doctype", "meta", "title", "/title", "a", "/a"])


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "", "a@b", "[", "x:y:z"]
)
def test_a_foreign_name_is_refused_even_with_the_token(server: Address, host: str) -> None:
    """So that a website whose name was pointed at this computer cannot read anything."""
    for path in ("/", f"/?token={TOKEN}"):
        answer = server.ask(path, Host=host, **SIGNED)
        assert answer.status == 421
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:80"])
def test_the_names_of_this_computer_are_known_whatever_the_port(server: Address, host: str) -> None:
    """The port may be forwarded from another."""
    assert server.ask("/", Host=host, **SIGNED).status == 200


def test_an_open_server_goes_by_its_addresses_and_by_no_foreign_name(open_server: Address) -> None:
    assert open_server.ask("/", Host="192.168.1.20:8765", **SIGNED).status == 200
    assert open_server.ask("/", Host="evil.example", **SIGNED).status == 421
    assert open_server.ask("/", Host="192.168.1.20").status == 403


def test_a_page_of_this_server_may_use_the_websocket(server: Address) -> None:
    wanted = {"header": {"msg_type": "kernel_info_request"}, "channel": "shell", "content": {}}
    assert json.loads(server.say(json.dumps(wanted))) == wanted


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Cookie": ""},
        {"Cookie": f"{COOKIE}=x"},
    ],
    ids=str,
)
def test_a_websocket_from_elsewhere_is_refused(server: Address, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        server.say("{}", **headers)
    assert refused.value.response.status_code == 403


def test_a_refused_message_never_reaches_the_page_and_the_next_does(server: Address) -> None:
    wanted = {"header": {"msg_type": "comm_close"}, "channel": "shell", "content": {}}
    with connect(
        f"ws://127.0.0.1:{server.port}/x",
        additional_headers={"Origin": server.origin, **SIGNED},
        proxy=None,
    ) as socket:
        socket.send("no message")
        socket.send(b"bytes")
        socket.send(json.dumps({**wanted, "header": {"msg_type": "execute_request"}}))
        socket.send(json.dumps(wanted))
        assert json.loads(socket.recv(timeout=20)) == wanted


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://evil.example", 403), ("http://127.0.0.1:1", 403), ("null", 200), (None, 200)],
)
def test_another_page_cannot_post(server: Address, origin: str | None, status: int) -> None:
    """Browsers say null for a page that is closing; then it is the cookie that counts."""
    headers = {**SIGNED, **({"Origin": origin} if origin else {})}
    assert server.ask("/_solara/api/close/x", "POST", **headers).status == status
    assert server.ask("/", "POST", Origin=server.origin, **SIGNED).status == 200
    assert server.ask("/", "POST", Origin="null").status == 403


@pytest.mark.parametrize("path", ["/", f"/?token={TOKEN}", "/nothing"])
@pytest.mark.parametrize("signed", [True, False])
def test_every_answer_has_the_headers_that_keep_pages_apart(
    server: Address, path: str, signed: bool
) -> None:
    headers = server.ask(path, **(SIGNED if signed else {})).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'self'" in policy
    assert "http:" not in policy


def test_headers_of_proxies_are_dropped(server: Address) -> None:
    """Solara would take its own address from the first request that has them."""
    sent = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Script-Name": "/x",
        "Script-Name": "/x",
        "Forwarded": "host=evil.example",
        "Accept": "text/html",
    }
    seen = json.loads(server.ask("/", **SIGNED, **sent).text)["headers"]
    assert "accept" in seen
    assert not [name for name in seen if "forwarded" in name or "script-name" in name]
