"""Models in this process: a tiny one with random weights, and smollm2 in ``make test-llama``."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from chances import assert_frequencies
from hypothesis import example, given, settings
from hypothesis import strategies as st
from llama import needs_smollm2
from tiny_model import model, packed

from mesa_llm_norms import load_mind, run_ensemble
from mesa_llm_norms.core.event_loop import wait_for
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.chat_completions import Capabilities
from mesa_llm_norms.llm.local import LocalProvider
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import LiveMind, Question, Reply
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.llm.weights import sha256_of
from mesa_llm_norms.minds.registry import is_live, load_provider
from mesa_llm_norms.simulation.ensemble import Ensemble

POOL = ("Q", "M")
RULES = "Two players name a letter at the same time. Equal names score 100, others cost 50."
PROMPT = Prompt(RULES, "You may say Q or M. What do you say?")
PROMPTS = [Prompt(RULES, f"{PROMPT.user} You said {name} last time.") for name in "QMABC"]

Result = TypeVar("Result")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "tiny.gguf"
    path.write_bytes(model())
    return str(path)


def with_model(
    file: str, use: Callable[[LocalProvider], Awaitable[Result]], **options: Any
) -> Result:
    async def main() -> Result:
        provider = LocalProvider(file, **options)
        await provider.prepare()
        return await use(provider)

    return wait_for(main())


def ask(file: str, *questions: Question, **options: Any) -> list[Reply]:
    async def use(provider: LocalProvider) -> list[Reply]:
        return list(await asyncio.gather(*map(provider.ask, questions)))

    return with_model(file, use, **options)


def played(mind: str, concurrency: int, nodes: int = 4, rounds: int = 2) -> Ensemble:
    return run_ensemble(
        f"ring(n={nodes})",
        "QM",
        mind,
        memory=1,
        rng=3,
        runs=1,
        rounds=rounds,
        llm=LLMSettings(max_concurrency=concurrency),
        keep_interactions=True,
    )


def rows(mind: str, concurrency: int, nodes: int = 4, rounds: int = 2) -> str:
    interactions = played(mind, concurrency, nodes, rounds).interactions
    assert interactions is not None
    assert len(interactions) == nodes * rounds
    return interactions.to_csv()


def test_smollm2_is_a_live_mind_with_a_short_label() -> None:
    mind = load_mind("smollm2")
    assert isinstance(mind, LiveMind)
    assert mind.label == "smollm2"
    assert mind.provider.free
    assert is_live("smollm2")
    assert load_provider("local:smollm2").label == "smollm2"


def test_options_make_an_equal_provider() -> None:
    provider = LocalProvider("some.gguf", temperature=1.5, max_tokens=7, threads=2)
    again = load_provider(provider.label, **provider.options)
    assert again.label == provider.label == "local:some.gguf"
    assert again.options == provider.options
    assert again.parameters == provider.parameters


@pytest.mark.parametrize(
    "options", [{"threads": 0}, {"threads": "two"}, {"temperature": -1}, {"max_tokens": 0}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(MindError):
        LocalProvider("smollm2", **options)


def test_a_reply_is_a_distribution_from_one_call(tiny: str) -> None:
    first, second = ask(tiny, Question(PROMPT, POOL, 0)), ask(tiny, Question(PROMPT, POOL, 9))
    for reply in (*first, *second):
        assert reply.distribution is not None
        assert sum(reply.distribution) == pytest.approx(1)
        assert reply.model == "tiny"
    assert first[0].distribution == second[0].distribution


def test_what_was_computed_before_is_counted_as_cached(tiny: str) -> None:
    replies = ask(tiny, *(Question(prompt, POOL, 0) for prompt in PROMPTS))
    cached = sum(reply.usage.cached_tokens for reply in replies)
    assert 0 < cached < sum(reply.usage.input_tokens for reply in replies)


@pytest.mark.parametrize("pool", [POOL, ("Apple", "Banana"), tuple("ABCDEFGHIJ")])
def test_the_distribution_is_that_of_sampled_replies(tiny: str, pool: tuple[str, ...]) -> None:
    async def use(provider: LocalProvider) -> tuple[Reply, list[str | None]]:
        reply = await provider.ask(Question(PROMPT, pool, 0))
        provider.capabilities = Capabilities("grammar", "none")
        questions = [Question(PROMPT, pool, seed) for seed in range(300)]
        return reply, [it.name for it in await asyncio.gather(*map(provider.ask, questions))]

    reply, names = with_model(tiny, use, temperature=1.0)
    assert reply.distribution is not None
    assert_frequencies([names.count(name) for name in pool], reply.distribution)


@settings(max_examples=10, deadline=None)
@given(order=st.lists(st.integers(0, 4), min_size=1, max_size=6), together=st.booleans())
def test_a_distribution_is_the_same_whatever_was_asked_before_or_at_the_same_time(
    tiny: str, order: Sequence[int], together: bool
) -> None:
    known = ask(tiny, *(Question(prompt, POOL, 0) for prompt in PROMPTS))
    questions = [Question(PROMPTS[place], POOL, 0) for place in order]
    if together:
        found = ask(tiny, *questions)
    else:
        found = [ask(tiny, question)[0] for question in questions]
    assert [it.distribution for it in found] == [known[place].distribution for place in order]


def test_rows_are_the_same_at_any_concurrency(tiny: str) -> None:
    expected = rows(f"local:{tiny}", 1)
    assert rows(f"local:{tiny}", 2) == rows(f"local:{tiny}", 8) == expected


def test_names_that_share_a_first_token_are_sampled_by_the_seed(tiny: str) -> None:
    pool = ("north", "never")
    questions = [Question(PROMPT, pool, seed) for seed in range(30)]
    found = [[it.name for it in ask(tiny, *questions, temperature=3.0)] for _ in range(2)]
    assert found[0] == found[1]
    assert set(found[0]) == set(pool)


def test_a_prompt_longer_than_the_context_is_refused(tiny: str) -> None:
    with pytest.raises(CallError, match="context") as caught:
        ask(tiny, Question(Prompt("", "x" * 20_000), POOL, 0))
    assert caught.value.kind == "refused"


def test_two_minds_of_one_file_share_a_model(tiny: str) -> None:
    async def use(provider: LocalProvider) -> Any:
        return provider._model

    assert with_model(tiny, use) is with_model(tiny, use, temperature=2.0)


def run_with(file: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with the path of a model as the last argument."""
    return subprocess.run(
        [sys.executable, *arguments, file], capture_output=True, text=True, timeout=120
    )


def test_nobody_else_can_reach_the_model(tiny: str) -> None:
    """Its thread listens at a socket whose folder is gone, and at no port."""
    script = (
        "import asyncio, os, sys; from mesa_llm_norms.llm.local import LocalProvider\n"
        "asyncio.run(LocalProvider(sys.argv[1]).prepare())\n"
        "import psutil; print([c.laddr for c in psutil.Process().net_connections('inet')])\n"
        "print([c.laddr for c in psutil.Process().net_connections('unix') if c.laddr])"
    )
    done = run_with(tiny, "-c", script)
    ports, sockets = map(eval, done.stdout.splitlines())  # lists of our own
    assert (done.returncode, ports) == (0, [])
    for path in sockets:
        with pytest.raises(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)


def test_a_process_that_ends_during_an_answer_ends_cleanly(tiny: str) -> None:
    script = (
        "import asyncio, sys; from mesa_llm_norms.llm.local import LocalProvider\n"
        "from mesa_llm_norms.core.event_loop import start, wait_for\n"
        "provider = LocalProvider(sys.argv[1]); wait_for(provider.prepare())\n"
        "words = [{'role': 'user', 'content': 'x' * 500}]\n"
        "provider._model.ask({'messages': words, 'max_tokens': 60}); print('asked')"
    )
    done = run_with(tiny, "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "asked\n", "")


def test_a_model_that_is_closed_as_soon_as_it_is_loaded_is_freed(tiny: str) -> None:
    script = (
        "import sys; from pathlib import Path; from mesa_llm_norms.llm.local import LocalModel\n"
        "for _ in range(20):\n"
        "    model = LocalModel(Path(sys.argv[1]), 1)\n"
        "    print(model.load().result(), end=''); model.close()"
    )
    done = run_with(tiny, "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_says_that_it_has_no_model(tiny: str) -> None:
    script = (
        "import os, sys; from mesa_llm_norms.llm.local import LocalProvider\n"
        "from mesa_llm_norms.core.event_loop import wait_for\n"
        "from mesa_llm_norms.errors import MindError\n"
        "def load(): wait_for(LocalProvider(sys.argv[1]).prepare())\n"
        "load()\n"
        "if os.fork():\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "try: load()\n"
        "except MindError as error: print(error, flush=True)\n"
        "os._exit(0)"
    )
    done = run_with(tiny, "-W", "ignore::DeprecationWarning", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    assert "spawn" in done.stdout


def _encoder() -> bytes:
    whole = bytearray(model())
    key = packed("llama.pooling_type", typed=False) + packed(2)
    whole[16:24] = (int.from_bytes(whole[16:24], "little") + 1).to_bytes(8, "little")
    return bytes(whole[:24]) + key + bytes(whole[24:])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(None, "cannot be read", id="nothing there"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"once upon a time\n" * 100, "is not a GGUF file", id="text"),
        pytest.param(model()[:40_000], "cannot be loaded", id="cut off"),
        pytest.param(model()[:2_000] + bytes(3_000), "cannot be loaded", id="zeros"),
        pytest.param(_encoder(), "turns texts into vectors", id="an embedding model"),
    ],
)
def test_a_file_that_is_no_model_is_one_clear_error(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "some.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MindError, match=problem) as caught:
        ask(str(path), Question(PROMPT, POOL, 0))
    assert "some.gguf" in str(caught.value)
    assert caught.value.remedy


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(MindError, match="cannot be read"):
        ask(str(tmp_path), Question(PROMPT, POOL, 0))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "some.gguf"
    path.write_bytes(model())
    path.chmod(0)
    with pytest.raises(MindError, match="Permission denied"):
        ask(str(path), Question(PROMPT, POOL, 0))


def damaged(flips: list[tuple[int, int]]) -> bytes:
    content = bytearray(model())
    for place, byte in flips:
        content[place] = byte
    return bytes(content)


@pytest.fixture(scope="module")
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Have no weights known yet, and leave no trace of damaged ones in the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mesa_llm_norms.llm.local.cache_folder", lambda: folder)
        yield folder


ABORTS = [(1077, 0)]
"""Damage for which llama.cpp ends the process that loads the file."""


@pytest.mark.slow
@pytest.mark.usefixtures("empty_cache")
@settings(max_examples=15, deadline=None)
@example([(151, 0)])  # which ends it with the first answer
@example([(910, 128)])  # which is an exception in every answer
@given(st.lists(st.tuples(st.integers(4, 12_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_never_ends_the_process(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "some.gguf"
    path.write_bytes(damaged(flips))
    try:
        ask(str(path), Question(PROMPT, POOL, 0))
    except (MindError, CallError):
        return


def test_weights_of_unknown_origin_are_tried_once_in_a_process_of_their_own(
    tmp_path: Path, empty_cache: Path
) -> None:
    path = tmp_path / "some.gguf"
    path.write_bytes(damaged(ABORTS))
    with pytest.raises(MindError, match=r"ended the process that tried it.*GGML_ASSERT"):
        ask(str(path), Question(PROMPT, POOL, 0))
    tried = set(empty_cache.rglob("*"))
    path.write_bytes(model())
    assert ask(str(path), Question(PROMPT, POOL, 0))[0].distribution is not None
    (marker,) = (it for it in set(empty_cache.rglob("*")) - tried if it.is_file())
    assert marker.name.startswith(sha256_of(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("subprocess.Popen", None)
        assert ask(str(path), Question(PROMPT, POOL, 0), threads=2)[0].distribution is not None


def test_a_missing_package_is_one_clear_error(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MindError, match=r'pip install "mesa-llm-norms\[local\]"'):
        ask(tiny, Question(PROMPT, POOL, 0))


def test_missing_weights_are_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MindError, match="mesa-llm-norms minds get smollm2"):
        ask("smollm2", Question(PROMPT, POOL, 0))


@pytest.mark.llama
@needs_smollm2
def test_smollm2_plays_the_same_rows_at_any_concurrency_and_in_another_process() -> None:
    expected = rows("smollm2", 1, 8, 4)
    assert rows("smollm2", 2, 8, 4) == rows("smollm2", 8, 8, 4) == expected
    script = "from test_local import rows; print(end=rows('smollm2', 4, 8, 4))"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, "PYTHONPATH": path},
        check=True,
    )
    assert done.stdout == expected


@pytest.mark.llama
@needs_smollm2
def test_smollm2_takes_most_of_its_prompts_from_the_cache() -> None:
    usage = played("smollm2", 8, 8).usage
    assert usage is not None
    assert usage.cost == 0
    assert usage.cached_tokens > usage.input_tokens / 2


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_ctrl_c_ends_a_run_at_once_and_it_can_be_resumed(tiny: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "mesa_llm_norms"]
    options = [
        "--names",
        "ABC",
        "--memory",
        "2",
        "--topology",
        "ring(n=12)",
        "--rounds",
        "2",
        "--seed",
        "1",
    ]
    options += ["--mind", f"local:{tiny}", "--out", str(folder)]
    process = subprocess.Popen([*command, "run", *options], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not (folder / "journal.sqlite").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    done = subprocess.run(
        [*command, "resume", str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "12 agents" in done.stdout
