"""Policy tables that others published, read as measured tables: those of Flint et al.

Each of their files is a pickle of a dictionary (``core.pickles`` reads it). A key is a memory in
digits, own choice then partner's, oldest first; a value the probability of the first word, averaged
over both orders in which the words can be shown. The file does not hold the words.

References
----------
A. F. Flint, L. M. Aiello, R. Pastor-Satorras and A. Baronchelli, "Group size effects and collective
misalignment in LLM multi-agent systems", arXiv 2510.22422 (2025).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import read_bytes
from mesa_llm_norms.core.game import Memory, Remembered, read_pool
from mesa_llm_norms.core.pickles import read_pickle
from mesa_llm_norms.errors import FileFormatError, PoolError, shown
from mesa_llm_norms.minds.policies import TableMind

SOURCE = (
    "Flint, Aiello, Pastor-Satorras and Baronchelli, Group size effects and collective "
    "misalignment in LLM multi-agent systems, arXiv 2510.22422 (2025)"
)

ROUNDED = 1e-6
"""How far a probability may be outside 0 to 1, because it is a sum of rounded ones."""

_NAME = re.compile(
    r"Q_dict_(?P<model>[^\s/]{1,100})_ID_(?P<pair>\w{1,20})_(?P<penalty>-?\d{1,9}(?:\.\d{1,9})?)_"
    r"(?P<reward>-?\d{1,9}(?:\.\d{1,9})?)_(?P<temperature>\d{1,3}(?:\.\d{1,9})?)tmp(?:_.*)?",
    re.ASCII,
)
_REMEDY = "Give a policy table as the authors of arXiv 2510.22422 publish it (Q_dict_....pkl)."


def read_policy_table(path: str | Path, names: Sequence[str]) -> TableMind:
    """Return a published policy table as a mind; nothing in the file is ever run.

    Parameters
    ----------
    path : str or pathlib.Path
        The file, ``Q_dict_MODEL_ID_PAIR_PENALTY_REWARD_TEMPERATUREtmp_....pkl``. Under another name
        it is read too, without what that name says.
    names : sequence of str
        The two words, that of digit 0 first.

    Returns
    -------
    TableMind
        The table, called ``MODEL FIRST/SECOND``. Its ``provenance`` says where it is from: the
        source, the file and its SHA-256, what the digits stand for, how many memories there are by
        length, that orders are averaged, and from the file's name the model, the pair, payoffs and
        temperature.

    Raises
    ------
    FileFormatError
        For anything but such a file.
    PoolError
        Unless there are two names.
    """
    path = Path(path)
    pool = read_pool(list(names))
    if len(pool) != 2:
        problem = f"{shown(list(names))} are not two names"
        raise PoolError("names", names, problem, "Give the words of the digits 0 and 1.")
    data = read_bytes(path, limits.POLICY_TABLE.high, _REMEDY)
    table = _table(path, read_pickle(path, data, _REMEDY, numbers=True), pool)
    named = about_file(path)
    lengths = Counter(map(len, table))
    provenance = {
        "source": SOURCE,
        "licence": "none is stated: ask the authors before you share this file",
        "file": path.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        **named,
        "digits": {"0": pool[0], "1": pool[1]},
        "order_of_names": "averaged over both orders",
        "memories": {str(length): lengths[length] for length in sorted(lengths)},
    }
    label = f"{named.get('model', path.stem)} {'/'.join(pool)}"
    return TableMind(label, pool, table, provenance)


def about_file(path: Path) -> dict[str, Any]:
    """Return what the name of a published file says; nothing if it is called otherwise."""
    found = _NAME.fullmatch(path.name.split(".pkl", 1)[0])
    if found is None:
        return {}
    return {
        "model": found["model"],
        "pair": found["pair"],
        "penalty": float(found["penalty"]),
        "reward": float(found["reward"]),
        "temperature": float(found["temperature"]),
    }


def _table(path: Path, content: Any, pool: tuple[str, ...]) -> dict[Memory, Sequence[float]]:
    if not isinstance(content, dict) or not content:
        raise FileFormatError(path, "it does not hold a table", _REMEDY)
    table: dict[Memory, Sequence[float]] = {}
    for key, value in content.items():
        if not isinstance(key, str) or len(key) % 2 or set(key) - {"0", "1"}:
            problem = f"the key {shown(key)} is not a memory in digits"
            raise FileFormatError(path, problem, "Keys are pairs of the digits 0 and 1.")
        if len(key) // 2 > limits.MEMORY.high:
            problem = f"the memory {shown(key)} is longer than {limits.MEMORY.high:,} interactions"
            raise FileFormatError(path, problem, _REMEDY)
        if not isinstance(value, float) or not -ROUNDED <= value <= 1 + ROUNDED:
            problem = f"the value of {shown(key)} is {shown(value)}, not a probability"
            raise FileFormatError(path, problem, "Values are from 0 to 1.")
        first = min(max(value, 0.0), 1.0)
        names = [pool[int(digit)] for digit in key]
        memory = tuple(map(Remembered, names[::2], names[1::2]))
        table[memory] = (first, 1 - first)
    if () not in table:
        problem = "it has no value for the empty memory"
        raise FileFormatError(path, problem, "Every run starts there.")
    return table
