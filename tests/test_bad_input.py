"""Whatever is given to the package ends in a result or in one error of its own, and soon.

The short form tries some hundred inputs in this process; ``pytest -m slow tests/test_bad_input.py``
tries thousands, in processes whose memory is watched. ``support/bad_input.py`` makes them, and as a
program tries any number: ``python tests/support/bad_input.py 20000 --jobs 2``.
"""

from __future__ import annotations

import pytest
from bad_input import BATCH, KINDS, Failure, try_batch

COUNT = 3_000


def told(failures: list[Failure]) -> str:
    """Return the failures, and how to see one again."""
    again = "python tests/support/bad_input.py --seed 1 --only {0.number}: {0.what}\n  {0.problem}"
    return "\n".join(map(again.format, failures))


def test_no_bad_input_ends_in_a_traceback_a_wait_or_a_flood() -> None:
    tried, failures = try_batch(1, range(300))
    assert set(tried) == set(KINDS)
    assert not failures, told(failures)


@pytest.mark.slow
def test_none_of_very_many_bad_inputs_does() -> None:
    failures = [
        failure
        for start in range(0, COUNT, BATCH)
        for failure in try_batch(1, range(start, start + BATCH))[1]
    ]
    assert not failures, told(failures)


FOUND = [138, 985, 1696, 1965, 2130, 2692, 3068, 4079, 6381, 6995, 7242, 7699, 7765, 8487]
FOUND += [11914, 12927, 16355, 16585]
"""Those of seed 1 that failed once: what has no end, too many digits, long names, arrays."""


def test_what_once_failed_fails_no_more() -> None:
    _, failures = try_batch(1, FOUND)
    assert not failures, told(failures)
