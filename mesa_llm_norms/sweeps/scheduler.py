"""A Dask cluster as an executor, by the address of its scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib import import_module

from mesa_llm_norms.errors import SpecError

PATIENCE = 10
"""Seconds in which a scheduler has to answer."""


@contextmanager
def connected(address: str) -> Iterator[Executor]:
    """Give an executor that has calls made by the workers of a Dask cluster.

    Calls of a worker that is lost are made by another. Raises ``SpecError`` where Dask is not
    installed or no scheduler answers.
    """
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise SpecError(
            "scheduler",
            address,
            "Dask is not installed",
            'Run pip install "mesa-llm-norms[dask]".',
        ) from error
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SpecError(
            "scheduler",
            address,
            f"no scheduler answers at {address}",
            "Start one with dask scheduler, and give the tcp:// address that it prints.",
        ) from error
    try:
        yield client.get_executor()
    finally:
        client.close()
