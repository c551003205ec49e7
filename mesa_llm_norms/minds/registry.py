"""Minds and providers by name: those that ship, those that are registered, those of plugins.

``load_mind`` finds a mind by its name. A name with a prefix, such as ``claude:claude-haiku-5-5``,
stands for a live mind: the prefix selects a *provider*, the rest says which of its models.

There are two ways to add either. A running program calls ``register_mind`` or
``register_provider``. An installed package declares entry points, here in its ``pyproject.toml``::

    [project.entry-points."mesa_llm_norms.minds"]
    stubborn = "my_package:StubbornMind"

    [project.entry-points."mesa_llm_norms.providers"]
    mistral = "my_package:MistralProvider"

Entry points are only read when a name is not known otherwise, or when the names are listed.
"""

from __future__ import annotations

import difflib
import inspect
import os
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module, resources
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, NamedTuple

from mesa_llm_norms.core.limits import MODEL_NAME
from mesa_llm_norms.errors import MindError, shown, some
from mesa_llm_norms.minds.files import read_mind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import UniformMind
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.refits import SUFFIX, read_refits

if TYPE_CHECKING:
    from mesa_llm_norms.llm.provider import Provider

DEFAULT_MIND = "claude-3.5-sonnet"
REFITTED = "~"
"""What follows the name of a mind that is to play with its refits."""
STUDY_MINDS = (
    "claude-3.5-sonnet",
    "llama-2-70b-chat",
    "llama-3-70b-instruct",
    "llama-3.1-70b-instruct",
)
"""The recorded minds of the study's models, which its recordings can be compared with."""
UNIFORM = ("uniform", "unbiased")
CLASSICAL = "classical"
MINDS = "mesa_llm_norms.minds"
PROVIDERS = "mesa_llm_norms.providers"
ALIASES = {"smollm2": "local:smollm2"}
"""Live minds that have a name without an address."""
HIDDEN = "(not shown)"
"""What an error shows instead of a name that could contain a password."""
MOST_SHOWN = 100
"""Characters of a name that an error shows."""
_SECRET = re.compile(
    r"\?|\bsk-|key=|token=|passw|secret|bearer|(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{20,}",
    re.IGNORECASE,
)
"""What a name with a password, or a key, has in it."""
_KEY = re.compile(r"\bsk-[\w-]{8,}|\?|//|\\\\|:.*@|api_key=", re.IGNORECASE | re.DOTALL)
"""What no model is called."""


def load_mind(mind: Any) -> Mind:
    """Return the mind that ``mind`` stands for.

    Parameters
    ----------
    mind : Mind, str or pathlib.Path
        A mind stands for itself; a path, for the recorded mind (JSON) or measured table (JSON or
        CSV) in that file. A string is one of ``mind_names()``, the name of a live mind such as
        ``claude:MODEL``, ``openai:MODEL`` or ``llama:URL#MODEL``, or a path that ends in ``.json``
        or ``.csv``. With ``~`` behind it, as in ``claude-3.5-sonnet~``, a recorded mind plays each
        run with another of its refits, as far as the fit is uncertain.

    Returns
    -------
    Mind
        The mind. Recorded minds that ship are read once and shared.

    Raises
    ------
    MindError
        If no such mind is known; the message lists those that are. If a mind has no refits.
    FileFormatError
        If the file is not a mind file.
    """
    if isinstance(mind, Mind):
        if not isinstance(getattr(mind, "label", None), str):
            raise MindError(
                "mind", mind, f"{shown(mind)} has no label", "Set label to a short text."
            )
        return mind
    if isinstance(mind, Path):
        return read_mind(mind)
    if not isinstance(mind, str):
        raise MindError(
            "mind",
            mind,
            f"{shown(mind)} is not a mind",
            "Give a Mind, a mind's name, or a mind file.",
        )
    if mind.endswith(REFITTED) and mind not in _minds:
        name = mind.removesuffix(REFITTED)
        return _shipped_with_refits(name) if name in recorded_names() else _with_refits(name)
    if mind in UNIFORM:
        return UniformMind()
    if mind == CLASSICAL:
        return _made(mind, import_module("mesa_llm_norms.classical.mind").ClassicalMind)
    if mind in recorded_names():
        return _shipped(mind)
    if mind in _minds:
        return _made(mind, _minds[mind])
    if is_live(mind):
        return load_provider(mind).mind()
    readable = safe_name(mind) == mind or os.path.exists(mind)  # noqa: PTH110  (raises nothing)
    if mind.lower().endswith((".json", ".csv")) and readable and "://" not in mind:
        return read_mind(mind)
    for entry in _entry_points(MINDS):
        if entry.name == mind:
            return _made(mind, _loaded(entry))
    close = difflib.get_close_matches(mind, mind_names(), n=1, cutoff=0.4)
    raise MindError(
        "mind",
        safe_name(mind),
        f"there is no mind {shown(safe_name(mind))}"
        + (f" (did you mean {close[0]!r}?)" if close else ""),
        ('Write shares as {"NAME": 0.5, ...}. ' if "=" in mind else "")
        + f"Known are {some(mind_names(), 20)}, files that end in .json or .csv, and live minds: "
        f"{', '.join(_examples())}.",
    )


def mind_names() -> tuple[str, ...]:
    """Return the names of all minds that need no address.

    Returns
    -------
    tuple of str
        The recorded minds that ship, ``uniform``, ``classical`` (the classical game, which plays
        whole runs without minds), then the minds that were registered and those of
        installed packages. Live minds are not listed: their names contain an address.
    """
    others = [*_minds, *(entry.name for entry in _entry_points(MINDS))]
    return tuple(dict.fromkeys((*recorded_names(), UniformMind.label, CLASSICAL, *others)))


@cache
def recorded_names() -> tuple[str, ...]:
    """Return the names of the recorded minds that ship with the package, sorted."""
    files = resources.files(__package__).joinpath("recordings").iterdir()
    return tuple(
        sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))
    )


def model_of(label: str) -> str:
    """Return the recorded model that a mind of this label was fitted to."""
    return label.removesuffix(REFITTED)


def ships(name: str) -> bool:
    """Return whether ``load_mind`` knows a name without a file, an address or a package."""
    return name.removesuffix(REFITTED) in STUDY_MINDS or name in mind_names()


def register_mind(name: str, factory: Callable[[], Mind]) -> None:
    """Make a mind known by a name, to ``load_mind`` and wherever a mind is chosen.

    Parameters
    ----------
    name : str
        The name, without a colon. A name registered before is replaced; one that ships cannot be.
    factory : callable
        Called without arguments each time the mind is loaded; returns it.

    Raises
    ------
    MindError
        If the name cannot be used, or is that of a mind that ships.
    """
    _check_name(name, (*recorded_names(), *UNIFORM, CLASSICAL, *ALIASES))
    _minds[name] = factory


def register_provider(prefix: str, factory: Callable[..., Provider], *, example: str = "") -> None:
    """Make the models behind an API known as minds, by names that begin with a prefix.

    Parameters
    ----------
    prefix : str
        What their names begin with, before a colon: ``claude`` in ``claude:claude-haiku-5-5``. A
        prefix registered before is replaced.
    factory : callable
        ``factory(address, **options)`` returns the ``Provider`` of ``prefix:address``; it raises
        ``MindError`` for an address or option that cannot be used, and makes no call.
    example : str, default ""
        Such a name, for error messages; ``prefix:MODEL`` if empty.

    Raises
    ------
    MindError
        If the prefix cannot be used.
    """
    _check_name(prefix, ())
    _providers[prefix] = _Registered(factory, example or f"{prefix}:MODEL")


def load_provider(name: str, *, given: bool = True, **options: Any) -> Provider:
    """Return the provider that a live mind's name stands for.

    Parameters
    ----------
    name : str
        ``prefix:address``, or ``smollm2``.
    given : bool, default True
        Whether the name was given in this session; False if it is from a file.
    **options
        Passed to the provider's factory.

    Returns
    -------
    Provider
        The provider; nothing was asked of the API yet.

    Raises
    ------
    MindError
        If the prefix is not registered (the message lists those that are), the address is missing,
        or the provider does not take an option.
    """
    prefix, _, address = ALIASES.get(name, name).partition(":")
    registered = _provider(prefix)
    if registered is None or not address:
        raise not_live(name, _examples())
    try:
        inspect.signature(registered.factory).bind(address, **options)
    except TypeError as error:
        raise MindError(
            "mind",
            safe_name(name),
            f"{prefix} minds cannot be made with these options: {error}",
            f"Leave that option out, or see what {prefix} minds take.",
        ) from None
    provider = registered.factory(address, **options)
    provider.given = given
    return provider


def is_live(name: str) -> bool:
    """Return whether a name begins with the prefix of a registered provider and a colon.

    Some have a name without an address, ``smollm2``.
    """
    prefix, colon, _ = ALIASES.get(name, name).partition(":")
    return bool(colon) and _provider(prefix) is not None


def safe_name(name: str) -> str:
    """Return the name of a mind for a message, shortened; not if it may hold a password."""
    if "@" in name or _SECRET.search(name[: 5 * MOST_SHOWN]):
        return HIDDEN
    return name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}..."


def check_model(model: object) -> None:
    """Raise ``MindError`` for the id of a model that is too long or holds a key, unshown.

    What a model is called stands in results, folders and journals.
    """
    if not isinstance(model, str):
        return
    if len(model) > MODEL_NAME.high:
        problem = f"{shown(safe_name(model))} has {len(model):,} characters"
        raise MindError("model", safe_name(model), problem, f"Use {MODEL_NAME.range}.")
    if _KEY.search(model):
        problem = "it looks like a key, or an address with a password"
        raise MindError("model", HIDDEN, problem, "Keys are read from the environment alone.")


def not_live(name: str, examples: Iterable[str]) -> MindError:
    """Return the error for a name that is not one of a live mind, with how such names look."""
    return MindError(
        "mind",
        safe_name(name),
        f"{shown(safe_name(name))} is not the name of a live mind",
        f"Write it like {' or '.join(examples)}.",
    )


class _Registered(NamedTuple):
    """A provider's factory, and an example of the names it serves."""

    factory: Callable[..., Provider]
    example: str


_minds: dict[str, Callable[[], Mind]] = {}
_providers: dict[str, _Registered] = {}
_unread_packages = ["mesa_llm_norms.llm"]
"""Packages whose modules register providers, and are imported once one is needed."""


def _provider(prefix: str) -> _Registered | None:
    """Return what is registered for a prefix, looking ever further until it is found."""
    if prefix not in _providers:
        _import_providers()
    if prefix not in _providers:
        for entry in _entry_points(PROVIDERS):
            if entry.name == prefix:
                factory = _loaded(entry)
                if prefix not in _providers:  # which the import may have done
                    register_provider(prefix, factory)
    return _providers.get(prefix)


def _import_providers() -> None:
    while _unread_packages:
        package = import_module(_unread_packages.pop())
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            import_module(module.name)


def _examples() -> list[str]:
    """Return how the names of live minds are written, for all that are registered or installed."""
    _import_providers()
    written = {prefix: it.example for prefix, it in _providers.items()}
    installed = {entry.name: f"{entry.name}:MODEL" for entry in _entry_points(PROVIDERS)}
    return [example for _, example in sorted({**installed, **written}.items())]


@cache
def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of installed packages; reading them takes a while, so once."""
    return tuple(entry_points(group=group))


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:  # whatever another package's code raises
        package = entry.dist.name if entry.dist is not None else "an installed package"
        raise MindError(
            "mind",
            entry.name,
            f"{package} provides it, and {entry.value} cannot be imported ({error})",
            f"Update or uninstall {package}.",
        ) from error


def _made(name: str, factory: Callable[[], Mind]) -> Mind:
    mind = factory()
    if not isinstance(mind, Mind):
        raise MindError(
            "mind",
            name,
            f"the factory registered for {shown(name)} returned {shown(mind)}, which is not a Mind",
            "Have it return one.",
        )
    return load_mind(mind)


def _check_name(name: str, taken: Iterable[str]) -> None:
    if not isinstance(name, str) or not name.isprintable() or len(name.split()) != 1 or ":" in name:
        raise MindError(
            "name", name, f"{shown(name)} cannot be a name", "Use a word without a colon."
        )
    if name in taken:
        raise MindError("name", name, f"{shown(name)} is a mind that ships", "Choose another name.")


@cache
def _shipped_with_refits(name: str) -> Mind:
    return _with_refits(name)


def _with_refits(name: str) -> Mind:
    """Return a recorded mind that plays every run with one of its refits."""
    if name.endswith(REFITTED):
        problem = f"{shown(safe_name(name + REFITTED))} ends in more than one {REFITTED}"
        raise MindError("mind", safe_name(name + REFITTED), problem, f"Write {REFITTED} once.")
    mind = None if is_live(name) else load_mind(name)
    folder: AbstractContextManager[Path]
    if name in recorded_names():
        folder = resources.as_file(resources.files(__package__).joinpath("recordings"))
    else:
        folder = nullcontext(Path(name).parent)
    with folder as place:
        base = re.sub(r"\.json$", "", Path(name).name, flags=re.IGNORECASE)
        path = place / f"{base}{SUFFIX}"
        if isinstance(mind, RecordedMind) and path.is_file():
            return with_refits(mind, path)
    if mind is None or (isinstance(mind, RecordedMind) and mind.recordings):
        why = "a model answers alike in every run, so that there are no runs to draw again"
    elif isinstance(mind, RecordedMind):
        why = "its refits are not beside it; mesa-llm-norms fit --refits makes them"
    else:
        why = "it was not fitted to recorded runs"
    raise MindError(
        "mind",
        safe_name(name + REFITTED),
        f"{shown(safe_name(name))} has no refits: {why}",
        f"Leave out {REFITTED}, or use one of {', '.join(one + REFITTED for one in STUDY_MINDS)}.",
    )


def with_refits(mind: RecordedMind, path: Path) -> RecordedMind:
    """Return a mind that plays every run with one of the refits in a file."""
    refits = read_refits(path, mind)
    return RecordedMind(
        *(mind.label + REFITTED, mind.weights, mind.fitted_counts, mind.prior_strength),
        *(mind.drift, {**mind.provenance, "refits": len(refits)}),
        refits=refits,
    )


@cache
def _shipped(name: str) -> RecordedMind:
    with resources.as_file(
        resources.files(__package__).joinpath("recordings", f"{name}.json")
    ) as path:
        mind = read_mind(path)
    assert isinstance(mind, RecordedMind)
    return mind
