"""Where runs are played is chosen once, and does not change what comes back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.llm import LLMSettings
from mesa_llm_norms.llm.client import LLMClient
from mesa_llm_norms.simulation.backends import (
    BATCH_AGENTS,
    BATCH_RUNS,
    Backend,
    InProcess,
    InWorkers,
    Live,
    batch_size,
    choose_backend,
    open_client,
)
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.testing import FakeProvider


class Client:
    """Stands where a client does, and notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def stop(self) -> None:
        self.done.append("stop")

    def close(self) -> None:
        self.done.append("close")


def double(number: int, client: Any = None) -> tuple[int, bool]:
    return 2 * number, client is not None


def refuse(number: int, client: Any = None) -> int:  # noqa: ARG001
    if number == 3:
        raise SpecError("number", number, "it is refused", "Take another.")
    return number


def played(backend: Backend) -> list[Any]:
    with backend, closing(backend.play(double, ((number,) for number in range(20)))) as found:
        return [answer.result for answer in sorted(found)]


@pytest.mark.parametrize(
    ("options", "kind", "elsewhere"),
    [
        ({}, InProcess, False),
        ({"workers": 2}, InWorkers, True),
        ({"client": Client()}, Live, False),
        ({"client": Client(), "workers": 2}, Live, False),
    ],
)
def test_the_backend_follows_from_client_and_workers(
    options: dict[str, Any], kind: type[Backend], elsewhere: bool
) -> None:
    backend = choose_backend(**options)
    assert type(backend) is kind
    assert backend.elsewhere == elsewhere


def test_every_backend_gives_every_result_and_live_minds_get_the_client() -> None:
    expected = [(2 * number, False) for number in range(20)]
    assert played(choose_backend()) == expected
    with ThreadPoolExecutor(3) as threads:
        assert played(choose_backend(executor=threads)) == expected
    client = Client()
    live = played(choose_backend(cast(LLMClient, client)))
    assert live == [(number, True) for number, _ in expected]
    assert client.done == ["close"]


def test_a_run_that_fails_stops_the_calls_of_the_others() -> None:
    client = Client()
    with pytest.raises(SpecError, match="it is refused"), Live(cast(LLMClient, client)) as backend:
        list(backend.play(refuse, ((number,) for number in range(8))))
    assert client.done == ["stop", "close"]


def test_worker_processes_get_runs_in_batches() -> None:
    sizes = [len(part) for part in choose_backend(workers=2).parts(range(1_000), 24)]
    assert sizes == [batch_size(1_000, 24, 2)] * 8 == [125] * 8
    assert batch_size(10_000, 24, 2) == BATCH_RUNS
    assert batch_size(8, 24, 2) == 1
    assert batch_size(1_000, BATCH_AGENTS, 1) == 1


def test_only_specs_with_live_minds_open_a_client(tmp_path: Path) -> None:
    offline = Spec(graph="ring(n=4)", names="QM", mind="uniform", seed=1)
    llm = LLMSettings(folder=tmp_path / "run")
    assert open_client(offline, llm, {}, engine="kernel") is None
    assert not (tmp_path / "run").exists()
    live = Spec(graph="ring(n=4)", names="QM", mind=FakeProvider().mind(), seed=1)
    client = open_client(live, llm, {"runs": 3})
    assert client is not None
    with closing(client):
        assert client.journal.spec["runs"] == 3
        assert client.journal.spec["spec"]


@pytest.mark.parametrize("given", [{"engine": "kernel"}, {"executor": ThreadPoolExecutor(1)}])
def test_live_minds_are_played_neither_compiled_nor_elsewhere(given: dict[str, Any]) -> None:
    live = Spec(graph="ring(n=4)", names="QM", mind=FakeProvider().mind(), seed=1)
    with pytest.raises(SpecError, match="from this process, in plain Python"):
        open_client(live, None, {}, **given)


def test_runs_in_this_process_come_in_parts_that_are_all_of_them() -> None:
    for agents in (2, 24, 10**6):
        parts = list(choose_backend().parts(range(3, 5_000), agents))
        assert [run for part in parts for run in part] == list(range(3, 5_000))
        assert len(parts[0]) == 1
        assert all(len(part) * agents <= BATCH_AGENTS or len(part) == 1 for part in parts)
