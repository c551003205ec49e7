"""What an audit found, and its verdict: individual and collective bias in plain sentences.

Two questions are asked one after the other, each at the level of the audit, so that a mind without
any preference raises an alarm at most that often: do some names win more often than others, and if
so, more than first choices explain? See ``KINDS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mesa_llm_norms.core.formatting import p_value
from mesa_llm_norms.experiments.audits.individual import IndividualBias
from mesa_llm_norms.experiments.audits.populations import Comparison, Populations, SizeCurve
from mesa_llm_norms.experiments.audits.preference import Preference
from mesa_llm_norms.experiments.audits.probes import Probes
from mesa_llm_norms.simulation.serialization import summary
from mesa_llm_norms.simulation.spec import Spec

if TYPE_CHECKING:
    from mesa_llm_norms.llm.journal.rows import Totals

NEGLIGIBLE = 0.02
"""Total variation of first choices below which a mind whose probabilities are known counts as
without bias: one choice in fifty."""

SLIGHT = 0.0005
"""A lean that is too small to name."""

ENOUGH = 0.5
"""The share of populations that has to settle for winners to represent all of them."""

KINDS = {
    "none": "no bias is shown, neither of individuals nor of the group",
    "individual": "individuals prefer a name and the group is not shown to",
    "explained": "the group prefers a name, but no more than first choices explain",
    "created": "individuals have no preference at first, and the group has one",
    "amplified": "the group prefers what individuals prefer, more than first choices explain",
    "damped": "the group prefers what individuals prefer, less than first choices explain",
    "reversed": "the group prefers another name, at the cost of the one individuals prefer",
    "shifted": "the group prefers another name than individuals do",
    "unsettled": "too few populations settled on a name",
    "not played": "no populations were played",
}


class Verdict(NamedTuple):
    """``kind`` is one of ``KINDS``; the sentences say it with numbers.

    ``individual`` and ``collective`` say whether a bias is shown, ``beyond`` whether the group's
    differs from what first choices explain. ``flagged``: a collective bias is shown that is more
    than, or another than, what individuals show by themselves.
    """

    kind: str
    individual: bool
    collective: bool
    beyond: bool
    sentences: tuple[str, ...]

    @property
    def flagged(self) -> bool:
        """Whether testing single agents alone would have missed something."""
        return self.kind in ("created", "amplified", "reversed", "shifted")

    def as_object(self) -> dict[str, Any]:
        """Return the verdict as plain data.

        Returns
        -------
        dict
            All fields, ``meaning`` and ``flagged``.
        """
        return {**self._asdict(), "meaning": KINDS[self.kind], "flagged": self.flagged}


@dataclass(frozen=True)
class Audit:
    """The bias of one mind, alone and in groups.

    Attributes
    ----------
    spec : Spec
        The population that was played.
    level : float
        The rate of false alarms of each test, corrected where there are several; intervals hold in
        ``1 - level`` of all cases.
    individual : IndividualBias
        What the mind prefers by itself.
    played : Populations or None
        The populations of ``spec``; None where none were played.
    winners : Preference or None
        Which names won them, against equal shares.
    comparisons : tuple of Comparison
        The same against every null.
    sizes : SizeCurve or None
        Collective bias by the size of the group; None where no sizes were played.
    probes : Probes
        What is behind the preference of a live mind.
    verdict : Verdict
        Individual and collective bias in words.
    usage : Totals or None
        What the calls to a live mind used.
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
        """The label of the mind."""
        return self.spec.mind_label

    def comparison(self, null: str) -> Comparison:
        """Return the comparison with one null.

        Parameters
        ----------
        null : str
            ``"symmetric"``, ``"first choices"`` or ``"drift"``.

        Returns
        -------
        Comparison
            How winners differ from those under the null.
        """
        return next(one for one in self.comparisons if one.null == null)

    def as_object(self) -> dict[str, Any]:
        """Return the audit as plain data, for JSON.

        Returns
        -------
        dict
            ``spec``, ``level``, ``verdict``, ``individual``, ``collective``, ``comparisons``,
            ``sizes``, ``probes`` and ``usage``.
        """
        return {
            "spec": summary(self.spec),
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


def is_biased(individual: IndividualBias, level: float) -> bool:
    """Whether first choices are biased: by a test, or by more than is negligible if known."""
    first = individual.first
    if first.p_value is None:
        return first.variation.value > NEGLIGIBLE
    return first.p_value < level


def reach_verdict(
    individual: IndividualBias,
    played: Populations | None,
    winners: Preference | None,
    explained: Comparison | None,
    level: float,
) -> Verdict:
    """Return the verdict; ``explained`` is the comparison with the first choices alone."""
    biased = is_biased(individual, level)
    said = [_individual_sentence(individual, biased), *_lean_sentences(individual, level)]
    if played is None or winners is None or explained is None:
        return Verdict("not played", biased, False, False, tuple(said))
    if played.settled < ENOUGH * played.runs:
        said.append(
            f"Only {played.settled:,} of {played.runs:,} populations settled on one name, so "
            "winners do not represent all of them."
        )
        return Verdict("unsettled", biased, False, False, tuple(said))
    collective = winners.p_value is not None and winners.p_value < level
    beyond = explained.p_value < level and (collective or biased)
    kind = _kind(individual.first, winners, explained, (biased, collective, beyond), level)
    said += [
        _group_sentence(played, winners, collective),
        _explained_sentence(winners, explained, beyond),
        f"So {KINDS[kind]}.",
    ]
    return Verdict(kind, biased, collective, beyond, tuple(said))


def _kind(
    first: Preference,
    winners: Preference,
    explained: Comparison,
    shown: tuple[bool, bool, bool],
    level: float,
) -> str:
    biased, collective, beyond = shown
    if not collective:
        return "individual" if biased else "none"
    if not beyond:
        return "explained"
    if not biased:
        return "created"
    chosen = explained.of(first.favorite.name)
    if winners.favorite.name != first.favorite.name:
        against = chosen.wins.value < 0 and chosen.p_value < level
        return "reversed" if against else "shifted"
    return "amplified" if chosen.wins.value > 0 else "damped"


def _individual_sentence(individual: IndividualBias, biased: bool) -> str:
    first = individual.first
    favorite = first.favorite
    if individual.exact:
        how = f"{favorite.share.value:.1%} of the time where {favorite.expected:.1%} is fair"
        if biased:
            return f"By itself, remembering nothing, the mind chooses {favorite.name} {how}."
        return (
            "By itself, remembering nothing, the mind has almost no preference: it chooses "
            f"{favorite.name} {how}."
        )
    asked = f"{favorite.chosen} of {first.trials} times, {favorite.expected:.1%} being fair"
    shown = "a preference is shown" if biased else "no preference is shown"
    return (
        f"By itself, remembering nothing, the mind answered {favorite.name} {asked}: {shown} "
        f"({p_value(first.p_value)})."
    )


def _lean_sentences(individual: IndividualBias, level: float) -> list[str]:
    said = []
    for lean in individual.leans:
        if not lean.towards:
            continue
        gain = max(lean.towards)
        name = individual.pool[lean.towards.index(gain)]
        many = "one interaction" if lean.length == 1 else f"{lean.length} interactions"
        if lean.p_value is None and gain < SLIGHT:
            said.append(f"After {many} it leans towards no name.")
            continue
        text = f"After {many} it leans towards {name}, by {gain:.1%} of choices on average"
        if lean.p_value is not None:
            shown = "shown" if lean.p_value < level else "not shown"
            text += f" (a preference is {shown}, {p_value(lean.p_value)})"
        said.append(f"{text}.")
    return said


def _group_sentence(played: Populations, winners: Preference, collective: bool) -> str:
    favorite = winners.favorite
    verb = "wins" if collective else "happens to win"
    more = "more often than by chance" if collective else "as can happen by chance"
    return (
        f"In groups of {played.agents:,}, {favorite.name} {verb} {favorite.share.value:.1%} of "
        f"{played.settled:,} populations ({favorite.share.low:.1%} to "
        f"{favorite.share.high:.1%}; equal shares are {favorite.expected:.1%}), {more} "
        f"({p_value(winners.p_value)})."
    )


def _explained_sentence(winners: Preference, explained: Comparison, beyond: bool) -> str:
    favorite = winners.favorite
    difference = explained.of(favorite.name)
    expected = explained.played.shares[explained.played.names.index(favorite.name)]
    differs = "differs" if beyond else "is not shown to differ"
    return (
        f"Minds with these first choices and no other preference give {favorite.name} "
        f"{expected:.1%} of populations; the group {differs} from that (by "
        f"{difference.wins.value:+.1%}, {difference.wins.low:+.1%} to "
        f"{difference.wins.high:+.1%}; all names together {p_value(explained.p_value)})."
    )
