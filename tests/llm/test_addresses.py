"""Which address gets which key, and which gets nothing: with real SDKs, servers and a proxy."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from chat_server import OLLAMA, ChatServer
from claude import PLAIN
from hypothesis import given
from hypothesis import strategies as st
from llama_calls import ask
from messages_server import MessagesServer
from recording_proxy import RecordingProxy

from mesa_llm_norms import NamingGame, register_provider
from mesa_llm_norms.errors import CallError, MindError, SpecError
from mesa_llm_norms.llm import Key, LLMSettings, Provider, Question, Reply, Usage, live_mind
from mesa_llm_norms.llm.addresses import (
    CLAUDE,
    LLAMA,
    check,
    destination,
    is_loopback,
    key_for,
    proxy_for,
    read_address,
    same,
)
from mesa_llm_norms.llm.anthropic import AnthropicProvider
from mesa_llm_norms.llm.client import LLMClient
from mesa_llm_norms.llm.openai_compatible import OpenAICompatibleProvider
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.minds.registry import load_provider

KEYS = {key.variable: key for key in (*CLAUDE, *LLAMA)}
FOREIGN = "http://gpu.example:8000/v1"
SECRET = "not-a-key-but-as-long-as-one"
PROXIES = [f"{scheme}_proxy" for scheme in ("http", "https", "all", "no")]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, address or proxy, and no certificates to read."""
    for variable in list(os.environ):
        if variable.startswith(("ANTHROPIC_", "OPENAI_", "LLAMA_")):
            monkeypatch.delenv(variable)
    for variable in PROXIES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


# The table of docs/live.md


class Row(NamedTuple):
    """A line of the table."""

    key: str
    names: str
    """What the names of minds begin with: ``llama:``, ``openai:URL``."""
    address_variable: str
    default: str | None


def table() -> list[Row]:
    text = (Path(__file__).parents[2] / "docs" / "live.md").read_text(encoding="utf-8")
    section = text.partition("## Addresses and keys")[2]
    rows = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch(r"`[A-Z_]+`", cells[0]):
            variable, *default = re.findall(r"`(.+?)`", cells[2])
            assert default or cells[2].endswith("or else the one address given")
            for names in re.findall(r"`(.+?)`", cells[1]):
                rows.append(Row(cells[0].strip("`"), names, variable, (default or [None])[0]))
    return rows


ROWS = table()
IDS = [f"{row.key} {row.names}" for row in ROWS]
NAMES = ("claude:", "openai:MODEL", "openai:URL#MODEL", "llama:")


def named(row: Row, url: str | None) -> Provider:
    """A provider as ``--mind`` gives it: with an address, or for some without."""
    if row.names == "claude:":
        return live_mind(f"claude:{PLAIN}").provider
    if row.names == "openai:MODEL":
        return live_mind("openai:m", timeout=20).provider
    return live_mind(f"{row.names.partition(':')[0]}:{url}#m", timeout=20).provider


def key_of(row: Row) -> Key:
    return KEYS[row.key]


def secret(row: Row) -> str:
    """What the environment variable holds."""
    header = "Authorization: Bearer " if row.key.endswith("HEADERS") else ""
    return header + SECRET


def prepare(provider: Provider) -> None:
    async def main() -> None:
        try:
            await provider.prepare()
        finally:
            await provider.close()

    asyncio.run(main())


class Listener:
    """A server that answers nothing useful and keeps the headers it got."""

    def __init__(self, answer: Callable[[str], tuple[int, str]] = lambda _: (404, "{}")) -> None:
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.answer = answer

    def __enter__(self) -> Listener:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.paths.append(self.path)
                outer.headers.append({key.lower(): it for key, it in self.headers.items()})
                status, body = outer.answer(self.path)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_GET  # noqa: N815  (as the library calls it)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self.http.server_port}"
        self.url = f"{self.root}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()

    @property
    def got(self) -> str:
        """All that it got, as text."""
        return f"{self.paths} {self.headers}"


def test_the_table_is_that_of_the_code() -> None:
    rows = dict.fromkeys(row[:1] + row[2:] for row in ROWS)
    assert [*rows] == [key[:3] for key in KEYS.values()]
    assert {row.names for row in ROWS} == set(NAMES)
    assert all(key_of(row) in (named(row, FOREIGN).keys or ()) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_key_goes_to_the_address_in_the_environment(
    row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(row.key, secret(row))
    with Listener() as home:
        monkeypatch.setenv(row.address_variable, home.url)
        provider = named(row, home.url)
        assert destination(provider).endswith(f"calls go to {home.url} with {row.key}")
        with pytest.raises((CallError, MindError)):
            asyncio.run(called(provider))
    sent = {it["authorization"] for it in home.headers if "authorization" in it}
    assert sent == {f"Bearer {SECRET}"}


async def called(provider: Provider) -> None:
    try:
        await provider.prepare()
        await provider.ask(Question(Prompt("These are the rules.", "Pick."), ("Q", "M"), 1))
    finally:
        await provider.close()


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_key_without_one_goes_to_its_default(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(row.key, secret(row))
    if row.default is None:
        with Listener() as given, pytest.raises((CallError, MindError)):
            prepare(named(row, given.url))
        assert SECRET in given.got
        return
    provider = named(row, row.default)
    assert destination(provider).endswith(f"calls go to {row.default} with {row.key}")
    with RecordingProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(CallError):
            prepare(provider)
    host = row.default.split("/")[2]
    assert set(proxy.targets) == {f"{host}:443"}
    assert SECRET not in str(proxy.headers), "it is encrypted on the way"


@pytest.mark.parametrize("row", [row for row in ROWS if row.names in NAMES[2:]])
def test_a_key_goes_to_no_other_address(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(row.key, secret(row))
    with Listener() as home, Listener() as other:
        monkeypatch.setenv(row.address_variable, home.url)
        provider = named(row, other.url)
        assert destination(provider).endswith("without a key")
        with pytest.raises((CallError, MindError)):
            prepare(provider)
    assert other.paths
    assert SECRET not in other.got
    assert not home.paths


def test_what_the_environment_says_of_openai_goes_to_no_other_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {
        "OPENAI_API_KEY": "key-of-openai",
        "OPENAI_ADMIN_KEY": "admin-of-openai",
        "OPENAI_ORG_ID": "org-of-openai",
        "OPENAI_PROJECT_ID": "project-of-openai",
        "OPENAI_CUSTOM_HEADERS": "X-Team: team-of-openai\nauthorization: Bearer auth-of-openai",
    }
    for variable, value in said.items():
        monkeypatch.setenv(variable, value)
    with ChatServer(OLLAMA) as server:
        assert ask(server.url).usable
        assert "of-openai" not in str(server.headers)
        monkeypatch.setenv("LLAMA_API_KEY", SECRET)
        ask(server.url)
        assert server.headers[-1]["authorization"] == f"Bearer {SECRET}"
        assert "of-openai" not in str(server.headers)
        monkeypatch.delenv("LLAMA_API_KEY")
        monkeypatch.delenv("OPENAI_CUSTOM_HEADERS")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        ask(server.url)
        assert server.headers[-1]["authorization"] == "Bearer key-of-openai"
        assert server.headers[-1]["openai-organization"] == "org-of-openai"


def test_the_key_of_an_address_is_taken_before_one_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "one-for-the-server")
    monkeypatch.setenv("OPENAI_API_KEY", "one-for-openai")
    (row,) = (row for row in ROWS if row[:2] == ("LLAMA_API_KEY", "llama:"))
    openai, other = named(row, LLAMA[1].default), named(row, FOREIGN)
    assert [key_for(one) for one in (openai, other)] == [LLAMA[1], LLAMA[0]]
    check([openai, other])


def test_a_key_that_could_go_to_two_addresses_goes_to_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", SECRET)
    with ChatServer(OLLAMA) as one, ChatServer(OLLAMA) as other:
        minds = {live_mind(f"llama:{it.url}#m", timeout=20): 0.5 for it in (one, other)}
        model = NamingGame("ring(n=6)", "QM", minds, rng=7)
        with pytest.raises(MindError, match="Set LLAMA_BASE_URL to the one") as caught:
            model.step()
        model.close()
        assert one.url in str(caught.value)
        assert other.url in str(caught.value)
        assert not one.headers + other.headers
        monkeypatch.setenv("LLAMA_BASE_URL", one.url)
        minds = {live_mind(f"llama:{it.url}#m", timeout=20): 0.5 for it in (one, other)}
        model = NamingGame("ring(n=6)", "QM", minds, rng=7)
        model.step()
        model.close()
        assert {it["authorization"] for it in one.headers} == {f"Bearer {SECRET}"}
        assert {it["authorization"] for it in other.headers} == {"Bearer none"}


def test_claude_with_two_gateways_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    minds = [AnthropicProvider(PLAIN, base_url=url) for url in (FOREIGN, "http://127.0.0.1:1")]
    with pytest.raises(MindError, match=r"ANTHROPIC_API_KEY could go to .* in runs of their own"):
        check(minds)
    check(minds[:1] * 2)


# Addresses from files


class Plugged(Provider):
    """A provider of another package, which has its address from the name of its mind."""

    model = "plugged"
    max_tokens = 8
    free = True
    parameters: Mapping[str, Any] = {"model": "plugged"}

    def __init__(self, address: str) -> None:
        self.label = f"plugged:{address}"
        self.place = address

    async def ask(self, question: Question) -> Reply:  # noqa: ARG002
        from urllib.request import urlopen

        with urlopen(f"{self.place}/?{os.environ.get('PLUGGED_KEY', '')}", b"a prompt") as answer:
            answer.read()
        return Reply("Q", Usage(1, 1), name="Q")


class Keyed(Plugged):
    """The same, saying which keys it sends."""

    keys = (Key("PLUGGED_KEY", "PLUGGED_URL"),)


@pytest.fixture
def plugged() -> Iterator[None]:
    from mesa_llm_norms.minds import registry

    register_provider("plugged", Plugged)
    register_provider("keyed", Keyed)
    yield
    for prefix in ("plugged", "keyed"):
        del registry._providers[prefix]


def of_a_colleague(mind: Any, folder: Path) -> None:
    """Play a few calls into a journal."""
    llm = LLMSettings(folder=folder, budget_calls=20)
    model = NamingGame("ring(n=6)", "QM", mind, rng=7, llm=llm)
    model.step()
    model.close()


def assert_to_be_confirmed(folder: Path, url: str, heard: Callable[[], int]) -> None:
    """Nothing is sent before it is, and the message says how."""
    before = heard()
    model = NamingGame.resume(folder)
    with pytest.raises(MindError) as caught:
        model.run(rounds=3, until=None)
    model.close()
    assert url in str(caught.value)
    assert f"--address {url}" in str(caught.value)
    assert "comes from a file" in str(caught.value)
    assert heard() == before
    for addresses in ([url], [url.replace("127.0.0.1", "127.0.0.1") + "/"]):
        model = NamingGame.resume(folder, addresses=addresses)
        model.run(rounds=2, until=None)
        model.close()
    assert heard() > before


def test_claude_at_the_address_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    with MessagesServer() as server:
        of_a_colleague(live_mind(f"claude:{PLAIN}", base_url=server.url), tmp_path / "theirs")
        assert_to_be_confirmed(tmp_path / "theirs", server.url, lambda: len(server.requests))


def test_claude_at_its_default_needs_no_confirmation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    with MessagesServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        of_a_colleague(f"claude:{PLAIN}", tmp_path / "mine")
        model = NamingGame.resume(tmp_path / "mine")
        model.run(rounds=2, until=None)
        model.close()


def test_llama_at_the_address_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer(OLLAMA) as server:
        of_a_colleague(f"llama:{server.url}#m", tmp_path / "theirs")
        monkeypatch.setenv("LLAMA_API_KEY", SECRET)
        assert_to_be_confirmed(tmp_path / "theirs", server.url, lambda: len(server.headers))


def test_llama_on_this_computer_is_resumed_where_no_key_would_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with ChatServer(OLLAMA) as server:
        of_a_colleague(f"llama:{server.url}#m", tmp_path / "mine")
        for kept in (None, FOREIGN):
            if kept is not None:
                monkeypatch.setenv("LLAMA_API_KEY", SECRET)
                monkeypatch.setenv("LLAMA_BASE_URL", kept)
            model = NamingGame.resume(tmp_path / "mine")
            model.run(rounds=2 if kept is None else 3, until=None)
            model.close()
        assert SECRET not in str(server.headers)
        monkeypatch.setenv("LLAMA_BASE_URL", server.url)
        model = NamingGame.resume(tmp_path / "mine")
        model.run(rounds=4, until=None)
        model.close()
        assert SECRET in str(server.headers[-1])


def test_llama_elsewhere_gets_nothing_even_without_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ChatServer(OLLAMA) as server, RecordingProxy(server.url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        of_a_colleague(f"llama:{FOREIGN}#m", tmp_path / "theirs")
        assert proxy.targets
        assert_to_be_confirmed(tmp_path / "theirs", FOREIGN, lambda: len(proxy.targets))


@pytest.mark.usefixtures("plugged")
def test_a_plugin_that_does_not_say_what_it_sends(tmp_path: Path) -> None:
    with Listener(lambda _: (200, "{}")) as server:
        of_a_colleague(f"plugged:{server.url}", tmp_path / "theirs")
        assert_to_be_confirmed(tmp_path / "theirs", server.url, lambda: len(server.paths))


@pytest.mark.usefixtures("plugged")
def test_a_plugin_that_says_what_it_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Listener(lambda _: (200, "{}")) as server:
        of_a_colleague(live_mind(f"keyed:{server.url}"), tmp_path / "theirs")
        # The label is that of its class, so that the journal names the other one.
        provider = live_mind(f"keyed:{server.url}", given=False).provider
        check([provider])
        monkeypatch.setenv("PLUGGED_KEY", SECRET)
        with pytest.raises(MindError, match="PLUGGED_KEY"):
            check([provider])
        monkeypatch.setenv("PLUGGED_URL", server.url)
        check([provider])


def test_a_run_that_is_all_on_record_needs_no_confirmation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ChatServer(OLLAMA) as server:
        of_a_colleague(f"llama:{server.url}#m", tmp_path / "theirs")
    monkeypatch.setenv("LLAMA_API_KEY", SECRET)
    model = NamingGame.resume(tmp_path / "theirs")
    model.step()
    model.close()


def test_a_mind_that_is_given_again_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", SECRET)
    with ChatServer(OLLAMA) as server:
        of_a_colleague(f"llama:{server.url}#m", tmp_path / "mine")
        model = NamingGame.resume(tmp_path / "mine", mind=f"llama:{server.url}#m")
        model.run(rounds=2, until=None)
        model.close()


def test_a_provider_by_itself_asks_no_unconfirmed_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", SECRET)
    with Listener() as server:
        provider = live_mind(f"llama:{server.url}#m", given=False).provider
        with pytest.raises(MindError, match="--address"):
            prepare(provider)
        assert not server.paths
        LLMClient(LLMSettings(addresses=[server.url])).attach([provider.mind()])
        with pytest.raises((CallError, MindError)):
            prepare(provider)
        assert server.paths


def test_addresses_are_a_list() -> None:
    for wrong in (FOREIGN, [1]):
        with pytest.raises(SpecError, match=r"^addresses: "):
            LLMSettings(addresses=wrong)  # type: ignore[arg-type]


# What is the same address, and which are on this computer


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        *((f"http://{host}:8080/v1", True) for host in ("127.0.0.1", "127.255.3.9", "[::1]")),
        *((f"https://{host}/v1", True) for host in ("localhost", "LOCALHOST", "a.b.localhost")),
        *((f"http://{host}/v1", True) for host in ("localhost.", "127.1", "0.0.0.0", "2130706433")),
        ("http://[::ffff:127.0.0.1]/v1", True),
        *((f"http://{host}/v1", False) for host in ("localhost.example", "127.0.0.1.example")),
        *((f"http://{host}/v1", False) for host in ("notlocalhost", "128.0.0.1", "10.0.0.1")),
        ("http://example.org/127.0.0.1", False),
        ("http://[::2]/", False),
        ("here", False),
        ("", False),
    ],
)
def test_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_an_address_is_the_same_however_it_is_written() -> None:
    assert same("HTTP://GPU.example:80/v1/", "http://gpu.example/v1")
    assert same("https://gpu.example", "https://gpu.example:443/")
    assert same("here", "here")
    for other in ("https://gpu.example/v1", "http://gpu.example/v2", "http://gpu.example:81/v1"):
        assert not same("http://gpu.example/v1", other)
    assert not same(None, "here")


@given(st.text(max_size=40))
def test_any_text_is_read_as_an_address_or_refused(text: str) -> None:
    is_loopback(text)
    proxy_for(text)
    assert same(text, text)
    with suppress(MindError):
        assert "@" not in read_address(text, "url", "KEY")


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:1/{'x' * 70_000}",
        f"http://127.0.0.1:1/{'x' * 2_000}",
        f"http://{'x' * 64}.example/v1",
        f"http://{'x.' * 127}example/v1",
        "http://two..dots/v1",
    ],
)
def test_an_address_that_no_host_can_have_is_refused_briefly(url: str) -> None:
    with pytest.raises(MindError) as caught:
        OpenAICompatibleProvider(url, "m")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("model", ["1" * 400, "x" * 70_000, ":" * 70_000, "x" * 257])
def test_the_name_of_a_model_that_is_too_long_is_refused_briefly(model: str) -> None:
    for name in (f"llama:{FOREIGN}#{model}", f"claude:{model}"):
        with pytest.raises(MindError, match="Use 1 to 256") as caught:
            load_provider(name)
        assert len(str(caught.value)) < 300
    assert load_provider(f"claude:{'m' * 256}").model == "m" * 256


@given(st.text("abc/:@#?%[]", max_size=12), st.text("abc/:@#?%[]", max_size=12))
def test_a_password_in_an_address_is_never_shown(name: str, rest: str) -> None:
    with pytest.raises(MindError) as caught:
        read_address(f"http://{name}swordfish{rest}@host/v1", "url", "KEY")
    assert "swordfish" not in str(caught.value)


# Proxies


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"])
@pytest.mark.parametrize("exceptions", [None, "example.org"])
def test_no_proxy_is_asked_for_this_computer(
    variable: str, exceptions: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", SECRET)
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    if exceptions is not None:
        monkeypatch.setenv("NO_PROXY", exceptions)
    with RecordingProxy() as proxy, ChatServer(OLLAMA) as llama, MessagesServer() as claude:
        monkeypatch.setenv(variable, proxy.url)
        for host in ("127.0.0.1", "localhost"):
            assert ask(llama.url.replace("127.0.0.1", host)).usable
        prepare(AnthropicProvider(PLAIN, base_url=claude.url, timeout=20))
        assert not proxy.targets


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1", "socks4://x", "nonsense://", "http://["])
def test_no_proxy_of_any_kind_is_in_the_way_of_this_computer(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with ChatServer(OLLAMA) as server:
        assert ask(server.url).usable


def test_a_proxy_elsewhere_is_used_and_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RecordingProxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:sword/fish@{proxy.authority}")
        provider = live_mind(f"llama:{FOREIGN}#m", timeout=20).provider
        line = destination(provider)
        assert line.endswith(f"by way of the proxy {proxy.url} (HTTP_PROXY)")
        monkeypatch.setenv("HTTP_PROXY", f"http://me:swordfish@{proxy.authority}")
        with pytest.raises(CallError, match=rf"the proxy {proxy.url} \(HTTP_PROXY\)") as caught:
            prepare(provider)
        assert proxy.targets == [f"{FOREIGN}/models"]
    assert "sword" not in line + str(caught.value)
    with pytest.raises(CallError, match=r"cannot be reached\. Check HTTP_PROXY") as caught:
        prepare(live_mind(f"llama:{FOREIGN}#m", timeout=20).provider)
    assert caught.value.kind == "connection"


def test_a_proxy_that_wants_a_password_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingProxy(status=407) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(CallError, match="the password that the proxy wants") as caught:
            prepare(live_mind(f"llama:{FOREIGN}#m", timeout=20).provider)
    assert caught.value.kind == "denied"


@pytest.mark.parametrize(
    ("exceptions", "host", "direct"),
    [
        ("gpu.example", "gpu.example", True),
        ("example", "gpu.example", True),
        (".example", "gpu.example", True),
        ("*", "gpu.example", True),
        ("other, *", "gpu.example", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("gpu.example:8000", "gpu.example", True),
        ("ample", "gpu.example", False),
    ],
)
def test_exceptions(
    exceptions: str, host: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert (proxy_for(f"http://{host}:8000/v1") is None) is direct


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ALL_PROXY", "socks5://me:swordfish@10.0.0.1:1080", "pip install socksio"),
        ("ALL_PROXY", "socks4://me:swordfish@10.0.0.1:1080", "Begin it with http, https or socks5"),
        ("HTTP_PROXY", "http://me:swordfish@[::1", "is not the address of a proxy"),
        ("HTTP_PROXY", "http://me:swordfish@10.0.0.1:port", "is not the address of a proxy"),
        *(
            ("HTTP_PROXY", f"http://me:swordfish@{place}", "is not the address of a proxy")
            for place in ("h:99999999999999999999", "h:65536", "h:0", "h:-1", "", ":80", "a b:80")
        ),
        ("ALL_PROXY", "socks5://me:swordfish@h:70000", "is not the address of a proxy"),
        ("ALL_PROXY", f"http://{'x' * 64}.example:80", "is not the address of a proxy"),
        ("ALL_PROXY", f"http://me:swordfish@{'x' * 70_000}", "is not the address of a proxy"),
        ("SSL_CERT_FILE", "/nowhere/swordfish.pem", "SSL_CERT_FILE or SSL_CERT_DIR cannot be read"),
    ],
)
@pytest.mark.parametrize("kind", ["claude", "llama"])
def test_an_environment_in_which_no_client_can_be_made(
    variable: str, value: str, told: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    provider: Provider = OpenAICompatibleProvider(FOREIGN, "m")
    if kind == "claude":
        provider = AnthropicProvider(PLAIN, base_url=FOREIGN)
    with pytest.raises(MindError, match=told) as caught:
        prepare(provider)
    assert "swordfish" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert len(destination(provider)) < 500


# Files, redirects and certificates


def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password swordfish\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with ChatServer(OLLAMA) as server:
        ask(server.url)
    assert {headers["authorization"] for headers in server.headers} == {"Bearer none"}


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[str]:
    """A server with a certificate that nobody has signed."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("there is no openssl to make a certificate with")
    both = str(tmp_path / "both.pem")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-keyout", both, "-out", both + ".crt"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both + ".crt", both)
    with Listener() as server:
        server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
        yield server.url.replace("http:", "https:")


def test_a_certificate_that_is_not_trusted_is_named(self_signed: str) -> None:
    with pytest.raises(CallError, match=r"certificate is not trusted.*SSL_CERT_FILE") as caught:
        prepare(live_mind(f"llama:{self_signed}#m", timeout=20).provider)
    assert caught.value.kind == "connection"
    assert "server is running" not in str(caught.value)


def test_https_where_there_is_none_says_so() -> None:
    with ChatServer(OLLAMA) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(CallError, match=r"does not speak https\. Begin .* http://"):
            prepare(live_mind(f"llama:{url}#m", timeout=20).provider)


def test_a_host_that_does_not_exist_is_named_as_the_reason() -> None:
    with pytest.raises(CallError, match="the name of its host is not known"):
        prepare(live_mind("llama:http://no-such-host.invalid/v1#m", timeout=20).provider)


# What is said of a key that is not accepted


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"LLAMA_API_KEY": SECRET}, "Check the key in LLAMA_API_KEY"),
        ({}, "No key was sent: LLAMA_API_KEY is not set"),
        ({"OPENAI_API_KEY": SECRET}, "OPENAI_API_KEY goes to https://api.openai.com/v1 only"),
    ],
)
def test_a_key_that_is_not_accepted(
    variables: Mapping[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    with (
        Listener(lambda _: (401, '{"error": {"message": "no entry"}}')) as server,
        pytest.raises(CallError, match=told),
    ):
        prepare(live_mind(f"llama:{server.url}#m", timeout=20).provider)


# An address with the wrong path


def serving(right: str, unknown: tuple[int, str], models: int = 200) -> Callable[[str], Any]:
    """Answer as a server whose chat completions are below one path alone."""

    def answer(path: str) -> tuple[int, str]:
        if path == f"{right}/models":
            return models, '{"object": "list", "data": [{"id": "m"}]}'
        return unknown

    return answer


UNKNOWN = {
    "vLLM": (404, '{"detail": "Not Found"}'),
    "Ollama": (404, "404 page not found"),
    "LM Studio": (200, '{"error": "Unexpected endpoint or method. (GET /models)"}'),
    "a page": (200, "<!doctype html><title>Chat</title>"),
}


@pytest.mark.parametrize("server", UNKNOWN)
@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("", "/v1"),
        ("/v1/chat/completions", "/v1"),
        ("/api", "/v1"),
        ("/v1", "/api/v1"),
        ("/proxy/8000", "/proxy/8000/v1"),
        ("", "/openai/v1"),
    ],
)
def test_a_wrong_path_is_told_with_the_right_one(
    server: str, given: str, right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", SECRET)
    with Listener(serving(right, UNKNOWN[server])) as listener:
        with pytest.raises(MindError) as caught:
            prepare(live_mind(f"llama:{listener.root}{given}#m", timeout=20).provider)
        got = zip(listener.paths, listener.headers, strict=True)
        there = [headers for path, headers in got if path == f"{right}/models"]
    assert f"Write llama:{listener.root}{right}#m" in str(caught.value)
    assert "key" not in str(caught.value)
    assert there
    assert SECRET not in str(there), "what was not given gets no key"


def test_a_path_behind_a_key_is_the_right_one_too() -> None:
    with (
        Listener(serving("/v1", UNKNOWN["vLLM"], models=401)) as server,
        pytest.raises(MindError, match=r"Write llama:.*/v1#m"),
    ):
        prepare(live_mind(f"llama:{server.root}#m", timeout=20).provider)


def test_a_path_for_which_there_is_no_other_is_told() -> None:
    with (
        Listener(lambda _: (404, "{}")) as server,
        pytest.raises(MindError, match=r"no chat completions at .* most addresses end in /v1"),
    ):
        prepare(live_mind(f"llama:{server.root}/nothing#m", timeout=20).provider)


def test_a_model_that_does_not_exist_is_not_taken_for_a_path() -> None:
    said = '{"error": {"message": "model \'m\' not found"}}'
    with (
        Listener(lambda _: (404, said)) as server,
        pytest.raises(CallError, match=r"not found\. Check the address and the model's name"),
    ):
        prepare(live_mind(f"llama:{server.url}#m", timeout=20).provider)


def test_claude_at_an_address_with_v1_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    with (
        Listener() as server,
        pytest.raises(CallError, match=rf"Leave out /v1: the address is {server.root}"),
    ):
        asyncio.run(called(AnthropicProvider(PLAIN, base_url=server.url, timeout=20)))


def test_a_proxy_that_refuses_to_connect_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingProxy(status=407) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(CallError, match=r"refused: 407 Proxy Authentication Required"):
            prepare(live_mind("llama:https://gpu.example/v1#m", timeout=20).provider)


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example\\.localhost/v1",
        "http://evil.example%5c.localhost/v1",
        "http://api.openai.com\\.evil.example/v1",
        "http://\u0430pi.openai.com/v1",
        "http://[::1%25eth0]/v1",
        "http://a b/v1",
    ],
)
def test_a_host_that_programs_read_differently_is_refused(url: str) -> None:
    assert not is_loopback(url)
    with pytest.raises(MindError, match="not an address"):
        read_address(url, "url", "KEY")
