"""Minds and providers are found by name: those registered, and those of installed packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms import NamingGame, load_mind, mind_names
from mesa_llm_norms.errors import FileFormatError, MindError, NormsError
from mesa_llm_norms.llm.provider import LiveMind, live_mind
from mesa_llm_norms.minds import UniformMind, registry
from mesa_llm_norms.minds.registry import (
    DEFAULT_MIND,
    is_live,
    recorded_names,
    register_mind,
    register_provider,
)
from mesa_llm_norms.testing import FakeProvider

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registers."""
    registry._examples()  # so that what ships is registered
    monkeypatch.setattr(registry, "_minds", dict(registry._minds))
    monkeypatch.setattr(registry, "_providers", dict(registry._providers))


# By name


def test_minds_go_by_name_and_a_mind_is_itself() -> None:
    assert mind_names() == (*recorded_names(), "uniform", "classical")
    assert DEFAULT_MIND in recorded_names()
    for name in mind_names():
        assert load_mind(name).label == name
    mind = UniformMind()
    assert load_mind(mind) is mind


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(MindError, match=r"did you mean 'claude-3\.5-sonnet'"):
        load_mind("claude-sonnet-3.5")


@pytest.mark.parametrize("mind", ["", "?", "gpt", None, 3, b"uniform", [], UniformMind])
def test_what_is_no_mind_is_refused(mind: Any) -> None:
    with pytest.raises(MindError) as caught:
        load_mind(mind)
    assert caught.value.argument == "mind"


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    for path in (
        tmp_path / "none.json",
        str(tmp_path / "none.csv"),
        tmp_path,
        tmp_path / "a\0.json",
    ):
        with pytest.raises(FileFormatError):
            load_mind(path if isinstance(path, str) else Path(path))


# Registered by a running program


def test_a_registered_mind_is_loaded_and_listed_by_its_name() -> None:
    register_mind("mine", UniformMind)
    assert isinstance(load_mind("mine"), UniformMind)
    assert "mine" in mind_names()
    model = NamingGame("ring(n=6)", "QM", "mine", rng=1)
    model.step()
    assert model.interactions == 6


def test_a_registered_provider_makes_live_minds_with_address_and_options() -> None:
    def fake(address: str, *, temperature: float = 1.0) -> FakeProvider:
        return FakeProvider(label=f"fake:{address}", parameters={"temperature": temperature})

    register_provider("fake", fake, example="fake:ANYTHING")
    mind = load_mind("fake:a:b#c")
    assert isinstance(mind, LiveMind)
    assert mind.label == "fake:a:b#c"
    assert is_live("fake:x")
    assert live_mind("fake:x", temperature=0.5).provider.parameters == {"temperature": 0.5}
    with pytest.raises(MindError, match="timeout"):
        live_mind("fake:x", timeout=3)
    with pytest.raises(MindError, match="fake:ANYTHING"):
        live_mind("fake:")


def test_providers_that_ship_are_known_without_being_imported_before() -> None:
    code = (
        "import sys, mesa_llm_norms; names = 'mesa_llm_norms.llm.anthropic', 'anthropic', 'openai';"
        "before = [name in sys.modules for name in names];"
        "label = mesa_llm_norms.load_mind('claude:x').label;"
        "print(before, label, [name in sys.modules for name in names])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[False, False, False] claude:x [True, False, False]\n"


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("nobody", "claude:claude-haiku-5-5, llama:http"),
        ("nobody:there", "claude:claude-haiku-5-5, llama:http"),
        ("claude-3.5-sonet", "did you mean 'claude-3.5-sonnet'"),
        ("claude:", "is not the name of a live mind"),
        ("llama:http://127.0.0.1:1/v1", "is not the name of a live mind"),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_are_known(name: str, match: str) -> None:
    with pytest.raises(MindError, match=match):
        load_mind(name)


def test_an_address_that_could_hold_a_password_is_not_shown() -> None:
    with pytest.raises(MindError) as caught:
        live_mind("llama:http://me:secret@there")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "two words", "with:colon", "claude-3.5-sonnet", "uniform"])
def test_a_name_that_cannot_be_used_or_ships_is_refused(name: str) -> None:
    with pytest.raises(MindError, match=r"cannot be a name|ships"):
        register_mind(name, UniformMind)


def test_a_factory_that_makes_no_mind_is_reported() -> None:
    made: Any = "nothing"
    register_mind("mine", lambda: made)
    with pytest.raises(MindError, match=r"returned 'nothing', which is not a Mind"):
        load_mind("mine")


# Installed with a package

PACKAGE = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "tiny-minds"
version = "1"

[project.entry-points."mesa_llm_norms.minds"]
stubborn = "tiny_minds:Stubborn"
broken = "tiny_minds:Missing"

[project.entry-points."mesa_llm_norms.providers"]
tiny = "tiny_minds:TinyProvider"
""",
    "tiny_minds.py": '''
"""A mind and a provider, as another package has them."""

from mesa_llm_norms import Decision, Mind
from mesa_llm_norms.llm import Provider, Reply, Usage


class Stubborn(Mind):
    label = "stubborn"

    async def decide(self, situation):
        return Decision(situation.game.pool[0])


class TinyProvider(Provider):
    place = "here"
    max_tokens = 5
    free = True

    def __init__(self, model):
        self.model, self.label = model, f"tiny:{model}"

    @property
    def parameters(self):
        return {"model": self.model}

    async def ask(self, question):
        return Reply("M", Usage(1, 1), name="M")
''',
}

PLAY = """
import json, sys
from mesa_llm_norms import NamingGame, load_mind, mind_names
from mesa_llm_norms.errors import MindError

played = []
before = "tiny_minds" in sys.modules
for name in ("stubborn", "tiny:one"):
    model = NamingGame("ring(n=6)", "QM", name, rng=1)
    model.run(rounds=2, until=None)
    model.close()
    held = sorted(set(model.names_held.values()) - {None})
    played.append([name, held, load_mind(name).label])
errors = []
for name in ("broken", "nobody"):
    try:
        load_mind(name)
    except MindError as error:
        errors.append(str(error))
print(json.dumps([before, "stubborn" in mind_names(), played, errors]))
"""


def test_an_installed_package_adds_a_mind_and_a_provider(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name, text in PACKAGE.items():
        (source / name).write_text(text, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    options = ["--no-build-isolation", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*pip, *options, str(source)], check=True, capture_output=True, text=True)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", PLAY],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(target), str(ROOT)])},
    )
    assert ran.returncode == 0, ran.stderr
    before, listed, played, errors = json.loads(ran.stdout)
    assert (before, listed) == (False, True)
    assert played == [["stubborn", ["Q"], "stubborn"], ["tiny:one", ["M"], "tiny:one"]]
    assert "tiny-minds provides it, and tiny_minds:Missing cannot be imported" in errors[0]
    assert "stubborn" in errors[1]
    assert "tiny:MODEL" in errors[1]


PASSWORD = "Sw0rdfishSw0rdfish7"


@given(
    st.tuples(
        st.sampled_from(
            ["lama:", "llama:", "claude:", "Claude:", "", "llama", "openai:", " llama:"]
        ),
        st.sampled_from(["http://", "https://", "ftp://", "//", "http:/", "", "http:\\\\"]),
        st.sampled_from(["me:{}@", ":{}@", "me:{}/x@", "me:a{}?b@", "me:{}#x@", "sk-{}:@"]),
        st.sampled_from(["host", "127.0.0.1", "[::1]", "host:8000", "host:port", "[::1", "ho st"]),
        st.sampled_from(["/v1", "", f"/v1?key={PASSWORD}", "#", "/v1#frag"]),
        st.sampled_from(["#m", "", "#", "#a?b", ".json", ".csv", "=0.5", "\x1b[31m"]),
    )
)
def test_no_mistyped_mind_shows_its_password(parts: tuple[str, ...]) -> None:
    name = "".join(parts).format(PASSWORD)
    try:
        label = load_mind(name).label
    except NormsError as error:
        label = f"{error} {getattr(error, 'value', '')!r}"
    assert PASSWORD not in label


@pytest.mark.parametrize(
    "model",
    [
        "@cf/meta/llama-3.1-8b-instruct",
        "claude-3-5-sonnet@20240620",
        "llama3.1:8b",
        "a/b-7B_Q4.gguf",
    ],
)
def test_the_models_of_all_services_have_names(model: str) -> None:
    assert load_mind(f"llama:http://127.0.0.1:1/v1#{model}").label.endswith(model)
    assert load_mind(f"claude:{model}").label == f"claude:{model}"
