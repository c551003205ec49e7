"""Contracts in docstrings: everything public says what it takes, returns and raises.

Public is what the package and its public subpackages list in ``__all__``. The form is numpydoc's:
every parameter with its type, and its default where it has one.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

import docstring_parser
import pytest

PACKAGES = [
    "mesa_llm_norms",
    "mesa_llm_norms.analysis",
    "mesa_llm_norms.classical",
    "mesa_llm_norms.errors",
    "mesa_llm_norms.experiments",
    "mesa_llm_norms.experiments.audits",
    "mesa_llm_norms.experiments.cards",
    "mesa_llm_norms.experiments.cost_forecast",
    "mesa_llm_norms.experiments.sweeps",
    "mesa_llm_norms.experiments.tipping",
    "mesa_llm_norms.llm",
    "mesa_llm_norms.mean_field",
    "mesa_llm_norms.minds",
    "mesa_llm_norms.networks",
    "mesa_llm_norms.plots",
    "mesa_llm_norms.reproduction",
    "mesa_llm_norms.simulation",
    "mesa_llm_norms.study",
    "mesa_llm_norms.testing",
    "mesa_llm_norms.web",
]

UNDOCUMENTED = {"self", "cls"}


class Documented(NamedTuple):
    """Something public that is called: a function, a method, or a class."""

    name: str
    thing: Any
    docstring: str


def public(package: str) -> Iterator[Documented]:
    """Yield the functions and classes that a package lists, and the methods of the classes."""
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        if not inspect.isclass(thing) and not inspect.isfunction(thing):
            continue
        yield Documented(f"{package}.{name}", thing, inspect.getdoc(thing) or "")
        if inspect.isclass(thing):
            for method, function in vars(thing).items():
                function = getattr(function, "__func__", function)
                if not method.startswith("_") and inspect.isfunction(function):
                    label = f"{package}.{name}.{method}"
                    yield Documented(label, function, contract(thing, method))


def contract(owner: type, method: str) -> str:
    """Return the docstring of a method, or what it overrides, where only that has sections."""
    own, *inherited = (
        inspect.getdoc(vars(base)[method]) or "" for base in owner.__mro__ if method in vars(base)
    )
    whole = (text for text in inherited if "\n\nParameters\n---" in text)
    return own if "\n\nParameters\n---" in own or not own else next(whole, own)


def everything() -> list[Documented]:
    found = {id(one.thing): one for package in PACKAGES for one in public(package)}
    return sorted(found.values())


def parameters(thing: Any) -> dict[str, inspect.Parameter]:
    """Return what a function, or the making of a class, takes."""
    if inspect.isclass(thing) and (issubclass(thing, tuple) or not made_by_users(thing)):
        return {}
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return {}
    return {name: one for name, one in signature.parameters.items() if name not in UNDOCUMENTED}


def made_by_users(kind: type) -> bool:
    """Whether a class says how it is made; results and errors are made by the package."""
    if issubclass(kind, BaseException) or dataclasses.is_dataclass(kind):
        return False
    return kind.__init__ is not object.__init__ and not getattr(kind, "_is_protocol", False)


def problems(one: Documented) -> Iterator[str]:
    """Yield what a docstring leaves out."""
    if not one.docstring:
        yield "has no docstring"
        return
    parsed = docstring_parser.parse(one.docstring, docstring_parser.DocstringStyle.NUMPYDOC)
    said = {
        name.strip(" *"): entry for entry in parsed.params for name in entry.arg_name.split(",")
    }
    for name, parameter in parameters(one.thing).items():
        entry = said.pop(name, None)
        if entry is None:
            yield f"does not document {name}"
        elif not entry.type_name and parameter.kind.name.startswith(("POSITIONAL", "KEYWORD")):
            yield f"gives no type for {name}"
        elif parameter.default not in (inspect.Parameter.empty, None) and (
            entry.default is None and "default" not in f"{entry.type_name} {entry.description}"
        ):
            yield f"gives no default for {name}"
    if inspect.isfunction(one.thing):
        yield from problems_of_a_function(one.thing, parsed)


def problems_of_a_function(function: Any, parsed: docstring_parser.Docstring) -> Iterator[str]:
    returned = inspect.signature(function).return_annotation
    sections = {entry.args[0] for entry in parsed.meta if entry.args}
    returns = returned not in ("None", "NoReturn", None, inspect.Signature.empty)
    if returns and not sections & {"returns", "yields"}:
        yield "does not say what it returns"
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    raises = any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree))
    if raises and "raises" not in sections:
        yield "does not say what it raises"


@pytest.mark.parametrize("one", everything(), ids=lambda one: one.name)
def test_says_what_it_takes_returns_and_raises(one: Documented) -> None:
    found = list(problems(one))
    assert not found, f"{one.name} " + "; ".join(found)
