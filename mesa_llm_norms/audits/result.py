"""What an audit found, all in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesa_llm_norms.audits.individual import IndividualBias
from mesa_llm_norms.audits.nulls import Comparison
from mesa_llm_norms.audits.populations import Populations
from mesa_llm_norms.audits.preference import Preference
from mesa_llm_norms.audits.probes import Probes
from mesa_llm_norms.audits.sizes import SizeCurve
from mesa_llm_norms.audits.verdict import Verdict
from mesa_llm_norms.spec import Spec

if TYPE_CHECKING:
    from mesa_llm_norms.journal import Totals


@dataclass(frozen=True)
class Audit:
    """The bias of one mind, alone and in groups.

    ``played`` is the populations of ``spec`` and ``winners`` who won them, against equal shares;
    ``comparisons`` hold them against every null. All three are None, or empty, where no populations
    were played. ``sizes`` is None where no sizes were. ``level`` is the rate of false alarms of
    each test, corrected where there are several; intervals hold in 1 less that of all cases.
    ``usage`` is what calls to a live mind came to.
    """

    spec: Spec
    level: float
    individual: IndividualBias
    played: Populations | None
    winners: Preference | None
    comparisons: tuple[Comparison, ...]
    sizes: SizeCurve | None
    probes: Probes
    verdict: Verdict
    usage: Totals | None = None

    @property
    def mind(self) -> str:
        """What the mind is called."""
        return self.spec.mind_label

    def comparison(self, null: str) -> Comparison:
        """Return the comparison with one null."""
        return next(one for one in self.comparisons if one.null == null)

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "spec": self.spec.describe(),
            "level": self.level,
            "verdict": self.verdict.as_object(),
            "individual": self.individual.as_object(),
            "collective": {
                "populations": self.played.as_object(),
                "winners": self.winners.as_object(),
            }
            if self.played is not None and self.winners is not None
            else None,
            "comparisons": [one.as_object() for one in self.comparisons],
            "sizes": self.sizes.as_object() if self.sizes is not None else None,
            "probes": self.probes.as_object(),
            "usage": self.usage._asdict() if self.usage is not None else None,
        }
