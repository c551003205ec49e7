"""Models of OpenAI and of other hosts by names that begin with ``openai:``."""

from __future__ import annotations

from pathlib import Path

import pytest
from chat_server import OLLAMA, ChatServer

from mesa_llm_norms import NamingGame, load_mind
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.llm import LLMSettings, live_mind
from mesa_llm_norms.llm.addresses import destination
from mesa_llm_norms.llm.provider import LiveMind

pytestmark = pytest.mark.usefixtures("llama_environment")
KEY = "not-a-key-but-as-long-as-one"


def play(name: str, **calls: object) -> tuple[NamingGame, list[tuple[object, ...]]]:
    how = LLMSettings(**calls)  # type: ignore[arg-type]
    model = NamingGame("ring(n=6)", "QM", name, rng=3, llm=how)
    rows: list[tuple[object, ...]] = []
    for _ in range(2):
        model.step()
        rows += model.rows
    model.close()
    return model, rows


def test_a_host_is_asked_as_under_its_other_name_and_on_this_computer_for_nothing() -> None:
    with ChatServer(OLLAMA) as server:
        _, one = play(f"llama:{server.url}#m", budget_usd=1)
        bodies = list(server.bodies)
        server.bodies.clear()
        model, other = play(f"openai:{server.url}#m", budget_usd=1)
        assert one == other
        assert sorted(map(str, server.bodies)) == sorted(map(str, bodies))
    (mind,) = model.spec.minds
    assert mind.label == f"openai:{server.url}#m"


def test_openai_is_where_the_environment_says_and_gets_its_own_key_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "one-for-another-server")
    mind = load_mind("openai:m")
    assert isinstance(mind, LiveMind)
    assert mind.provider.place == "https://api.openai.com/v1"
    assert destination(mind.provider).endswith("without a key")
    with ChatServer(OLLAMA) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        played, _ = play("openai:m", folder=tmp_path / "run")
        assert {it["authorization"] for it in server.headers} == {f"Bearer {KEY}"}
        calls = len(server.bodies)
        again = NamingGame.resume(tmp_path / "run")
        again.step()
        again.step()
        again.close()
        assert again.names_held == played.names_held
        assert len(server.bodies) == calls
    assert KEY.encode() not in (tmp_path / "run" / "journal.sqlite").read_bytes()


def test_without_a_key_openai_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(MindError, match="Set OPENAI_API_KEY"):
        play("openai:m")


@pytest.mark.parametrize("name", ["openai:m", "openai:https://host.example/v1#m"])
def test_what_may_cost_money_is_not_taken_for_free(name: str) -> None:
    with pytest.raises(MindError, match="there is no price for 'm'"):
        play(name, budget_usd=1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("openai:https://host.example/v1", r"openai:MODEL or openai:https://HOST/v1#MODEL"),
        ("openai:#m", r"openai:https://HOST/v1#MODEL"),
        ("openai:https://host.example/v1#", r"openai:https://HOST/v1#MODEL"),
        ("openai:host.example/v1#m", "url"),
        ("openai:https://user:secret@host.example/v1#m", "url"),
        ("openai:sk-a-key-that-was-pasted-here", "looks like a key"),
        ("openai:", "openai:MODEL"),
    ],
)
def test_a_name_that_is_none_is_refused_and_no_secret_shown(name: str, said: str) -> None:
    with pytest.raises(MindError, match=said) as caught:
        live_mind(name)
    assert "secret" not in str(caught.value)
    assert "pasted" not in str(caught.value)
