"""A class that votes on what a scene will bring, and plays the naming game among minds.

Nothing here knows of servers: ``web/phones.py`` and ``web/teacher.py`` serve it.
"""

from mesa_llm_norms.classroom.class_game import ClassGame, ClassMind
from mesa_llm_norms.classroom.classroom import Classroom
from mesa_llm_norms.classroom.export import export

__all__ = ["ClassGame", "ClassMind", "Classroom", "export"]
