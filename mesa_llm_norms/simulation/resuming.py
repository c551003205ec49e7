"""The arguments of a model's own class, in writing, so that its run can be resumed.

A journal holds the spec of the game. A subclass may have been made with more, or may have worked
the game out from arguments of its own; what it was called with is kept beside the spec::

    "model": {"class": "MyGame", "arguments": {"graph": {"spec": "graph"}, "every": {"is": 3}}}

``{"spec": NAME}`` is what the spec has under this name, ``{"is": VALUE}`` a value, written so that
tuples and keys that are not texts come back as they were, and ``{"again": TYPE}`` an object that no
journal can hold, which has to be given again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np

from mesa_llm_norms.errors import JournalError, SpecError, shown
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings
from mesa_llm_norms.simulation.serialization import from_json, to_json
from mesa_llm_norms.simulation.spec import Spec

_PASSED = ("llm", "run")
"""Arguments that say how to play, not what."""

_OBJECTS = ("mind", "pairing", "game")
"""Arguments of a spec that may be objects of a user's own."""


def resumed(
    kind: Any, path: Path, llm: LLMSettings, addresses: Sequence[str], given: Mapping[str, Any]
) -> Any:
    """Return the model of a class whose journal is in a folder; see ``NetworkGame.resume``."""
    from mesa_llm_norms.llm.journal.journal import Journal

    folder, path = path, path / JOURNAL
    with Journal.read(path) as journal:
        content = journal.spec
    if "run" not in content:
        raise JournalError(path, "it is that of an ensemble", "Use run_ensemble.")
    arguments = read_arguments(path, kind, content, given)
    confirmed = addresses or llm.addresses
    model = kind(**arguments, llm=replace(llm, folder=folder, resume=True, addresses=confirmed))
    try:
        check_same(path, kind, content, model.spec)
    except JournalError:
        model.close()
        raise
    return model


def written_model(
    model: Any, given: Sequence[Any] = (), named: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what a journal holds of a model's class and arguments, besides its spec.

    That is nothing where the class is one of the package, called with arguments of the spec alone.
    """
    kind = type(model)
    arguments = name_arguments(kind.__init__, given, named or {})
    written = write_arguments(arguments, model.spec)
    ours = kind.__module__ == "mesa_llm_norms.model"
    if ours and not written.keys() - model.spec.arguments().keys():
        return {}
    return {"model": {"class": kind.__qualname__, "arguments": written}}


def name_arguments(
    function: Callable[..., Any], given: Sequence[Any], named: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by name.

    Parameters
    ----------
    function : callable
        What was called, without ``self`` among what was given.
    given, named : sequence, mapping
        What it was called with.

    Returns
    -------
    dict
        A value per name; what has no name is ``argument 1`` and so on.
    """
    kinds = Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD
    parameters = list(signature(function).parameters.values())[1:]
    names = [one.name for one in parameters if one.kind in kinds]
    names += [f"argument {place + 1}" for place in range(len(names), len(given))]
    return {**dict(zip(names, given, strict=False)), **named}


def write_arguments(arguments: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
    """Return the arguments of a model as JSON data.

    Parameters
    ----------
    arguments : mapping
        What its class was called with, by name.
    spec : Spec
        The spec that the model made of it.
    """
    of_spec = spec.arguments()
    return {
        name: _write(value, of_spec, name)
        for name, value in arguments.items()
        if name not in _PASSED
    }


def read_arguments(
    path: Path, kind: type, content: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments with which a model's class is called to resume its run.

    Parameters
    ----------
    path : Path
        The journal.
    kind : type
        The class of the model.
    content : mapping
        What the journal says of what is played.
    given : mapping
        What is given again, which takes precedence.

    Raises
    ------
    JournalError
        If it is the journal of another class, or something has to be given again.
    SpecError
        If the spec cannot be read.
    """
    written, of_spec = content.get("model"), content["spec"]
    if ("game" in of_spec) == any(one.__name__ == "NamingGame" for one in kind.__mro__):
        other = "NetworkGame" if "game" in of_spec else "NamingGame"
        raise JournalError(path, f"a {other} was played", f"Use {other}.resume.")
    takes = signature(kind.__init__).parameters  # type: ignore[misc]
    if written is None:
        own = {name: value for name, value in given.items() if name in _OBJECTS}
        return {**from_json(of_spec, **own).arguments(), **given, "run": content["run"]}
    if written["class"] != kind.__qualname__:
        raise JournalError(
            path,
            f"it is that of {written['class']}, not of {kind.__qualname__}",
            f"Resume it with {written['class']}.resume(folder).",
        )
    kept = {name: it for name, it in written["arguments"].items() if name not in given}
    again = [f"{name} (a {it['again']})" for name, it in kept.items() if "again" in it]
    if again:
        raise JournalError(
            path,
            f"it cannot hold {', '.join(again)}",
            f"Give it again: {kind.__qualname__}.resume(folder, {again[0].split()[0]}=...).",
        )
    named = {it["spec"] for it in kept.values() if "spec" in it}
    # What the class does not take from the spec it makes itself, so that nobody has to give it.
    own = {"mind": "uniform", "pairing": "node"}
    own = {name: given.get(name, it) for name, it in own.items() if name not in named}
    if "game" in given:
        own["game"] = given["game"]
    spec = from_json(of_spec, **own).arguments() if named else {"rng": of_spec["seed"]}
    read = {
        name: spec[it["spec"]] if "spec" in it else _read(it["is"]) for name, it in kept.items()
    }
    accepts_any = any(one.kind is Parameter.VAR_KEYWORD for one in takes.values())
    for name, value in (("rng", of_spec["seed"]), ("run", content["run"])):
        if name not in read and (accepts_any or name in takes):
            read[name] = value
    return {**read, **given}


def check_same(path: Path, kind: type, content: Mapping[str, Any], spec: Spec) -> None:
    """Raise ``JournalError`` if a model that is resumed plays another game than the one on record.

    Parameters
    ----------
    path : Path
        The journal.
    kind : type
        The class of the model.
    content : mapping
        What the journal says of what is played.
    spec : Spec
        What the model plays.
    """
    before, now = content["spec"], to_json(spec)
    other = [name for name, it in before.items() if now.get(name) != it]
    if other:
        raise JournalError(
            path,
            "; ".join(f"{it} was {shown(before[it])}, not {shown(now.get(it))}" for it in other),
            f"Give the arguments that {kind.__qualname__} was made with.",
        )


def _write(value: Any, of_spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    if name == "rng" and not isinstance(value, (int, np.integer)):
        return {"spec": "rng"}  # a generator has moved on since, and None stands for another seed
    if name in of_spec and of_spec[name] is value:
        return {"spec": name}
    try:
        return {"is": _plain(value)}
    except SpecError:
        return {"again": type(value).__qualname__}


def _plain(value: Any) -> Any:
    """Return a value as JSON data that ``_read`` turns into an equal one of the same type."""
    if isinstance(value, np.generic):
        value = value.item()
    finite = isinstance(value, float) and math.isfinite(value)
    if value is None or isinstance(value, (bool, int, str)) or finite:
        return value
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, tuple) and type(value) is tuple:
        return {"tuple": [_plain(one) for one in value]}
    if isinstance(value, dict):
        return {"items": [[_plain(key), _plain(one)] for key, one in value.items()]}
    if isinstance(value, (set, frozenset)):
        return {type(value).__name__: [_plain(one) for one in sorted(value, key=repr)]}
    if isinstance(value, Path):
        return {"path": str(value)}
    raise SpecError("argument", value, "it cannot be written down", "Give it again.")


def _read(written: Any) -> Any:
    if isinstance(written, list):
        return [_read(one) for one in written]
    if not isinstance(written, dict):
        return written
    ((kind, content),) = written.items()
    if kind == "items":
        return {_read(key): _read(one) for key, one in content}
    if kind == "path":
        return Path(content)
    made: dict[str, Callable[[Any], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
    return made[kind](map(_read, content))
