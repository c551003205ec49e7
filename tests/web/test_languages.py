"""Languages: every text of one has its other, in the same form."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.web import controls, languages, page, start, views
from mesa_llm_norms.web.languages import ENGLISH, Language, find_language
from mesa_llm_norms.web.page_state import PageState
from mesa_llm_norms.web.scenes.scene import Lesson, Scene, read_scenes, sentences
from mesa_llm_norms.web.session import ViewerSession

WEB = Path(languages.__file__).parents[1]
TEMPLATES = WEB.parent / "reports" / "templates"
OTHERS = {code: it for code, it in languages.languages().items() if code != ENGLISH}
each = pytest.mark.parametrize("language", OTHERS.values(), ids=OTHERS)


def said_in_python() -> Iterator[str]:
    """Yield the texts that the page's code has said in the viewer's language."""
    for path in WEB.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name == "say":
                    yield from texts_in(node.args[0])


def texts_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts_in(node.body)
        yield from texts_in(node.orelse)


def said() -> set[str]:
    tables = [*controls.SPEEDS, *controls.SLOW, *controls._MODES.values()]
    tables += [text for pair in controls._BUTTONS.values() for text in pair]
    tables += [start.WHAT_IT_IS, start._FREE, page._HINT, page._OTHER_END, page._NO_SCENE]
    tables += [views.SUCCESS_TITLE, views.SHARES_TITLE, "Naming game"]
    papers = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES.glob("handout*.html"))
    return {*said_in_python(), *tables, *re.findall(r'say\("([^"]+)"\)', papers)}


def fields_of(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def test_texts_are_found_in_the_code() -> None:
    assert {"Next", "Stop", "round", "yes", "quiet only", "Why I think so"} <= said()


@each
def test_every_text_of_the_page_has_its_other(language: Language) -> None:
    assert said() - set(language.texts) == set(), "not translated"
    assert set(language.texts) - said() == set(), "of no use"
    for english, other in language.texts.items():
        assert other.strip()
        assert fields_of(english) == fields_of(other), english


SHIPPED = read_scenes()


@each
def test_every_scene_has_its_other(language: Language) -> None:
    assert set(SHIPPED) <= set(language.scenes)
    needed = {"title", "text", "question", "answers", "why", *Lesson._fields}
    for key, given in language.scenes.items():
        two = key in SHIPPED and SHIPPED[key].second is not None
        assert set(given) == needed | ({"headings"} if two else set()), key


@each
@pytest.mark.parametrize("scene", SHIPPED.values(), ids=SHIPPED)
def test_a_scene_says_the_same_in_another_language(language: Language, scene: Scene) -> None:
    other = read_scenes(language=language.code)[scene.key]
    assert other.title != scene.title
    assert sentences(other.text) == sentences(scene.text) == 3
    assert [it.when for it in other.answers] == [it.when for it in scene.answers]
    assert len({it.text for it in other.answers}) == len(scene.answers)
    assert (other.setting, other.second, other.measured) == (
        scene.setting,
        scene.second,
        scene.measured,
    )
    for one, two in zip(all_texts(scene), all_texts(other), strict=True):
        assert numbers(one) == numbers(two), one


def all_texts(scene: Scene) -> list[str]:
    answers = [answer.text for answer in scene.answers]
    return [scene.text, scene.question, scene.why, *answers, *scene.lesson]


def numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d{2,}", text))


@each
def test_a_scene_of_ones_own_stays_as_it_is(language: Language, tmp_path: Path) -> None:
    shipped = next((WEB / "scenes").glob("6-hubs.toml")).read_text(encoding="utf-8")
    mine = shipped.replace('title = "Hubs"', 'title = "My hubs"')
    (tmp_path / "hubs.toml").write_text(mine, encoding="utf-8")
    scene = read_scenes(tmp_path, language.code)["hubs"]
    assert (scene.title, scene.question) == ("My hubs", SHIPPED["hubs"].question)


def test_an_unknown_language_is_refused_and_the_page_is_in_english() -> None:
    with pytest.raises(SpecError, match=r"there is no language 'xx'.*en or de"):
        find_language("xx")
    session = ViewerSession()
    state = PageState(session, language="xx")
    assert state.say("Next") == "Next"
    assert "there is no language 'xx'" in state.problem.value
    state.speak("de")
    assert state.say("Next") == "Weiter"
    session.close()


def test_a_page_in_another_language_has_its_scene_in_it() -> None:
    session = ViewerSession("scene=hubs&lang=de")
    state: Any = PageState(session, language="de")
    assert state.scene.title == "Knotenpunkte"
    assert "lang" not in session.query
    session.close()
