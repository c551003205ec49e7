"""What an audit leaves behind: the page, all numbers as JSON, and the figure."""

from __future__ import annotations

import json
from pathlib import Path

from mesa_llm_norms.audits.page import page
from mesa_llm_norms.audits.result import Audit
from mesa_llm_norms.plots.audit import plot_audit
from mesa_llm_norms.plots.style import save_figure
from mesa_llm_norms.recording import versions


def write_report(audit: Audit, folder: Path) -> None:
    """Write ``audit.html``, ``audit.json``, ``audit.png`` and ``audit.svg`` into a folder."""
    _, svg = save_figure(plot_audit(audit), folder / "audit")
    (folder / "audit.html").write_text(page(audit, svg.read_bytes()), encoding="utf-8")
    content = {**audit.as_object(), "versions": versions()}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "audit.json").write_text(text + "\n", encoding="utf-8")
