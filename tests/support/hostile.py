"""Hostile values, texts and files, drawn by a random generator."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import sqlite3
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

# Values

TEXTS = [
    *("", " ", "\n", "x", "nan", "inf", "-inf", "1e999", "-1", "0", "-0", "1.5", "1e400", "0x10"),
    *("1_0", "\u0661\u0662", "1,5", "+3", "3%", "None", "true", "null", "[]", "{}", "[[", "=", "%"),
    *("M=", "=5", "M=-1", "M=5=5", "M=[", "M=5:", "M=999%", "M=[[0]]", "QM", "yes,no", ",", ",,,"),
    *(
        "9" * 400,
        "-" + "9" * 400,
        "9" * 5_000,
        "x" * 100_000,
        "(" * 5_000,
        "[" * 5_000,
        "M=[" * 999,
    ),
    *(
        "\x1b[2J\x1b]0;x\x07",
        "\x9b31m",
        "\u202e",
        "\ud800",
        "\udcff",
        "\x00",
        "\u200b",
        "e\u0301" * 99,
    ),
    *(
        "../../etc/passwd",
        "/dev/zero",
        "/dev/null",
        "/",
        ".",
        "..",
        "~",
        "nowhere.json",
        "a\\b",
        "--",
    ),
    *(
        "%s%n%d",
        "{size}",
        "{0}",
        "$(id)",
        "<script>",
        "'",
        '"',
        "'; DROP TABLE calls; --",
        "\U0001f642",
    ),
]
NUMBERS = [
    *("", " ", "x", "nan", "inf", "-inf", "1e999", "-1e999", "-1", "0", "-0.0", "1.5", "0x10"),
    *(
        "9" * 400,
        "-" + "9" * 400,
        "9" * 5_000,
        "1e400",
        "1_0",
        "\u0661",
        "1,5",
        "+3",
        "3%",
        "1e-400",
    ),
    *("None", "true", "\x1b[2J", "\ud800", "-1e-9", "2", "1e19", "18446744073709551616", "1" * 30),
]
VALUES: list[Callable[[], Any]] = [
    *(partial(lambda value: value, it) for it in (None, True, False, -1, 0, 1.5, 3, "", "x", b"x")),
    *(partial(lambda value: value, it) for it in (math.nan, math.inf, -math.inf, 1e308, -0.0, 1j)),
    *(partial(lambda value: value, it) for it in (10**400, -(10**400), 10**5_000, 2**63, 2**64)),
    *(partial(lambda value: value, it) for it in TEXTS),
    *(list, dict, set, object, lambda: print, lambda: [[]], lambda: [None], lambda: {"M": -1}),
    *(
        lambda: {"M": math.nan},
        lambda: {"M": 10**5_000},
        lambda: {"M": [10**5_000]},
        lambda: {1: 2},
    ),
    *(
        lambda: {"M": (5, "hub")},
        lambda: {"M": ("hubs", 5)},
        lambda: {"M": None},
        lambda: {"M": {}},
    ),
    *(lambda: {"M": range(10**9)}, lambda: {"M": itertools.count()}, lambda: {"x": 0.5}, nx.Graph),
    *(lambda: range(10**9), itertools.count, lambda: "x" * 10**6, lambda: ["x"] * 10**5),
    *(
        lambda: np.array([]),
        lambda: np.int64(-5),
        lambda: np.float64("nan"),
        lambda: np.zeros((2, 2)),
    ),
    *(
        lambda: np.datetime64("NaT"),
        lambda: np.str_("x"),
        lambda: Decimal("NaN"),
        lambda: Fraction(1, 3),
    ),
    *(lambda: Path("/dev/zero"), lambda: Path("nowhere.json"), lambda: Path(), lambda: Exception),
    *(lambda: ("uniform", "uniform"), lambda: {"uniform": -1}, lambda: {"uniform": math.inf}),
    *(
        lambda: {"uniform": 10**400},
        lambda: {0: "uniform"},
        lambda: nested(2_000),
        lambda: {"": ""},
    ),
]


def nested(depth: int) -> list[Any]:
    """Return a list within a list, and so on."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def garbled(chance: random.Random, text: str) -> str:
    """Return a text with a few things changed, or another one altogether."""
    if chance.random() < 0.3:
        return chance.choice(TEXTS)
    for _ in range(chance.randint(1, 3)):
        start = chance.randint(0, len(text))
        end = min(len(text), start + chance.choice([0, 1, 1, 2, 5]))
        put = chance.choice(
            ["", *TEXTS[:40], text[start:end] * 3, chr(chance.randint(1, 0x2FF)), "9"]
        )
        text = text[:start] + put + text[end:]
    return text


def garbled_bytes(chance: random.Random, data: bytes) -> bytes:
    """Return the contents of a file damaged: cut, overwritten, doubled, or something else."""
    kind = chance.randrange(6)
    place = chance.randint(0, len(data))
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data[:place] + chance.randbytes(chance.randint(1, 40)) + data[place + 8 :]
    if kind == 2:
        return data + data
    if kind == 3:
        return chance.choice(
            [b"", b"\0" * 1_000, b"\xff\xfe", b"\xef\xbb\xbf", b"{" * 9_000, b"[" * 99_999]
        )
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if damaged:
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    return bytes(damaged)


def garbled_json(chance: random.Random, content: Any) -> str:
    """Return JSON in which some values or keys are others; at times the text is damaged too."""
    strange: list[Any] = [
        *(None, True, -1, 0, 1.5, 10**400, 1e308, math.nan, math.inf, "", [], {}, [[]], {"": 0}),
        *("x", "9" * 5_000, "\x1b[2J", "\ud800", "x" * 10_000, [None] * 99, nested(100), {"x": {}}),
    ]

    def change(value: Any, odds: float) -> Any:
        if chance.random() < odds:
            return chance.choice(strange)
        if isinstance(value, Mapping):
            kept = {k: change(v, odds) for k, v in value.items() if chance.random() > odds / 2}
            return kept | ({chance.choice(TEXTS): 1} if chance.random() < odds else {})
        if isinstance(value, list):
            items = [change(item, odds) for item in value]
            return items * (2 if chance.random() < odds / 2 else 1)
        return value

    text = json.dumps(change(content, chance.choice([0.02, 0.1, 0.3])))
    if chance.random() < 0.15:
        text = text.replace("1.5", "1" * 5_000, 1) or garbled(chance, text)
    return garbled(chance, text) if chance.random() < 0.15 else text


def write(chance: random.Random, name: str, text: str) -> Path:
    """Write a text into a file, at times with damaged bytes."""
    data = text.encode("utf-8", "surrogatepass")
    path = Path(name)
    path.write_bytes(garbled_bytes(chance, data) if chance.random() < 0.2 else data)
    return path


# Files that are fine

TABLE = {"names": ["Q", "M"], "table": {"": [0.5, 0.5], "M/Q": [0.9, 0.1], "M/Q Q/Q": [1, 0]}}
RECORDED = {
    "format": "mesa_llm_norms recorded mind",
    "version": 1,
    "label": "mine",
    "provenance": {
        "source": "me",
        "decisions": 5,
        "conditions": [{"kind": "baseline", "pool": ["Q"]}],
    },
    "weights": {"name": {"Q": 0.5}, "lag": {"1B": 2.0}},
    "caution": 10.0,
    "drift": {"M Q": [1.0, 0.2]},
    "counts": {"M Q": {"": {"Q": 3}, "Q/M M/M": {"Q": 1, "M": 5}}},
}
CSV = "memory,Q,M\n,0.5,0.5\nM/Q,0.9,0.1\n"
PRICES = 'as_of = "2026-11-24"\n[my-model]\ninput = 1.5\noutput = 2\n'
SWEEP = (
    'names = "QM"\nmind = "uniform"\nrounds = 3\nruns = 2\nseed = 1\nuntil = "none"\nwindow = 2\n'
    '[committed]\nM = [1, "hubs"]\n[grid]\ngraph = ["ring(n={size})", "star(n=6)"]\nsize = [6, 8]\n'
    "memory = [2, 5]\n"
)
GRAPHS = {
    "csv": "source,target,weight\na,b,1\nb,c,2\nc,a,0.5\n",
    "edgelist": "0 1\n1 2\n2 0\n",
    "json": '{"nodes": [{"id": 0}, {"id": 1}], "links": [{"source": 0, "target": 1}], "graph": {}}',
    "gml": "graph [ node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 ] ]",
    "graphml": '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    '<graph edgedefault="undirected"><node id="a"/><node id="b"/><edge source="a" target="b"/>'
    "</graph></graphml>",
    "gexf": '<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2"><graph><nodes><node id="0"/>'
    '<node id="1"/></nodes><edges><edge id="0" source="0" target="1"/></edges></graph></gexf>',
    "net": "*Vertices 2\n1 a\n2 b\n*Edges\n1 2\n",
    "mtx": "%%MatrixMarket matrix coordinate real symmetric\n3 3 2\n2 1 1\n3 2 1\n",
}
TOPOLOGIES = ["ring(n=6)", "star(6)", "torus(rows=3, columns=4)", "complete(n=5)", "karate"]


def a_graph_file(chance: random.Random) -> str:
    """Return the name of a damaged graph file."""
    ending = chance.choice(list(GRAPHS))
    return str(write(chance, f"graph.{ending}", garbled(chance, GRAPHS[ending])))


def a_mind_file(chance: random.Random) -> str:
    """Return the name of a damaged mind file."""
    if chance.random() < 0.3:
        return str(write(chance, "mind.csv", garbled(chance, CSV)))
    return str(write(chance, "mind.json", garbled_json(chance, chance.choice([TABLE, RECORDED]))))


def a_sweep_file(chance: random.Random) -> str:
    """Return the name of a damaged sweep file."""
    text = garbled(chance, SWEEP)
    if chance.random() < 0.7:
        line, value = (
            chance.choice(["names", "mind", "rounds", "runs", "committed", "memory"]),
            None,
        )
        value = chance.choice(
            ['"x"', "[]", "{}", "-1", "0", "1.5", "nan", "9" * 400, '["M=3"]', "true"]
        )
        text = re.sub(rf"(?m)^{line} = .*$", lambda _: f"{line} = {value}", SWEEP)
    return str(write(chance, "sweep.toml", text))


def a_template(chance: random.Random) -> str:
    """Return the name of a damaged prompt template."""
    from mesa_llm_norms.llm.prompt import default_template

    return str(write(chance, "prompt.txt", garbled(chance, default_template().text)))


def a_price_file(chance: random.Random) -> str:
    """Return the name of a damaged price file."""
    value = chance.choice(["1" * 400, "nan", "inf", "-1", '"1"', "[1]", "true", "1e400", "{}"])
    text = PRICES.replace(chance.choice(["1.5", "2\n"]), value + "\n")
    return str(
        write(chance, "prices.toml", text if chance.random() < 0.5 else garbled(chance, PRICES))
    )


def minds_by_node(chance: random.Random) -> str:
    """Return the name of a damaged file of minds by node."""
    minds = {str(node): "uniform" for node in range(6)}
    return str(write(chance, "nodes.json", garbled_json(chance, minds)))


def damage_journal(chance: random.Random, path: Path) -> None:
    """Change a cell of a journal to something hostile, or drop a table."""
    with sqlite3.connect(path) as database:
        named = database.execute("SELECT name FROM sqlite_master WHERE type='table'")
        table = chance.choice([row[0] for row in named] or ["none"])
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        if chance.random() < 0.1 or not columns:
            database.execute(f"DROP TABLE IF EXISTS {table}")
            return
        column = chance.choice(columns or ["none"])
        rows = [row[0] for row in database.execute(f"SELECT {column} FROM {table}")]
        old = chance.choice(rows) if rows else None
        new: Any = chance.choice(
            [None, -1, 2**62, 1.5, math.inf, "x", "\x1b[2J", b"\xff", "", "9" * 5_000]
        )
        if isinstance(old, str) and old.startswith("{") and chance.random() < 0.8:
            new = garbled_json(chance, json.loads(old)).encode("utf-8", "replace").decode()
        try:
            database.execute(f"UPDATE {table} SET {column} = ? WHERE {column} IS ?", (new, old))
        except sqlite3.Error:
            database.rollback()
    database.close()
