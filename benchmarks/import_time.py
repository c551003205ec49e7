"""How long ``import mesa_llm_norms`` takes, against ``import mesa`` and beyond it.

``python -m benchmarks.import_time`` prints one JSON object::

    seconds        from nothing to mesa_llm_norms, the median over the repeats
    lowest         the quickest repeat
    highest        the slowest one
    reference      the same for mesa alone, measured between the repeats
    ratio          the median of seconds / reference, each pair measured one after the other
    heavy          of the libraries that are to be imported on use only, those that were not

Every repeat is a new process with warm file caches, compiled code as Python keeps it beside the
modules included; starting Python itself is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

HEAVY = (
    *("anthropic", "matplotlib", "numba", "openai", "rich", "scipy.optimize", "scipy.stats"),
    *("solara", "sqlite3", "typer"),
)

_CODE = """
import json, sys, time
start = time.perf_counter()
import {module}
taken = time.perf_counter() - start
print(json.dumps([taken, [name for name in {heavy!r} if name in sys.modules]]))
"""


def imported(module: str) -> tuple[float, list[str]]:
    """Return the seconds that a new process takes to import a module, and what it brings along."""
    code = _CODE.format(module=module, heavy=HEAVY)
    environment = {key: it for key, it in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    seconds, heavy = json.loads(found.stdout)
    return seconds, heavy


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.import_time", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--repeats", type=int, default=9, help="of either (default 9)")
    given = parser.parse_args(arguments)
    imported("mesa_llm_norms")
    pairs = [(imported("mesa_llm_norms"), imported("mesa")) for _ in range(given.repeats)]
    ours, theirs = ([pair[place][0] for pair in pairs] for place in (0, 1))
    by_mesa = set(pairs[0][1][1])
    line = {
        "seconds": round(statistics.median(ours), 3),
        "lowest": round(min(ours), 3),
        "highest": round(max(ours), 3),
        "reference": round(statistics.median(theirs), 3),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3),
        "heavy": [name for name in pairs[0][0][1] if name not in by_mesa],
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
