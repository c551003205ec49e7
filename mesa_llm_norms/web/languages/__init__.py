"""The languages of the page: a file for each, such as ``de.toml``.

A file has the ``name`` of its language; ``[texts]`` of the page by their English; and a table for
each scene that ships, ``[scenes.KEY]``, with all of its texts. English is in the code and in the
scenes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mesa_llm_norms.errors import SpecError, shown

ENGLISH = "en"


@dataclass(frozen=True)
class Language:
    """A language: its code, its own name for itself, texts by their English, and scenes by key."""

    code: str
    name: str
    texts: Mapping[str, str] = field(default_factory=dict)
    scenes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def say(self, text: str, **values: object) -> str:
        """Return an English text in this language, with ``values`` in place of ``{name}``."""
        said = self.texts.get(text, text)
        return said.format(**values) if values else said


@cache
def languages() -> dict[str, Language]:
    """Return all languages by code, English first."""
    files = sorted(Path(__file__).parent.glob("*.toml"))
    read = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in files}
    return {ENGLISH: Language(ENGLISH, "English")} | {
        code: Language(code, **given) for code, given in read.items()
    }


def find_language(code: str) -> Language:
    """Return the language of a code; ``SpecError`` if there is none."""
    known = languages()
    if code not in known:
        raise SpecError(
            "language",
            code,
            f"there is no language {shown(code)}",
            f"Use {' or '.join(known)}.",
        )
    return known[code]
