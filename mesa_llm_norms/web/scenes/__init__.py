"""Scenes for a class: a setting in three sentences, a question to predict first, what came true.

One TOML file each, in this folder or in one of a teacher's own; ``docs/scenes.md`` says how.
"""

from mesa_llm_norms.web.scenes.answers import Result, result_of
from mesa_llm_norms.web.scenes.measure import measure
from mesa_llm_norms.web.scenes.scene import Answer, Measured, Promise, Scene, read_scenes

__all__ = [
    "Answer",
    "Measured",
    "Promise",
    "Result",
    "Scene",
    "measure",
    "read_scenes",
    "result_of",
]
