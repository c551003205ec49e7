"""On the command line: where calls go is said before the first, and nothing goes elsewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chat_server import OLLAMA, ChatServer
from commands import invoke, refused
from messages_server import MessagesServer
from recording_proxy import RecordingProxy

from mesa_llm_norms import register_provider
from mesa_llm_norms.llm import Provider, Question, Reply, Usage
from mesa_llm_norms.minds import registry

SMALL = ("--topology", "ring(n=6)", "--names", "QM", "--seed", "7")
SHORT = (*SMALL, "--rounds", "3", "--until", "none")
FOREIGN = "http://gpu.example:8000/v1"
KEY = "a-key-that-nobody-may-see"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for variable in list(os.environ):
        if variable.startswith(("ANTHROPIC_", "OPENAI_", "LLAMA_")) or "_PROXY" in variable.upper():
            monkeypatch.delenv(variable)


@pytest.fixture
def llama() -> Iterator[ChatServer]:
    with ChatServer(OLLAMA) as running:
        yield running


def notes(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if "calls go to" in line]


def rows(folder: str) -> list[Any]:
    return pd.read_parquet(Path(folder) / "interactions.parquet").to_dict("records")


def of_a_colleague(*arguments: str, budget: int = 20) -> None:
    """Start a run in a folder, and have it stop at its budget."""
    result = invoke("run", *SHORT, *arguments, "--out", "theirs", "--budget-calls", str(budget))
    assert result.exit_code == 2, result.stderr
    assert f"of {budget} calls are used" in result.stderr


def add_options(options: Mapping[str, Any], content: Any) -> None:
    content["spec"]["mind"]["options"].update(options)


def edit_spec(folder: str, change: Any) -> None:
    """Change the spec in a journal, as somebody could who wants a key sent to them."""
    with closing(sqlite3.connect(Path(folder) / "journal.sqlite")) as database, database:
        tables = [row[0] for row in database.execute("select name from sqlite_master")]
        for table in tables:
            columns = [row[1] for row in database.execute(f"pragma table_info({table})")]
            for column in columns:
                for (value,) in database.execute(f"select {column} from {table}").fetchall():
                    if isinstance(value, str) and value.startswith("{") and '"goal"' in value:
                        content = json.loads(value)
                        change(content)
                        database.execute(
                            f"update {table} set {column} = ? where {column} = ?",
                            (json.dumps(content), value),
                        )
                        return
    raise AssertionError("the journal has no spec")


# What is said


def test_a_run_says_where_its_calls_go_and_with_which_key(
    llama: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mind = f"llama:{llama.url}#m"
    result = invoke("run", *SHORT, "--mind", mind, "--no-files")
    assert notes(result.stderr) == [f"note: {mind}: calls go to {llama.url} without a key"]
    monkeypatch.setenv("LLAMA_API_KEY", KEY)
    result = invoke("run", *SHORT, "--mind", mind, "--no-files", "--json")
    assert notes(result.stderr) == [f"note: {mind}: calls go to {llama.url} with LLAMA_API_KEY"]
    assert json.loads(result.stdout)
    assert KEY not in result.stderr + result.stdout
    assert invoke("run", *SHORT, "--mind", mind, "--no-files", "--quiet").stderr == ""


def test_it_is_said_of_each_model(llama: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with MessagesServer() as claude:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", claude.url)
        minds = ("--mind", "claude:claude-test-1", "--mind", f"llama:{llama.url}#m")
        result = invoke("run", *SHORT, *minds, "--mind", "uniform", "--no-files")
        assert notes(result.stderr) == [
            f"note: claude:claude-test-1: calls go to {claude.url} with ANTHROPIC_API_KEY",
            f"note: llama:{llama.url}#m: calls go to {llama.url} without a key",
        ]
        assert {request.headers["authorization"] for request in claude.requests} == {
            f"Bearer {KEY}"
        }
    assert KEY not in str(llama.headers)


@pytest.mark.parametrize(
    "command",
    [
        ("audit", "--runs", "0", "--asks", "1", "--asks-after", "1", "--no-probes"),
        ("tip", "-t", "ring(n=6)", "--runs", "20", "--flip", "Q=M", "--rounds=1", "--after=0"),
        ("intervene", "M", "Q", "--try", "committed=1", "-t", "ring(n=6)", "--runs", "1"),
    ],
    ids=lambda command: command[0],
)
def test_experiments_say_it_too(command: tuple[str, ...], llama: ChatServer) -> None:
    result = invoke(*command, "--mind", f"llama:{llama.url}#m", "--seed", "7", "--json")
    assert result.exit_code == 0, result.stderr
    assert len(notes(result.stderr)) == 1


def test_a_key_that_could_go_to_two_addresses_goes_to_none(
    llama: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", KEY)
    with ChatServer(OLLAMA) as other:
        minds = ("--mind", f"llama:{llama.url}#m", "--mind", f"llama:{other.url}#m")
        line = refused("run", *SHORT, *minds)
        assert "Set LLAMA_BASE_URL to the one it is for" in line
        change = f"other=llama:{other.url}#m:50%"
        line = refused("intervene", "M", "Q", "--try", change, *SMALL, *minds[:2])
        assert "Set LLAMA_BASE_URL" in line
        assert not llama.headers + other.headers


# Addresses in folders


def assert_refused_then_confirmed(url: str, folder: str = "theirs") -> None:
    line = refused("resume", folder, "--quiet")
    assert url in line
    confirm = f"mesa-llm-norms resume {folder} --address {url}"
    assert confirm in line
    command = shlex.split(confirm)[1:]
    result = invoke(*command, "--budget-calls", "500")
    assert result.exit_code == 0, result.stderr
    assert f"calls go to {url}" in result.stderr
    assert (Path(folder) / "spec.json").exists()


def test_nothing_is_sent_to_the_address_in_a_folder(
    llama: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_a_colleague("--mind", f"llama:{llama.url}#m")
    monkeypatch.setenv("LLAMA_API_KEY", KEY)
    before = len(llama.headers)
    result = invoke("resume", "theirs")
    assert result.exit_code == 2
    assert re.search(r"resuming theirs, with \d+ of 20 calls left", result.stderr)
    assert len(llama.headers) == before
    assert_refused_then_confirmed(llama.url)
    assert len(llama.headers) > before


def test_not_even_without_a_key_where_it_is_another_computer_s(
    llama: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingProxy(llama.url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        of_a_colleague("--mind", f"llama:{FOREIGN}#m")
        before = len(proxy.targets)
        assert before
        refused("resume", "theirs", "--quiet")
        assert len(proxy.targets) == before
        assert_refused_then_confirmed(FOREIGN)


def test_a_folder_cannot_confirm_its_own_address(
    llama: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_a_colleague("--mind", f"llama:{llama.url}#m")
    edit_spec("theirs", lambda content: content["llm"].update(addresses=[llama.url]))
    edit_spec("theirs", lambda content: content["llm"].update(budget_calls=500))
    monkeypatch.setenv("LLAMA_API_KEY", KEY)
    before = len(llama.headers)
    assert f"--address {llama.url}" in refused("resume", "theirs", "--quiet")
    for options in ({"given": True}, {"base_url": llama.url}):
        edit_spec("theirs", partial(add_options, options))
        assert invoke("resume", "theirs").exit_code == 2
    assert len(llama.headers) == before


def test_claude_s_address_in_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with MessagesServer() as theirs, MessagesServer() as mine:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", theirs.url)
        of_a_colleague("--mind", "claude:claude-test-1")
        edit_spec("theirs", partial(add_options, {"base_url": theirs.url}))
        shutil.copytree("theirs", "other")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", mine.url)
        before = len(theirs.requests)
        refused("resume", "theirs", "--quiet")
        assert len(theirs.requests) == before
        assert not mine.requests
        assert_refused_then_confirmed(theirs.url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", theirs.url)
        assert invoke("resume", "other", "--budget-calls", "500").exit_code == 0


class Plugged(Provider):
    """A provider of another package, with its address in the name of its mind."""

    model = "plugged"
    max_tokens = 8
    free = True
    parameters: Mapping[str, Any] = {"model": "plugged"}

    def __init__(self, address: str) -> None:
        self.label = f"plugged:{address}"
        self.place = address

    async def ask(self, question: Question) -> Reply:  # noqa: ARG002
        from urllib.request import urlopen

        with urlopen(f"{self.place}/models") as answer:
            answer.read()
        asked.append(self.place)
        return Reply("Q", Usage(1, 1), name="Q")


asked: list[str] = []


def test_a_plugin_s_address_in_a_folder(llama: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_providers", dict(registry._providers))
    register_provider("plugged", Plugged)
    of_a_colleague("--mind", f"plugged:{llama.url}")
    before = len(asked)
    assert_refused_then_confirmed(llama.url)
    assert len(asked) > before


def test_one_s_own_run_is_resumed_by_copying_the_line(
    llama: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", KEY)
    mind = ("--mind", f"llama:{llama.url}#m")
    invoke("run", *SHORT, *mind, "--out", "whole")
    result = invoke("run", *SHORT, *mind, "--out", "my run", "--budget-calls", "20")
    (hint,) = [line for line in result.stderr.splitlines() if "resume with: " in line]
    command = shlex.split(hint.partition("resume with: ")[2])[1:]
    assert command == ["resume", "my run", "--address", llama.url]
    result = invoke(*command, "--budget-calls", "500")
    assert result.exit_code == 0, result.stderr
    assert rows("my run") == rows("whole")


def test_the_line_has_no_address_where_none_is_needed(llama: ChatServer) -> None:
    result = invoke(
        *("run", *SHORT, "--mind", f"llama:{llama.url}#m", "--out", "mine", "--budget-calls", "20")
    )
    assert "resume with: mesa-llm-norms resume mine\n" in result.stderr
    assert invoke("resume", "mine", "--budget-calls", "500").exit_code == 0


def test_an_address_in_a_file_of_minds_has_to_be_confirmed(
    llama: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", KEY)
    minds = {str(node): f"llama:{llama.url}#m" if node % 2 else "uniform" for node in range(6)}
    Path("minds.json").write_text(json.dumps(minds))
    command = ("run", *SHORT, "--minds-by-node", "minds.json")
    assert f"add --address {llama.url}" in refused(*command)
    forecast = invoke(*command, "--forecast")
    assert f"add --address {llama.url}" in forecast.stderr
    assert not llama.headers
    result = invoke(*command, "--address", llama.url, "--out", "mine")
    assert result.exit_code == 0, result.stderr
    assert llama.headers


def test_what_an_address_says_cannot_be_run_by_copying_it(
    llama: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", KEY)
    hostile = f"{llama.url}/$(touch${{IFS}}owned);x"
    Path("minds.json").write_text(
        json.dumps({str(node): f"llama:{hostile}#m" for node in range(6)})
    )
    line = refused("run", *SHORT, "--minds-by-node", "minds.json")
    assert f"--address {shlex.quote(hostile)}" in line


# A folder has all it takes


def test_prices_minds_and_templates_are_in_the_folder(llama: ChatServer) -> None:
    Path("prices.toml").write_text('as_of = "2026-11-24"\n[m]\ninput = 1.0\noutput = 2.0\n')
    Path("mine.csv").write_text("memory,Q,M\n,0.3334,0.6667\n")
    from mesa_llm_norms.llm.prompt import default_template

    Path("said.txt").write_text(default_template().text.replace("Pick a name", "Choose a name"))
    minds = ("--mind", f"llama:{llama.url}#m=0.5", "--mind", "mine.csv=0.5")
    arguments = (*minds, "--prices", "prices.toml", "--template", "said.txt")
    result = invoke("run", *SHORT, *arguments, "--out", "whole")
    assert result.exit_code == 0, result.stderr
    of_a_colleague(*arguments, "--budget-usd", "1", budget=9)
    for name in ("prices.toml", "mine.csv", "said.txt"):
        Path(name).unlink()
    Path("elsewhere").mkdir()
    Path("theirs").rename("elsewhere/theirs")
    result = invoke("resume", "elsewhere/theirs", "--budget-calls", "500", "--budget-usd", "2")
    assert result.exit_code == 0, result.stderr
    assert "US dollars left, at the prices kept in it" in result.stderr
    assert "Choose a name" in llama.bodies[-1]["messages"][-1]["content"]
    assert rows("elsewhere/theirs") == rows("whole")
    assert "$0.00" in result.stdout
    assert Path("elsewhere/theirs/spec.json").read_bytes() == Path("whole/spec.json").read_bytes()


# What is typed


SECRETS = [
    "lama:http://me:swordfish@host/v1#m",
    "lama:http://host/v1?api_key=swordfish#m",
    "llama:http://me:swordfish@host/v1#m",
    "llama:http://me:sword/swordfish@host/v1#m",
    "http://me:swordfish@host/v1",
    "https://me:swordfish@host/minds.json",
    "claud:sk" + "-ant-swordfish-0123456789",
    "claude:sk" + "-ant-swordfish-0123456789",
    "llama:http://127.0.0.1:9/v1#m?api_key=swordfish",
    "lama:swordfish0123456789abcdef",
    f"lama:http://{'x' * 150}swordfish@host",
]
COMMANDS = [
    ("run", "--mind", "uniform=0.5", "--mind"),
    ("audit", "--mind"),
    ("tip", "--mind"),
    ("intervene", "M", "Q", "--try", "committed=1", "--mind"),
    ("minds",),
    ("validate", "--mind"),
    ("reproduce", "--mind"),
    ("app", "--no-browser", "--mind"),
]


@pytest.mark.parametrize(
    ("command", "mind"),
    [
        *((("run", "--mind"), mind) for mind in SECRETS),
        *((command, mind) for command in COMMANDS for mind in (SECRETS[0], SECRETS[2])),
    ],
)
def test_a_password_in_the_name_of_a_mind_is_not_shown(command: tuple[str, ...], mind: str) -> None:
    typed = f"{mind}=0.5" if "uniform=0.5" in command else mind
    result = invoke(*command, typed)
    assert result.exit_code == 2
    assert "swordfish" not in result.stderr + result.stdout


def test_nor_in_an_intervention() -> None:
    for mind in ("llama:http://me:swordfish@host/v1#m", "lama:http://me:swordfish@host/v1#m"):
        result = invoke("intervene", "M", "Q", "--try", f"other={mind}:50%")
        assert result.exit_code == 2
        assert "swordfish" not in result.stderr


@pytest.mark.parametrize("value", ["socks5://me:swordfish@10.0.0.1:1", "no/proxy", "x://y"])
def test_a_proxy_that_cannot_be_used_is_an_error_of_one_line(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    result = invoke("run", *SHORT, "--mind", f"llama:{FOREIGN}#m", "--no-files", "--quiet")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "proxy" in line
    assert "swordfish" not in line
