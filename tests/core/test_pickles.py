"""Pickles read as plain data: equal to what Python reads, and nothing ever runs."""

from __future__ import annotations

import builtins
import contextlib
import copyreg
import io
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms.core.pickles import read_pickle
from mesa_llm_norms.errors import FileFormatError

protocols = st.integers(0, 5)
atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(min_size=1)
)
plain = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=20,
)


def read(data: bytes) -> Any:
    return read_pickle(Path("a.pkl"), data, "Bring another.", numbers=True)


@settings(max_examples=50)
@given(value=plain, protocol=protocols)
def test_plain_data_reads_as_python_reads_it(value: Any, protocol: int) -> None:
    assert read(pickle.dumps(value, protocol)) == value


@given(numbers=st.lists(st.floats(allow_nan=False)), protocol=protocols, big=st.booleans())
def test_numpy_s_numbers_read_as_float(numbers: list[float], protocol: int, big: bool) -> None:
    kind = np.dtype(">f8" if big else "<f8")
    given = [np.array(number, kind)[()] for number in numbers]
    assert read(pickle.dumps(given, protocol)) == numbers
    with contextlib.suppress(FileFormatError):
        assert read_pickle(Path("a.pkl"), pickle.dumps(given, protocol), "") == []


class Reduced:
    """Pickles as a call of anything."""

    def __init__(self, *reduced: Any) -> None:
        self._reduced = reduced

    def __reduce__(self) -> Any:
        return self._reduced


class Persistent(pickle.Pickler):
    """Refers to what is outside."""

    def persistent_id(self, value: Any) -> Any:
        return "outside" if value == "x" else None


def persistent(protocol: int) -> bytes:
    file = io.BytesIO()
    Persistent(file, protocol).dump({"": "x"})
    return file.getvalue()


def extension(protocol: int) -> bytes:
    copyreg.add_extension("pathlib", "Path", 240)
    try:
        return pickle.dumps({"": Path}, protocol)
    finally:
        copyreg.remove_extension("pathlib", "Path", 240)


def calling(function: Any, *arguments: Any) -> Callable[[int], bytes]:
    return lambda protocol: pickle.dumps({"": Reduced(function, arguments)}, protocol)


touch = Path("touched").touch
scalar, double = np.float64(0.5).__reduce__()[0], np.dtype("f8")

HOSTILE: dict[str, Callable[[int], bytes]] = {
    "a command": calling(os.system, "touch touched"),
    "exec": calling(builtins.exec, "open('touched', 'w')"),
    "eval": calling(builtins.eval, "open('touched', 'w')"),
    "getattr": calling(getattr, Path("touched"), "touch"),
    "a method": calling(Path.touch, Path("touched")),
    "a partial": calling(partial, Path.touch, Path("touched")),
    "a call in a call": calling(scalar, double, Reduced(os.system, ("touch touched",))),
    "a state": lambda it: pickle.dumps(Reduced(OrderedDict, (), {"a": 1}), it),
    "an object": lambda it: pickle.dumps({"": Decimal(1)}, it),
    "a set": lambda it: pickle.dumps({"": {1}}, max(it, 4)),
    "a bytearray": lambda it: pickle.dumps({"": bytearray(b"a")}, it),
    "something outside": persistent,
    "an extension": lambda it: extension(max(it, 2)),
    "a function": lambda it: pickle.dumps({"": os.system}, it),
    "numpy's function itself": lambda it: pickle.dumps({"": scalar}, it),
    "numpy's function in a tuple": lambda it: pickle.dumps({"": (1, scalar)}, it),
    "a numpy type in a tuple": lambda it: pickle.dumps({"": [((1, double), 1)]}, it),
    "a numpy type itself": lambda it: pickle.dumps(double, it),
    "an array": lambda it: pickle.dumps({"": np.zeros(2)}, it),
    "an object array": lambda it: pickle.dumps({"": np.array([Path.touch])}, it),
    "a complex number": lambda it: pickle.dumps({"": np.complex128(1)}, it),
    "a whole number": lambda it: pickle.dumps({"": np.int64(1)}, it),
    "an object scalar": calling(scalar, np.dtype("O"), b"12345678"),
    "a number of other bytes": calling(scalar, double, b"1234"),
    "another encoding": calling(__import__("_codecs").encode, "a", "rot13"),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_pickle_of_anything_else_is_refused_unrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    data = HOSTILE[kind](protocol)
    with pytest.raises(FileFormatError, match="plain data"):
        read(data)
    assert not list(tmp_path.iterdir())


MANY = 100_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"N",
        b"0.",
        b"(.",
        b"\x80\x06N.",
        b"cos\nsystem\n.",
        b"(S'touch touched'\nios\nsystem\n.",
        b"Pabc\n.",
        b"S'\\q'\n.",
        b"N" + b"\x85" * MANY + b".",
        b"}N" + b"\x85" * MANY + b"K\x01s.",
        b"]" * MANY + b"a" * (MANY - 1) + b".",
        b"]\x94h\x00a.",
        b"}\x94(X\x01\x00\x00\x00ah\x00u.",
        b"(" * MANY + b"t" * MANY + b".",
        b"Nr\xff\xff\xff\x7f.",
        b"j\xff\xff\xff\x7f.",
        b"\x8d" + struct.pack("<Q", 1 << 62) + b"a.",
        b"\x8e" + struct.pack("<Q", 1 << 40) + b"a.",
        b"\x95" + struct.pack("<Q", 1 << 62) + b"N.",
        b"\x8b\xff\xff\xff\x7f1.",
        b"I" + b"9" * 10_000 + b"\n.",
        b"}K\x01K\x02K\x03u.",
        b"Na.",
        b"K\x01K\x02R.",
        b"K\x01}b.",
    ],
)
def test_a_pickle_written_by_hand_is_plain_data_or_refused(data: bytes) -> None:
    """Neither depth nor a length that it claims takes the interpreter down."""
    with contextlib.suppress(FileFormatError):
        read(data)


@settings(max_examples=300)
@given(data=st.binary(max_size=60), start=st.binary(max_size=4))
def test_any_bytes_are_plain_data_or_refused(data: bytes, start: bytes) -> None:
    with contextlib.suppress(FileFormatError):
        read(start + data + b".")


@settings(max_examples=300)
@given(data=st.data(), protocol=protocols)
def test_a_damaged_pickle_is_plain_data_or_refused(data: st.DataObject, protocol: int) -> None:
    good = bytearray(pickle.dumps({"01": np.float64(0.25), "": [(1, "a"), {}]}, protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FileFormatError):
        read(bytes(good[: data.draw(st.integers(0, len(good)))]))
