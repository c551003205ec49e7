"""Bad inputs of every kind, made from a number, and what each of them leads to.

``python tests/support/bad_input.py 20000`` tries so many and prints how many of each kind there
were, and whatever ended in anything but a result or one error of the package's own: a traceback,
more than five seconds, or a gigabyte. ``python tests/support/bad_input.py --only 1234`` tries one.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules, walk_packages
from typing import Any, NamedTuple
from urllib.parse import urlencode

import networkx as nx
from hostile import (
    NUMBERS,
    TEXTS,
    TOPOLOGIES,
    VALUES,
    a_graph_file,
    a_mind_file,
    a_price_file,
    a_sweep_file,
    a_template,
    damage_journal,
    garbled,
    garbled_bytes,
    garbled_json,
    minds_by_node,
    write,
)

SECONDS = 5
MEGABYTES = 1_000
BATCH = 500

Input = tuple[str, Callable[[], object]]
"""What is tried, in words, and a function that tries it."""


class TooSlowError(BaseException):
    """Five seconds are over."""


class Failure(NamedTuple):
    """An input that ended in something else than a result or an error of the package's own."""

    number: int
    kind: str
    what: str
    problem: str
    where: str


# Commands


def run_command(*arguments: str) -> None:
    """Run a command in this process; AssertionError unless it ends well or refuses on one line."""
    from mesa_llm_norms import cli

    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "replace") for _ in range(2))
    before = sys.argv, sys.stdout, sys.stderr
    sys.argv, sys.stdout, sys.stderr = ["mesa-llm-norms", *arguments], out, err
    status: Any = 0
    try:
        cli.main()
    except SystemExit as ended:
        status = ended.code or 0
    finally:
        sys.argv, sys.stdout, sys.stderr = before
        out.flush()
        err.flush()
    said = err.buffer.getvalue().decode()
    printed = out.buffer.getvalue().decode() + said
    assert status in (0, 2), f"status {status}: {said[-300:]}"
    assert "Traceback" not in said, said
    errors = [line for line in said.splitlines() if not line.startswith("note: ")]
    assert status == 0 or [line[:7] for line in errors] == ["error: "], (
        f"not one line: {said[:500]}"
    )
    assert len(said) < 20_000, f"{len(said):,} characters: {said[:100]}"
    assert printed.replace("\n", "").replace("\t", "").isprintable(), (
        f"not printable: {said[:300]!r}"
    )


SOURCES = ("recorded", "command", "python")


@cache
def a_run_folder(source: str) -> dict[str, bytes]:
    """Return the files of a run, played once: with a recorded mind, or live ones in two ways."""
    from mesa_llm_norms import LLMSettings, NamingGame
    from mesa_llm_norms.minds.registry import load_mind

    if source == "python":
        settings = LLMSettings(folder="live")
        model = NamingGame("ring(n=6)", "QM", load_mind("fuzz:m"), rng=1, llm=settings)
        model.run(rounds=2, until=None)
        model.close()
        folder = Path("live")
    else:
        mind = "uniform" if source == "recorded" else "fuzz:m"
        play = ["-t", "ring(n=6)", "--names", "QM", "--seed", "1", "--mind", mind, "--rounds", "3"]
        budget = ["--budget-calls", "999"] if mind != "uniform" else []
        run_command("run", *play, *budget, "--out", source)
        folder = Path(source)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".png"}


def a_damaged_folder(chance: random.Random) -> Path:
    """Return a run folder with something wrong in it: bytes, a row, a table, or the spec."""
    folder = Path("folder")
    folder.mkdir()
    source = chance.choice(SOURCES)
    for name, data in a_run_folder(source).items():
        if chance.random() > 0.05 and (source == "recorded" or not name.startswith("spec")):
            folder.joinpath(name).write_bytes(data)
    there = sorted(folder.iterdir()) or [folder / "spec.json"]
    damaged = chance.choice([path for path in there if path.suffix == ".sqlite"] * 5 + there)
    if damaged.suffix == ".sqlite" and damaged.exists() and chance.random() < 0.7:
        for _ in range(chance.randint(1, 3)):
            damage_journal(chance, damaged)
    elif damaged.suffix == ".json" and damaged.exists() and chance.random() < 0.7:
        damaged.write_text(
            garbled_json(chance, json.loads(damaged.read_text())), "utf-8", "replace"
        )
    elif damaged.exists():
        damaged.write_bytes(garbled_bytes(chance, damaged.read_bytes()))
    return folder


_GAME: dict[str, Any] = {
    "-t": lambda chance: chance.choice(
        [garbled(chance, chance.choice(TOPOLOGIES)), a_graph_file(chance)]
    ),
    "--names": "QM",
    "--mind": lambda chance: chance.choice(
        [
            garbled(chance, chance.choice(["uniform=0.5", "claude:x", "fuzz:m", "uniform"])),
            a_mind_file(chance),
        ]
    ),
    "--pairing": "node",
    "--memory": NUMBERS,
}
_CALLS: dict[str, Any] = {
    "--budget-usd": NUMBERS,
    "--budget-calls": NUMBERS,
    "--budget-tokens": NUMBERS,
    "--max-concurrency": NUMBERS,
    "--ask-again": NUMBERS,
    "--on-unusable": "skip",
    "--prices": a_price_file,
}
_LIVE: dict[str, Any] = {
    **_CALLS,
    "--template": a_template,
    "--temperature": NUMBERS,
    "--timeout": NUMBERS,
    "--max-tokens": NUMBERS,
    "--retries": NUMBERS,
    "--wait-at-most": NUMBERS,
}
_HOW: dict[str, Any] = {"--seed": NUMBERS, "--workers": [*NUMBERS[:9], "1e9"], "--out": "taken"}
_GOAL: dict[str, Any] = {"--rounds": NUMBERS, "--window": NUMBERS, "--threshold": NUMBERS}

COMMANDS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "run": (
        ["-t", "ring(n=6)", "--names", "QM", "--rounds", "2", "--no-files"],
        {
            **{**_GAME, **_LIVE, **_HOW, **_GOAL},
            "--runs": NUMBERS,
            "--until": "none",
            "--reward": NUMBERS,
            "--penalty": NUMBERS,
            "--incumbent": "Q",
            "--committed": "M=2:hubs",
            "--minds-by-node": minds_by_node,
        },
    ),
    "resume": ([], _CALLS),
    "sweep": (["--dry-run"], {"--runs": NUMBERS, "--workers": _HOW["--workers"], "--out": "taken"}),
    "minds": ([], {}),
    "topologies": ([], {"--seed": NUMBERS, "--draw": "x.gif"}),
    "fit": (["--out", "fitted"], {"--model": "x"}),
    "validate": (["--out", "found"], {"--runs": NUMBERS, "--seed": NUMBERS, "--mind": "uniform"}),
    "audit": (
        ["-t", "ring(n=4)", "--runs", "2", "--sizes", "none", "--rounds", "2", "--no-probes"],
        {
            **{**_GAME, **_LIVE, **_HOW, **_GOAL},
            "--size": NUMBERS,
            "--sizes": "2,4",
            "--size-runs": NUMBERS,
            "--level": NUMBERS,
            "--asks": NUMBERS,
            "--asks-after": NUMBERS,
        },
    ),
    "tip": (
        ["-t", "ring(n=4)", "--runs", "8", "--rounds", "2", "--after", "0", "--flip", "Q=M"],
        {
            **{**_GAME, **_LIVE, **_HOW},
            "--flip": "Q=M",
            "--placement": "hubs",
            "--size": NUMBERS,
            "--after": NUMBERS,
            "--most": NUMBERS,
            "--runs": NUMBERS,
        },
    ),
    "intervene": (
        ["-t", "ring(n=4)", "--runs", "2", "--rounds", "2", "--try", "committed=1", "M", "Q"],
        {
            **{**_GAME, **_LIVE, **_HOW},
            "--try": "committed=3:hubs,memory=2,rewired=20%,other=uniform:25%",
            "--runs": NUMBERS,
            "--enough": NUMBERS,
            "--agent-price": NUMBERS,
            "--edge-price": NUMBERS,
        },
    ),
    "reproduce": (
        ["--out", "taken"],
        {**_LIVE, "--seed": NUMBERS, "--runs": NUMBERS, "--mind": "uniform"},
    ),
    "classical": (["--out", "taken"], {"--seed": NUMBERS, "--workers": NUMBERS}),
    "app": (
        ["--port", "0", "--no-browser"],
        {
            **_GAME,
            "--committed": "M=2",
            "--seed": NUMBERS,
            "--port": NUMBERS,
            "--host": ["x", "", "999.1.1.1", "\x1b[2J", "\ud800", "::", "127.0.0.1"],
            "--budget-calls": NUMBERS,
            "--budget-usd": NUMBERS,
            "--scene": "hubs",
            "--scenes": "taken",
            "--replay": "taken",
            "--folder": "taken",
        },
    ),
}


def a_command(chance: random.Random) -> Input:
    """A command with one to three options that are wrong, or a name that is."""
    name = chance.choice([*COMMANDS, "run", "run"])
    usual, options = COMMANDS[name]
    typed = list(usual)
    if name == "resume":
        typed.append(str(a_damaged_folder(chance)))
    elif name == "sweep":
        typed.append(a_sweep_file(chance))
    elif name == "minds":
        names = ["claude:x", "llama:http://127.0.0.1:9/v1#m", "fuzz:m", "claude-3.5-sonnet"]
        typed.append(chance.choice([garbled(chance, chance.choice(names)), a_mind_file(chance)]))
    elif name == "topologies":
        typed.append(_GAME["-t"](chance))
    elif name in ("fit", "validate"):
        typed.append(chance.choice(["taken", "nowhere", "folder", garbled(chance, "taken")]))
    for option in chance.sample(list(options), min(len(options), chance.randint(1, 3))):
        value = options[option]
        if callable(value):
            text = value(chance)
        elif isinstance(value, str):
            text = garbled(chance, value)
        else:
            text = chance.choice(value)
        if (
            option in ("--runs", "--rounds", "--after", "--size-runs", "--asks")
            and text.isdecimal()
        ):
            text = text if len(text) < 2 or len(text) > 10 else "2"
        typed += [option, text]
    if chance.random() < 0.05:
        typed.insert(chance.randint(0, len(typed)), chance.choice(TEXTS))
    typed = [text.replace("\0", "\ufffd")[:100_000] for text in typed]
    return f"{name} {typed!r}", lambda: run_command(name, *typed)


# Python


def _changed(chance: random.Random, usual: Mapping[str, Any], may: list[str]) -> dict[str, Any]:
    """Return arguments with one to three hostile values among them."""
    names = chance.sample(may, chance.randint(1, min(3, len(may))))
    return {**usual, **{name: chance.choice(VALUES)() for name in names}}


def a_model(chance: random.Random) -> Input:
    """A model, or an ensemble, with arguments that are wrong."""
    from mesa_llm_norms import NamingGame, run_ensemble
    from mesa_llm_norms.simulation.spec import Spec

    game = [name for name in Spec.__dataclass_fields__ if name not in ("seed", "rules", "sees")]
    usual = {"graph": "ring(n=6)", "names": "QM", "mind": "uniform", "rng": 1}
    if chance.random() < 0.5:
        given = _changed(chance, usual, [*game, "rng", "run", "llm"])

        def try_it() -> None:
            NamingGame(**given).run(rounds=2, until=None)
    else:
        goal = ["rounds", "until", "window", "threshold", "runs", "workers", "engine", "llm"]
        given = _changed(chance, {**usual, "rounds": 2, "runs": 2}, [*game, "rng", *goal])

        def try_it() -> None:
            run_ensemble(**given)

    return f"NamingGame or run_ensemble {words(given)}", try_it


def a_play(chance: random.Random) -> Input:
    """What is asked of a model."""
    from mesa_llm_norms import NamingGame

    given = _changed(chance, {"rounds": 2}, ["rounds", "until", "window", "threshold", "engine"])
    return f"run {words(given)}", lambda: NamingGame("ring(n=6)", "QM", "uniform", rng=1).run(
        **given
    )


def settings_of_calls(chance: random.Random) -> Input:
    """Settings of calls, or options of a live mind, that are wrong."""
    from mesa_llm_norms import LLMSettings
    from mesa_llm_norms.llm.provider import live_mind

    if chance.random() < 0.6:
        given = _changed(chance, {}, [*LLMSettings.__dataclass_fields__])
        given.pop("folder", None)
        return f"LLMSettings {words(given)}", lambda: LLMSettings(**given)
    options = _changed(chance, {}, ["temperature", "timeout", "max_tokens"])
    name = chance.choice(["claude:x", "llama:http://127.0.0.1:9/v1#m"])
    return f"live_mind {name} {words(options)}", lambda: live_mind(name, **options)


def a_plan(chance: random.Random) -> Input:
    """A tipping search, an audit, a comparison of interventions or a sweep that is wrong."""
    from mesa_llm_norms.experiments.audits.runner import plan_audit
    from mesa_llm_norms.experiments.sweeps.grid import plan_sweep
    from mesa_llm_norms.experiments.tipping.conditions import plan_tipping
    from mesa_llm_norms.experiments.tipping.interventions import Intervention

    kind = chance.randrange(4)
    if kind == 0:
        may = [
            "names",
            "mind",
            "pairing",
            "memory",
            "directions",
            "placements",
            "sizes",
            "topologies",
        ]
        given = _changed(chance, {"rng": 1}, [*may, "rounds", "after", "most", "runs", "rng"])
        return f"plan_tipping {words(given)}", lambda: plan_tipping(**given)
    if kind == 1:
        may = [
            "mind",
            "names",
            "graph",
            "size",
            "pairing",
            "memory",
            "reward",
            "penalty",
            "rng",
            "runs",
        ]
        given = _changed(
            chance, {"rng": 1}, [*may, "sizes", "size_runs", "rounds", "window", "level"]
        )
        return f"plan_audit {words(given)}", lambda: plan_audit(**given)
    if kind == 2:
        may = ["committed", "placement", "memory", "rewired", "other", "other_share"]
        given = _changed(chance, {}, may)
        return f"Intervention {words(given)}", lambda: Intervention(**given).label
    may = [
        "graph",
        "names",
        "mind",
        "memory",
        "committed",
        "rounds",
        "until",
        "window",
        "incumbent",
    ]
    given = _changed(chance, {"graph": ["ring(n=6)"], "mind": ["uniform"]}, may)
    where = chance.choice(may)
    fixed = _changed(chance, {}, [name for name in may if name not in given])

    def try_it() -> None:
        for cell in itertools.islice(plan_sweep(given, fixed, 2, 1).cells(), 20):
            assert cell.agents

    return f"plan_sweep {words(given)} {words(fixed)} {where}", try_it


def a_file(chance: random.Random) -> Input:
    """A file that is damaged, read as what it should be."""
    from mesa_llm_norms import NamingGame, load_mind
    from mesa_llm_norms.experiments.sweeps.grid import read_plan
    from mesa_llm_norms.llm.budget import read_prices
    from mesa_llm_norms.llm.prompt import read_template
    from mesa_llm_norms.networks.reading import read_graph
    from mesa_llm_norms.web.scenes import scene

    kind = chance.choice(["mind", "mind", "mind", "prices", "template", "sweep", "scene", "graph"])
    if kind == "mind":
        path = a_mind_file(chance)

        def try_it() -> None:
            NamingGame("ring(n=4)", "QM", load_mind(path), rng=1).run(rounds=1, until=None)
    elif kind == "prices":
        path = a_price_file(chance)

        def try_it() -> None:
            read_prices(path)
    elif kind == "template":
        path = a_template(chance)

        def try_it() -> None:
            mind = load_mind("fuzz:m").provider.mind(read_template(path))  # type: ignore[attr-defined]
            NamingGame("ring(n=4)", "QM", mind, rng=1).step()
    elif kind == "sweep":
        path = a_sweep_file(chance)

        def try_it() -> None:
            for cell in itertools.islice(read_plan(path).cells(), 20):
                assert cell.agents
    elif kind == "scene":
        shipped = sorted(Path(scene.__file__).parent.glob("*.toml"))
        text = chance.choice(shipped).read_text("utf-8")
        for _ in range(chance.randint(1, 3)):
            line = chance.choice(text.splitlines())
            text = text.replace(line, garbled(chance, line), 1)
        path = str(write(chance, "scene.toml", text))

        def try_it() -> None:
            scene.read_scene(Path(path))
    else:
        path = a_graph_file(chance)

        def try_it() -> None:
            read_graph(path, random.Random(1))

    return f"{kind} {words(Path(path).read_bytes()[:300])}", try_it


def a_folder(chance: random.Random) -> Input:
    """A run folder that is damaged, looked at or resumed."""
    from mesa_llm_norms import LLMSettings, NamingGame
    from mesa_llm_norms.llm.journal.journal import Journal
    from mesa_llm_norms.web.replay import FolderSource, read_recorded_run

    folder = a_damaged_folder(chance)
    kind = chance.randrange(3)

    def try_it() -> None:
        if kind == 0:
            for _ in FolderSource(read_recorded_run(folder)).play():
                pass
        elif kind == 1:
            model = NamingGame.resume(folder, LLMSettings(wait=0, retries=0))
            try:
                model.run(rounds=3, until=None)
            finally:
                model.close()
        else:
            with Journal.read(folder / "journal.sqlite") as journal:
                assert journal.usage() is not None
                for number in range(5):
                    journal.attempts_of(0, number)

    return f"folder {kind} {sorted(path.name for path in folder.iterdir())}", try_it


def a_link(chance: random.Random) -> Input:
    """A link to the page, or a spec in JSON, that is wrong."""
    from mesa_llm_norms.simulation.serialization import from_json, to_json
    from mesa_llm_norms.simulation.spec import Spec
    from mesa_llm_norms.web.model_source import check_setting
    from mesa_llm_norms.web.setting import Setting

    if chance.random() < 0.3:
        usual = to_json(
            Spec(graph=nx.path_graph(4), names="QM", committed={"M": [0]}, mind="uniform")
        )
        text = garbled_json(chance, usual)

        def read() -> None:
            try:
                written = json.loads(text)
            except (ValueError, RecursionError):
                return
            spec = from_json(written, display_only=chance.random() < 0.5)
            spec.initial_state()

        return f"spec {text[:300]}", read
    fields: dict[str, Any] = {
        **{"topology": "ring(n=6)", "names": "QM", "mind": "uniform=0.5", "committed": "M=2:hubs"},
        **{"pairing": "node", "incumbent": "Q", "edit": "120:5=M"},
        **dict.fromkeys(["memory", "reward", "penalty", "seed", "rounds", "at"], NUMBERS),
    }
    pairs = [
        (key, garbled(chance, value) if isinstance(value, str) else chance.choice(value))
        for key, value in chance.sample(list(fields.items()), chance.randint(1, 4))
    ]
    query = urlencode(pairs * chance.choice([1, 1, 2, 999]), errors="replace")
    if chance.random() < 0.1:
        query = garbled(chance, query)
    return f"link {query[:300]}", lambda: check_setting(Setting.from_query(query))


KINDS: dict[str, tuple[int, Callable[[random.Random], Input]]] = {
    "commands": (8, a_command),
    "models and ensembles": (3, a_model),
    "play": (1, a_play),
    "settings of calls": (1, settings_of_calls),
    "plans of experiments": (2, a_plan),
    "files": (4, a_file),
    "run folders and journals": (2, a_folder),
    "links and specs": (3, a_link),
}
"""What is tried, how often in relation, and what makes it."""


def words(value: object) -> str:
    """Return a value in at most 300 characters."""
    try:
        return repr(value)[:300]
    except (ValueError, RecursionError):
        return "what cannot be written out"


# Trying them


def prepare() -> None:
    """Let nothing out, and have a provider at hand that answers without a server."""
    import mesa_llm_norms
    from mesa_llm_norms.core import compiled
    from mesa_llm_norms.minds.registry import register_provider
    from mesa_llm_norms.testing import FakeProvider

    def fuzz(address: str, **options: Any) -> FakeProvider:
        return FakeProvider(label=f"fuzz:{address}", parameters=options)

    def refuse(*_: object) -> None:
        raise ConnectionRefusedError("nothing is called")

    # No input is charged with compiling, with waiting for another that compiles, or with imports.
    for module in iter_modules(compiled.__path__):
        compiled.load(module.name)
    for module in walk_packages(mesa_llm_norms.__path__, "mesa_llm_norms."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    register_provider("fuzz", fuzz)
    socket.socket.connect = refuse  # type: ignore[method-assign]
    page: Any = sys.modules["mesa_llm_norms.cli.app"]
    page.serve = lambda listening, *_, **__: listening.socket.close()
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        del os.environ[name]
    os.environ["COLUMNS"] = "100"
    for source in SOURCES:
        a_run_folder(source)


@contextmanager
def within_seconds(seconds: float) -> Iterator[None]:
    """Raise ``TooSlowError`` in the block once it has computed so long, or waited for four times.

    Waiting includes that for a processor, which others may have.
    """

    def late(*_: object) -> None:
        raise TooSlowError

    timers = {signal.SIGPROF: signal.ITIMER_PROF, signal.SIGALRM: signal.ITIMER_REAL}
    before = {kind: signal.signal(kind, late) for kind in timers}
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
    signal.setitimer(signal.ITIMER_REAL, 4 * seconds, 1.0)
    try:
        yield
    finally:
        for kind, timer in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(kind, before[kind])


def attempt(seed: int, number: int) -> tuple[str, Failure | None]:
    """Try one input; return its kind, and what went wrong if anything did."""
    from mesa_llm_norms.errors import NormsError

    chance = random.Random(f"{seed} {number}")
    kinds = list(KINDS)
    (kind,) = chance.choices(kinds, [KINDS[it][0] for it in kinds])
    home, what, memory = Path.cwd(), "", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("taken").mkdir()
        Path("taken/here").touch()
        try:
            what, try_it = KINDS[kind][1](chance)
            with warnings.catch_warnings(), within_seconds(SECONDS):
                warnings.simplefilter("ignore")
                try_it()
        except NormsError as error:
            if len(str(error)) > 10_000:
                return kind, Failure(number, kind, what, f"{len(str(error)):,} characters", "")
        except (Exception, TooSlowError) as error:
            frames = traceback.extract_tb(error.__traceback__)
            ours = [it for it in frames if "/mesa_llm_norms/" in it.filename] or frames
            where = f"{ours[-1].filename.split('/mesa_llm_norms/')[-1]}:{ours[-1].lineno}"
            problem = f"{type(error).__name__}: {str(error)[:600]}"
            return kind, Failure(number, kind, what, problem, where)
        finally:
            os.chdir(home)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if grown > MEGABYTES * 1_024 and grown > memory:
        return kind, Failure(number, kind, what, f"{grown // 1_024:,} MB", "")
    return kind, None


def try_all(seed: int, numbers: Iterable[int]) -> tuple[Counter[str], list[Failure]]:
    """Try inputs in this process; return how many of each kind there were, and the failures."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path.cwd()
        os.chdir(folder)
        try:
            prepare()
        finally:
            os.chdir(home)
    tried, failures = Counter[str](), list[Failure]()
    for number in numbers:
        kind, failure = attempt(seed, number)
        tried[kind] += 1
        if failure is not None:
            failures.append(failure)
    return tried, failures


def try_batch(seed: int, numbers: Sequence[int]) -> tuple[Counter[str], list[Failure]]:
    """Try inputs in a process of their own, whose memory is limited."""
    command = [sys.executable, __file__, "--seed", str(seed), "--batch", *map(str, numbers)]
    limit = 6 * MEGABYTES * 2**20
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    try:
        tried, failures = json.loads(ended.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        problem = f"the process ended with {ended.returncode}: {ended.stderr[-800:]}"
        return Counter(), [Failure(numbers[0], "batch", str(numbers), problem, "")]
    return Counter(tried), [Failure(*failure) for failure in failures]


def main() -> None:
    """Try inputs as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("count", nargs="?", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--batch", type=int, nargs="+")
    given = parser.parse_args()
    if given.batch:
        print(json.dumps(try_all(given.seed, given.batch)))
        return
    tried, failures = Counter[str](), list[Failure]()
    if given.only is not None:
        tried, failures = try_all(given.seed, [given.only])
    else:
        batches = [
            range(start, min(given.count, start + BATCH))
            for start in range(given.start, given.count, BATCH)
        ]
        with ThreadPoolExecutor(given.jobs) as pool:
            for some, wrong in pool.map(partial(try_batch, given.seed), batches):
                tried += some
                failures += wrong
                print(
                    f"{sum(tried.values()):,} tried", *wrong, sep="\n", file=sys.stderr, flush=True
                )
    for kind, number in tried.items():
        print(f"{number:7,} {kind}")
    print(f"{sum(tried.values()):7,} in all, {len(failures):,} failures")
    for failure in failures:
        print(*failure, sep=" | ")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
