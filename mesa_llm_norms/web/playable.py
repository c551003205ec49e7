"""A scene, or what is on the page, as one HTML file that plays by itself (``reports.playable``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mesa_llm_norms.core.stopping import MAX_ROUNDS, Goal
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.reports.playable import Population, Story, check_playable, playable_page
from mesa_llm_norms.web.scenes.scene import Scene, play_setting
from mesa_llm_norms.web.setting import Setting, describe_difference

if TYPE_CHECKING:
    from mesa_llm_norms.web.session import ViewerSession


def scene_page(scene: Scene, seed: int = 1) -> str:
    """Return a scene as an HTML page that plays by itself, with its text, question and outcome.

    Parameters
    ----------
    scene : Scene
        The scene.
    seed : int, default 1
        The seed, 0 to 2**64 - 1. The page plays what the scene plays with it.

    Returns
    -------
    str
        The page.

    Raises
    ------
    SpecError
        If it cannot be written; see ``reports.playable.check_playable``.
    """
    settings = scene.settings(seed)
    for one in settings:
        check_playable(one.spec())
    played = [next(play_setting(one, scene.stop, runs=1)) for one in settings]
    answers = tuple(answer.text for answer in scene.answers)
    outcome = scene.came_true(played)
    story = Story(scene.text, scene.question, answers, outcome, scene.explained())
    return playable_page(_populations(settings, Goal(scene.stop)), scene.title, scene.speed, story)


def session_page(session: ViewerSession) -> str:
    """Return what a viewer sees as an HTML page that plays by itself, from the beginning.

    Parameters
    ----------
    session : ViewerSession
        The viewer's.

    Raises
    ------
    SpecError
        If it cannot be written: what ``check_playable`` refuses, and changes made by hand, recorded
        runs, and your own models.
    """
    settings = tuple(session.settings)
    for refused, what, remedy in (
        (session.replaying, "a recorded run", "Play it from its spec, without --replay."),
        (session.model_type is not NamingGame, "a model of your own", "Share the page itself."),
        (any(one.edits for one in settings), "changes made by hand", "Press Reset first."),
    ):
        if refused:
            raise SpecError("page", what, f"a page that plays by itself cannot hold {what}", remedy)
    settings = tuple(one.at_start() for one in settings)
    scene = session.scene
    if scene is not None and settings == scene.settings(settings[0].seed):
        return scene_page(scene, settings[0].seed)
    return playable_page(_populations(settings, Goal()), "Naming game", session.speed)


def _populations(settings: Sequence[Setting], goal: Goal) -> list[Population]:
    """Return what is written of one setting, or of two that differ in one thing."""
    found = [Population(one.spec(), goal, one.rounds or MAX_ROUNDS) for one in settings]
    if len(settings) == 1:
        return found
    headings = [describe_difference(*settings[:: 1 - 2 * side]) for side in (0, 1)]
    return [one._replace(heading=heading) for one, heading in zip(found, headings, strict=True)]
