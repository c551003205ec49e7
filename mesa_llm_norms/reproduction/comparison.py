"""Each result held against the recordings, or against what is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mesa_llm_norms.minds import Mind
from mesa_llm_norms.reproduction.critical import CRITICAL, flips, masses
from mesa_llm_norms.reproduction.decisions import IN_POPULATIONS, INDIVIDUAL, choices
from mesa_llm_norms.reproduction.populations import EMERGENCE, STABILITY, WHO_WINS, outcomes
from mesa_llm_norms.reproduction.protocol import Played
from mesa_llm_norms.reproduction.recorded import Recorded
from mesa_llm_norms.reproduction.rows import Row

PARTS = (EMERGENCE, WHO_WINS, INDIVIDUAL, IN_POPULATIONS, STABILITY, CRITICAL)


def compare(
    played: Sequence[Played],
    minds: Mapping[str, Mind],
    recorded: Recorded,
    against: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return a row for everything that there is something to hold against.

    ``minds`` are those that played, by label; ``against`` names the recorded model of each label,
    which is the label itself unless it says so.
    """
    models = {label: (against or {}).get(label, label) for label in minds}
    found = [row for one in played for row in outcomes(one, models, recorded)]
    for label, mind in minds.items():
        found += choices(label, mind, models[label], recorded, played)
    found += masses(flips(played), minds)
    return sorted(found, key=lambda row: PARTS.index(row.part))
