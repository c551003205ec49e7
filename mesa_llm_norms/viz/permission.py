"""What a link may ask of the computer that serves the page: no files, no calls that cost."""

from __future__ import annotations

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds import mind_names
from mesa_llm_norms.topologies import names_file
from mesa_llm_norms.typed import read_mind
from mesa_llm_norms.viz.hosting import hosting
from mesa_llm_norms.viz.setting import Setting


def check_permission(setting: Setting) -> None:
    """Raise ``SpecError`` for files and live minds that whoever started the page did not name.

    To be called before anything of the setting is read.
    """
    allowed = hosting()
    if names_file(setting.topology) and setting.topology not in allowed.topologies:
        raise SpecError(
            "topology",
            setting.topology,
            "graph files are not opened from a link",
            "Start the page with it: mesa-llm-norms app --topology FILE.",
        )
    given = read_mind(setting.mind)
    for name in [given] if isinstance(given, str) else list(given):
        if name not in (*mind_names(), *allowed.minds):
            raise SpecError(
                "mind",
                name,
                f"{name!r} is not offered on this page",
                f"Start the page with it: mesa-llm-norms app --mind {name}.",
            )
