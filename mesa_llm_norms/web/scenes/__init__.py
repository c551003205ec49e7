"""Scenes for a class: three sentences, a question to answer first, and what came true.

Each is a TOML file, in this folder or in another; ``docs/scenes.md`` says how to write one.
"""

from mesa_llm_norms.web.scenes.answers import Result, result_of
from mesa_llm_norms.web.scenes.scene import (
    Answer,
    Lesson,
    Measured,
    Promise,
    Scene,
    measure,
    read_scenes,
)

__all__ = [
    "Answer",
    "Lesson",
    "Measured",
    "Promise",
    "Result",
    "Scene",
    "measure",
    "read_scenes",
    "result_of",
]
