"""One word for each thing: the words that were replaced do not come back.

Each term says what is written instead. Names in code are compared word by word (``start_course``
is ``start`` and ``course``); texts by patterns that ordinary English does not match ("of course",
"avoid", "the rest of"). Checked are the package and the models (names, docstrings, comments and
texts), the pages of the page, the documentation, and the help of every command.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import typer.main

from mesa_llm_norms import cli

ROOT = Path(__file__).parents[1]

NAMES: Mapping[str, str] = {
    # A word of a name in code, in the singular or the plural, and what to call it instead.
    "abilities": "capabilities",
    "accounts": "shared budget",
    "caution": "prior strength",
    "chances": "probabilities",
    "course": "run",
    "desk": "request queue",
    "errand": "cancel scope",
    "hosting": "server settings",
    "leg": "phase",
    "meeting": "interaction",
    "motion": "dynamics",
    "patience": "retry policy",
    "roster": "minds",
    "seating": "initial state",
    "sharpness": "inverse temperature",
    "standin": "proxy",
    "talker": "agent",
    "told": "what it is: a report, a text, a result",
    "unbiased": "uniform",
    "void": "skipped",
    "voided": "skipped",
}

WHOLE_NAMES: Mapping[str, str] = {
    # A whole name, with its capitals.
    "Bench": "PageState",
    "Calls": "LLMSettings",
    "Card": "AgentDetails",
    "Draws": "RandomStream",
    "Seat": "an index",
    "Server": "Provider",
    "Stage": "Renderer",
    "Visit": "ViewerSession",
    "Work": "Player",
    "ask_anew": "invalidate_caches",
    "stand_in": "proxy",
    "stand_ins": "proxies",
    "thresholds": "cumulative_weights",
    "ties": "edges",
}

TEXTS: Mapping[str, str] = {
    # A pattern, without regard to case, and what to write instead.
    r"(?<!of )(?<!in the )\bcourses?\b": "run",
    r"\bseatings?\b": "initial state",
    r"\brosters?\b": "minds",
    r"\bvoid(?:ed|s)?\b": "skipped",
    r"\bbegun ahead\b|\bbegun beyond\b": "speculative",
    r"\bask(?:ed|ing|s)? anew\b|\bask_anew\b": "ask again; invalidate caches",
    r"\b(?:go|goes|going|gone|went) on with\b": "resume, continue",
    r"\bstand-ins?\b": "proxy",
    r"\b(?:is|are) no way to\b": "is not a valid",
    r"\bdrawn and told\b": "random if omitted (and printed)",
    r"\b(?:held|holds?|holding) (?:\w+ ){0,6}?against\b": "compare with",
    r"\b(?:come|comes|came) to nothing\b": "fail",
    r"\bof one's own\b": "your own",
    r"\bhow it went\b": "the result",
    r"\bbeing so already\b": "already",
    r"\bwhoever\b": "who, anyone who",
    r"(?<!\bthere )\bis no (?:agent|choice|convention|file|graph|intervention|journal|list|mind"
    r"|name|node|number|pairing|place|placement|plan|policy|pool|rate|regular file|run|seed|share"
    r"|size|sweep|time|topology|way|word)\b": "is not a",
    r"\bunbiased minds?\b|`unbiased`|\"unbiased\"|--mind[ =]unbiased": "uniform",
    r"\btalkers?\b": "agent",
    r"\berrands?\b": "cancel scope",
    r"\bsharpness\b": "inverse temperature",
    r"\b(?:points?|states?) of rest\b|\brest(?:ing)? points?\b|\bat rest\b": "equilibrium",
    r"\bmeetings\b": "interactions",
    r"\bties (?:are|became|between|of|to|with|without)\b": "edges, linked",
}

ALIASES = ("mesa_llm_norms/minds/registry.py", "docs/minds.md", "docs/glossary.md")
"""Where the mind "uniform" may be called by its old name, to say that it still is understood."""

STREAM_KEYS = {("mesa_llm_norms/minds/recorded.py", "sharpness")}
"""Old words in the key of a random draw, which would be another draw under another key."""


class Hit(NamedTuple):
    """A word where it should not be."""

    path: str
    line: int
    found: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.found!r}; write {self.instead}"


def words(name: str) -> list[str]:
    """Return the words of a name in code: ``StandIn`` and ``stand_in`` are ``stand`` and ``in``."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return [part.lower() for part in parts]


def in_name(name: str) -> str | None:
    """Return what to write instead of a name, None if it may stay."""
    if name in WHOLE_NAMES:
        return WHOLE_NAMES[name]
    found = words(name)
    joined = [a + b for a, b in pairwise(found)]
    for word in (*found, *joined):
        for one in (word, word.removesuffix("s")):
            if one in NAMES:
                return NAMES[one]
    return None


def in_text(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line, counted from 0, of each match of a pattern, the match, and what to write.

    A match may go over the end of a line.
    """
    flat, starts, lines = "", [], []
    for number, line in enumerate(text.splitlines()):
        for word in line.split():
            if word != "#":
                starts.append(len(flat))
                lines.append(number)
                flat += word + " "
    for pattern, instead in TEXTS.items():
        for match in re.finditer(pattern, flat, re.IGNORECASE):
            yield lines[bisect(starts, match.start()) - 1], match[0], instead


def names_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each name that code introduces or uses."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield line, node.name
            case ast.Attribute(attr="Server"):
                pass  # a server of web pages
            case ast.arg(arg=name) | ast.Name(id=name) | ast.Attribute(attr=name):
                yield line, name
            case ast.keyword(arg=str(name)):
                yield line, name


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string that is prose: it has a space, or is no name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            yield node.lineno, text if " " in text else f'"{text}"'


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each block of comments."""
    block: list[str] = []
    start = last = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1:
                if block:
                    yield start, "\n".join(block)
                block, start = [], token.start[0]
            block.append(token.string)
            last = token.start[0]
    if block:
        yield start, "\n".join(block)


def python_hits(path: Path, name: str) -> Iterator[Hit]:
    """Yield what is wrong in a Python file, its name included."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    if instead := in_name(path.stem):
        yield Hit(name, 0, path.name, instead)
    for line, identifier in names_of(tree):
        if instead := in_name(identifier):
            yield Hit(name, line, identifier, instead)
    for start, text in (*literals(tree), *comments(source)):
        for line, found, instead in in_text(text):
            yield Hit(name, start + line, found, instead)


def text_hits(path: Path, name: str) -> Iterator[Hit]:
    """Yield what is wrong in a page of the documentation or a component of the page."""
    for line, found, instead in in_text(path.read_text(encoding="utf-8")):
        yield Hit(name, line + 1, found, instead)


def hits() -> list[Hit]:
    """Return all that is wrong in files, each line and word once."""
    found: list[Hit] = []
    for folder in ("mesa_llm_norms", "models"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found += python_hits(path, path.relative_to(ROOT).as_posix())
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for folder in ("mesa_llm_norms", "models"):
        pages += sorted((ROOT / folder).rglob("*.vue")) + sorted((ROOT / folder).rglob("*.md"))
        pages += sorted((ROOT / folder).rglob("*.j2"))
    for path in pages:
        found += text_hits(path, path.relative_to(ROOT).as_posix())
    return sorted(
        {
            hit
            for hit in found
            if not (hit.instead == "uniform" and hit.path in ALIASES)
            and (hit.path, hit.found) not in STREAM_KEYS
        }
    )


def listed(found: Iterable[Hit]) -> str:
    return "\n" + "\n".join(map(str, found))


def test_no_file_has_a_word_that_was_replaced() -> None:
    found = hits()
    assert not found, listed(found)


def test_no_help_has_a_word_that_was_replaced() -> None:
    found = []
    commands: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        text = "\n".join([command.help or "", *(it.help or "" for it in command.params)])
        found += [Hit(f"{name} --help", *hit) for hit in in_text(text)]
    assert not found, listed(found)


def test_ordinary_english_and_ordinary_names_pass() -> None:
    texts = "of course we avoid it; the rest of the run is at the server; a visit; he told us"
    assert not list(in_text(texts))
    for name in (
        "first",
        "rest",
        "benchmarks",
        "avoid",
        "ledger",
        "server",
        "visit",
        "of_course_x",
    ):
        assert (in_name(name) is None) == (name != "of_course_x")


def test_old_words_are_found_wherever_they_are() -> None:
    assert in_name("start_course") == in_name("Course") == "run"
    assert all(in_name(name) for name in ("StandIn", "stand_ins", "_standin", "UnbiasedMind"))
    ((line, found, instead),) = in_text("first line,\nwhich is gone\non with later")
    assert (line, found, instead) == (1, "gone on with", "resume, continue")
    assert [found for _, found, _ in in_text("a voided one, begun ahead")] == [
        "voided",
        "begun ahead",
    ]
