"""Scenes printed by a real browser that has no network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from mesa_llm_norms.web.languages import languages
from mesa_llm_norms.web.scenes.handout import handout_files, write_handouts
from mesa_llm_norms.web.scenes.scene import read_scenes

pytestmark = pytest.mark.browser


def test_every_page_is_one_sheet(running_browser: Browser, tmp_path: Path) -> None:
    context = running_browser.new_context(offline=True)
    page = context.new_page()
    pages = {}
    for code, language in languages().items():
        for scene in read_scenes(language=code).values():
            if scene.key == "hubs":  # as long as noisy-hubs, and slow to draw
                continue
            files = handout_files(tmp_path / code, scene)
            files[0].parent.mkdir(exist_ok=True)
            write_handouts(scene, *files, language)
            for file in files:
                page.goto(file.as_uri())
                printed = page.pdf(prefer_css_page_size=True)
                pages[code, file.name] = len(re.findall(rb"/Type\s*/Page\b", printed))
    context.close()
    assert len(pages) >= 16 * len(languages())
    assert set(pages.values()) == {1}, pages
