"""What the tests of the study share."""

from __future__ import annotations

import pytest
from recordings import known, record

from mesa_llm_norms.study.recordings import Recordings, read_recordings


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Return 40 runs of the known mind, as read from a file."""
    return read_recordings(record(known(), tmp_path_factory.mktemp("made-up"), runs=40))
