"""Pickles of other people, read as plain data: no code that a file asks for ever runs.

A pickle is a program for a stack machine, and can have Python call anything. The machine here knows
only the operations that make numbers, text, lists, tuples and dictionaries, in any protocol, and on
request the three calls by which numpy writes a number. Everything else is refused by name. Nothing
is imported, no memory is reserved because a file says so, and keys are never nested, whose hash
would exhaust the stack of the interpreter.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from pickle import HIGHEST_PROTOCOL
from typing import Any

from mesa_llm_norms.errors import FileFormatError, shown

_DISTRUST = "Do not trust this file."

_VALUES = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
    | {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8"}
)
"""The operations whose argument is a value."""

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARKED = frozenset({"POP_MARK", "TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS"})
"""The operations on everything since the last mark."""


class _Call(Enum):
    """What a pickle of numpy's numbers calls."""

    SCALAR = "scalar"
    DTYPE = "dtype"
    ENCODE = "encode"


_CALLS = {
    ("numpy._core.multiarray", "scalar"): _Call.SCALAR,
    ("numpy.core.multiarray", "scalar"): _Call.SCALAR,
    ("numpy", "dtype"): _Call.DTYPE,
    ("_codecs", "encode"): _Call.ENCODE,  # of bytes, in protocols 0 to 2
}


class _Double:
    """The type of a numpy number of eight bytes; a pickle sets the order of its bytes later."""

    order = "<"


class _Arguments(tuple[Any, ...]):
    """What a number is made of; like that, it can only be called with."""


class _RefusedError(Exception):
    """What a pickle holds and may not."""


def read_pickle(path: Path, data: bytes, remedy: str, *, numbers: bool = False) -> Any:
    """Return what a pickle holds, if that is plain data.

    Parameters
    ----------
    path : pathlib.Path
        Where it is from, for errors.
    data : bytes
        The pickle, of protocol 0 to 5.
    remedy : str
        What to do if it is not a pickle at all.
    numbers : bool, default False
        Whether numpy numbers of type float64 are read too, as float.

    Returns
    -------
    object
        None, bool, int, float, str, bytes, or a list, tuple or dict of such.

    Raises
    ------
    FileFormatError
        If it holds or calls anything else, or is damaged.
    """
    machine = _Machine(numbers)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged escapes in text that is refused anyway
            for operation, argument, _ in pickletools.genops(data):
                if operation.name == "STOP":
                    return machine.result()
                machine.run(operation.name, argument)
    except _RefusedError as error:
        raise FileFormatError(path, f"it is not plain data: {error}", _DISTRUST) from None
    except (ValueError, IndexError, KeyError, TypeError, struct.error) as error:
        problem = f"it is not a readable pickle ({type(error).__name__}: {error})"
        raise FileFormatError(path, problem, remedy) from error
    raise FileFormatError(path, "it is not a complete pickle", remedy)


class _Machine:
    """The stack of a pickle, what lies where its marks are, and what it remembers by number."""

    def __init__(self, numbers: bool) -> None:
        self._numbers = numbers
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        """Return what is left at the end."""
        if self._below or len(self._stack) != 1:
            raise _RefusedError("it does not end with one value")
        _check_finished(self._stack)
        return self._stack[0]

    def run(self, name: str, argument: Any) -> None:
        """Do one operation, or raise ``_RefusedError``."""
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self._stack.append(_tuple(self._popped(_TUPLES[name])))
        elif name in _MARKED:
            self._close(name)
        else:
            self._other(name, argument)

    def _other(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO":
                if argument > HIGHEST_PROTOCOL:
                    raise _RefusedError(f"it is of protocol {argument}")
            case "FRAME":
                pass
            case "MARK":
                self._below.append(stack)
                self._stack = []
            case "POP":
                stack.pop()
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "APPEND":
                self._extend(self._popped(1))
            case "SETITEM":
                self._set(self._popped(2))
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "GLOBAL":
                stack.append(self._named(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                stack.append(self._named(*self._popped(2)))
            case "REDUCE":
                stack.append(self._called(*self._popped(2)))
            case "BUILD":
                self._build(*self._popped(1))
            case _:
                raise _RefusedError(f"it uses {name}")

    def _popped(self, count: int) -> tuple[Any, ...]:
        if len(self._stack) < count:
            raise IndexError("its stack is empty")
        place = len(self._stack) - count
        popped = tuple(self._stack[place:])
        del self._stack[place:]
        return popped

    def _close(self, name: str) -> None:
        """Take everything since the last mark and make something of it."""
        items = self._stack
        self._stack = self._below.pop()
        match name:
            case "TUPLE":
                self._stack.append(_tuple(items))
            case "LIST":
                self._stack.append([])
                self._extend(items)
            case "DICT":
                self._stack.append({})
                self._set(items)
            case "APPENDS":
                self._extend(items)
            case "SETITEMS":
                self._set(items)

    def _extend(self, items: Sequence[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise _RefusedError("it appends to what is not a list")
        _check_finished(items)
        target.extend(items)

    def _set(self, items: Sequence[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise _RefusedError("it sets items of what is not a dictionary")
        _check_finished(items)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, (str, bytes, int, float)) and key is not None:
                raise _RefusedError("a key of it is not plain")
            target[key] = value

    def _named(self, module: Any, name: Any) -> _Call:
        plain = isinstance(module, str) and isinstance(name, str)
        call = _CALLS.get((module, name)) if plain and self._numbers else None
        if call is None:
            raise _RefusedError(f"it asks for {shown(name)} of {shown(module)}")
        return call

    def _called(self, call: Any, arguments: Any) -> Any:
        match call, arguments:
            case _Call.ENCODE, (str(text), "latin1"):
                return text.encode("latin-1")
            case _Call.DTYPE, ("f8", *_):
                return _Double()
            case _Call.SCALAR, (_Double(order=order), bytes(data)) if len(data) == 8:
                return float(struct.unpack(f"{order}d", data)[0])
        raise _RefusedError("it calls something with what it does not take")

    def _build(self, state: Any) -> None:
        match self._stack[-1], state:
            case _Double() as target, (3, "<" | ">" as order, None, None, None, -1, -1, 0):
                target.order = order
            case _:
                raise _RefusedError("it sets the state of something")


def _tuple(items: Sequence[Any]) -> tuple[Any, ...]:
    _check_finished([item for item in items if not isinstance(item, _Double)])
    return (_Arguments if any(isinstance(item, _Double) for item in items) else tuple)(items)


def _check_finished(values: Sequence[Any]) -> None:
    if any(isinstance(value, (_Call, _Double, _Arguments)) for value in values):
        raise _RefusedError("it holds what numbers are made of")
