"""``mesa-llm-norms app``: the link it prints, what it allows, and how it refuses."""

from __future__ import annotations

import signal
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from kernel_client import get
from served import start_app
from typer.testing import CliRunner, Result

from mesa_llm_norms import cli
from mesa_llm_norms.web.model_source import ServerSettings, configure_server, server_settings
from mesa_llm_norms.web.serve import Listening, listen


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    before = server_settings()
    yield
    configure_server(before)


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put something in the server's place that is started and ends at once; return what it got."""
    got: dict[str, Any] = {"opened": []}

    def serve(listening: Listening, token: str, started: Callable[[], None], **others: Any) -> None:
        got.update(listening=listening, token=token, **others)
        started()
        listening.socket.close()

    monkeypatch.setattr(sys.modules["mesa_llm_norms.cli.app"], "serve", serve)
    monkeypatch.setattr(webbrowser, "open", got["opened"].append)
    return got


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(cli.app, ["app", *arguments], prog_name="mesa-llm-norms")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def link(*arguments: str) -> list[tuple[str, str]]:
    """Return what the printed link says beside the token."""
    result = invoke("--port", "0", "--no-browser", *arguments)
    assert result.exit_code == 0, result.stderr
    (printed,) = (line for line in result.stdout.splitlines() if line.startswith("http"))
    pairs = parse_qsl(urlsplit(printed).query, keep_blank_values=True)
    assert pairs[0][0] == "token"
    return pairs[1:]


def refused(*arguments: str) -> str:
    """Return the one line with which the command refuses."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_help_explains_every_option_and_gives_examples() -> None:
    shown = " ".join(invoke("--help").stdout.replace("│", " ").split())
    assert "Examples" in shown
    assert 'pip install "mesa-llm-norms[offline]"' in shown
    for option in ("topology", "names", "mind", "seed", "scene", "replay", "scenes", "folder"):
        assert f"--{option}" in shown
    for option in ("port", "host", "no-browser", "offline"):
        assert f"--{option}" in shown


def test_the_link_says_what_was_given_and_nothing_else(no_server: dict[str, Any]) -> None:
    assert link() == []
    assert link("--names", "é&,b", "-t", "ring(n=6, k=2)", "--seed", "0") == [
        ("topology", "ring(n=6, k=2)"),
        ("names", "é&,b"),
        ("seed", "0"),
    ]
    given = ["llama-2-70b-chat=0.25", "claude-3.5-sonnet=0.75"]
    assert link("--mind", given[0], "--mind", given[1]) == [("mind", name) for name in given]
    assert no_server["opened"] == []


def test_a_browser_is_opened_where_there_is_a_screen(
    no_server: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    opened = invoke("--port", "0").stdout.splitlines()[0]
    assert no_server["opened"] == [opened]


@pytest.mark.usefixtures("no_server")
def test_only_what_was_named_at_the_start_is_allowed() -> None:
    """What a link asks for beside recorded minds and topologies by name is held against this."""
    Path("ring.edgelist").write_text("0 1\n1 2\n2 0\n", encoding="utf-8")
    live = "llama:http://127.0.0.1:9/v1#some-model"
    link("--topology", "ring.edgelist", "--mind", f"{live}=0.5", "--mind", "llama-2-70b-chat=0.5")
    assert server_settings() == ServerSettings(minds=(live,), topologies=("ring.edgelist",))
    cleaned = 'file("ring.edgelist", directed=false, clean=true)'
    asked = link("-t", "ring.edgelist", "--read", "directed=false", "--clean")
    assert ("topology", cleaned) in asked
    assert server_settings() == ServerSettings(topologies=(cleaned,))
    link("--mind", "llama-2-70b-chat", "--folder", "elsewhere")
    assert server_settings() == ServerSettings(folder=Path("elsewhere"))


def test_other_addresses_come_with_a_warning_and_a_link_for_others(
    no_server: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesa_llm_norms.web.serve._own_address", lambda: "192.0.2.7")
    result = invoke("--port", "0", "--host", "0.0.0.0", "--no-browser")
    assert result.stderr.startswith("note: other computers can reach this page")
    links = [line for line in result.stdout.splitlines() if line.startswith("http")]
    assert [urlsplit(one).hostname for one in links] == ["192.0.2.7", "127.0.0.1"]
    assert len({urlsplit(one).query for one in links}) == 1
    assert "note" not in invoke("--port", "0", "--no-browser").stderr
    assert no_server["offline"] is False


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--topology", "rnig(n=6)"), "ring"),
        (("--topology", "ring(n=6"), "parenthesis"),
        (("--topology", "nowhere.graphml"), "nowhere.graphml"),
        (("--names", "QQ"), "names"),
        (("--mind", "claude-3"), "mind"),
        (("--mind", "claude-3.5-sonnet=0.5", "--mind", "llama-2-70b-chat"), "share"),
        (("--seed", "-1"), "seed"),
        (("--seed", str(2**64)), "seed"),
        (("--host", "no.such.host.invalid"), "--host"),
    ],
    ids=lambda it: it if isinstance(it, str) else " ".join(it),
)
def test_bad_input_is_one_clear_line_before_anything_starts(
    arguments: tuple[str, ...], word: str
) -> None:
    assert word in refused(*arguments)


@pytest.mark.usefixtures("no_server")
def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with listen(port=0).socket as taken:
        assert "--port" in refused("--port", str(taken.getsockname()[1]))


@pytest.mark.usefixtures("no_server")
def test_a_scene_is_begun_with_by_name_and_may_be_varied() -> None:
    from mesa_llm_norms.web.scenes import read_scenes

    first = next(iter(read_scenes()))
    assert link("--scene", first) == [("scene", first)]
    assert link("--scene", first, "--seed", "5") == [("scene", first), ("seed", "5")]
    assert first in refused("--scene", first[:-1])
    assert "nowhere" in refused("--scenes", "nowhere")


@pytest.mark.usefixtures("no_server")
def test_a_recorded_run_is_looked_at_as_it_is() -> None:
    run = ["run", "--names", "QM", "--topology", "ring(n=6)", "--seed", "7", "--out", "first"]
    assert CliRunner().invoke(cli.app, [*run, "--quiet"]).exit_code == 0
    assert link("--replay", "first") == [("replay", "")]
    assert server_settings() == ServerSettings(replay=Path("first"))
    assert "--replay" in refused("--replay", "first", "--names", "QM")
    assert "nowhere" in refused("--replay", "nowhere")


def test_the_real_command_serves_the_page_and_ends_on_an_interrupt(tmp_path: Path) -> None:
    with start_app("--names", "QM", "--seed", "7", cwd=tmp_path) as server:
        cookie = f"norms-{server.port}={server.token}"
        assert urlsplit(server.link).query == f"token={server.token}&names=QM&seed=7"
        assert get(server)[0] == 403
        assert get(server, cookie=cookie)[0] == 200
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 130
        assert server.complaints().endswith("interrupted: nothing more was written.\n")
    assert list(tmp_path.iterdir()) == []
