"""Scenes on paper: complete, without the answer for the class, and needing nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mesa_llm_norms.web.languages import ENGLISH, find_language
from mesa_llm_norms.web.scenes.handout import handout_files, write_handouts
from mesa_llm_norms.web.scenes.scene import Scene, read_scenes

SCENES = read_scenes()


def pages(scene: Scene, folder: Path, language: str = ENGLISH) -> tuple[str, str]:
    files = handout_files(folder, scene)
    write_handouts(scene, *files, find_language(language))
    for_class, for_teacher = (file.read_text(encoding="utf-8") for file in files)
    return for_class, for_teacher


def words(page: str) -> str:
    """Return the text of a page as a reader has it."""
    inside = re.sub(r"<[^>]*>", " ", page.partition("<body>")[2])
    for written, meant in {"&#39;": "'", "&#34;": '"', "&amp;": "&"}.items():
        inside = inside.replace(written, meant)
    return " ".join(inside.split())


@pytest.mark.parametrize("key", ["the-committed-few", "a-convention-is-born"])
def test_the_class_reads_the_question_and_the_teacher_the_answer(key: str, tmp_path: Path) -> None:
    scene = SCENES[key]
    for_class, for_teacher = pages(scene, tmp_path)
    asked, told = words(for_class), words(for_teacher)
    for text in (scene.title, scene.text, scene.question, scene.lesson.after):
        assert text in asked
    for text in (scene.question, scene.why, *scene.lesson):
        assert text in told
    for text in (scene.why, scene.lesson.people, scene.lesson.notes):
        assert text not in asked
    assert scene.measured is not None
    shares = [f"{share:.0%}" for share in scene.measured.shares]
    assert re.findall(r"\d+%", told.partition(scene.question)[2])[: len(shares)] == shares
    assert not re.search(r"\d%", asked)
    assert all(answer.text in asked and answer.text in told for answer in scene.answers)
    assert for_class.count("data:image/svg+xml") == len(scene.settings(1))


def test_a_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    for page in pages(SCENES["the-committed-few"], tmp_path):
        found = re.findall(r"""(?:src|href)=["']([^"']{1,30})|url\(|@import|<script|<link""", page)
        assert all(one.startswith("data:") for one in found)


def test_a_scene_without_a_lesson_has_pages_too(tmp_path: Path) -> None:
    scene = SCENES["whose-name-wins"]
    plain = Scene(
        **{
            **{name: getattr(scene, name) for name in ("key", "title", "text", "question", "why")},
            "answers": scene.answers,
            "setting": scene.setting,
        }
    )
    for_class, for_teacher = pages(plain, tmp_path)
    assert "To talk about" not in for_class + for_teacher
    assert "And people?" not in for_teacher


def test_the_pages_are_in_the_language_of_the_scene(tmp_path: Path) -> None:
    scene = read_scenes(language="de")["the-committed-few"]
    for_class, for_teacher = pages(scene, tmp_path, "de")
    assert '<html lang="de">' in for_class
    assert "Warum ich das glaube" in words(for_class)
    assert "fünf, die immer M sagen" in words(for_class)
    assert "für die Lehrkraft" in words(for_teacher)
    assert "--language de" in for_teacher
