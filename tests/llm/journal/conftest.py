"""A journal that is open, and the file of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from journals import SPEC

from mesa_llm_norms.llm.journal.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.create(path, SPEC) as journal:
        yield journal
