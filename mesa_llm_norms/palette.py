"""The colour of each name, the same in every figure and on the page.

The first eight are those of Okabe and Ito (Color Universal Design, 2008), which people with any
colour vision tell apart. A larger pool goes on with lighter and darker shades of them, and letters,
dashes or patterns tell these from the first eight. A name's colour depends on its place in the pool
alone.
"""

from __future__ import annotations

from collections.abc import Sequence

OKABE_ITO = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#009E73",  # green
    "#D55E00",  # vermillion
    "#56B4E9",  # sky
    "#CC79A7",  # purple
    "#F0E442",  # yellow
    "#000000",  # black
)
GREY = "#B8B8B8"
"""Of whoever has no name yet."""
INK = "#222222"

_SHADES = (
    *("#4C4C4C", "#6A2F00", "#002E47", "#8F5575", "#BBE1F6", "#EEBF99", "#00507D", "#401C00"),
    *("#006F50", "#954200", "#3D2432", "#4C9CC9", "#99C7E0", "#003F2E", "#4CBB9D", "#346C8C"),
    *("#F0D7E5", "#7A4964", "#DBA1C1", "#005F45", "#F5D999", "#22485D", "#523043", "#552600"),
)
"""Each is, of the shades of the first eight, the one farthest (CIEDE2000) from all before it.

That is for the eye it is nearest for: without a defect, or without one of its three kinds of cones
(Machado et al., IEEE TVCG 2009). The first ten are 10.9 apart or more, the first 26 are 5.1.
"""
_COLOURS = (*OKABE_ITO, *_SHADES)


def name_colours(pool: Sequence[str]) -> dict[str, str]:
    """Return the colour of each name of ``pool``, by its place; after 32 names they come again."""
    return {name: _COLOURS[place % len(_COLOURS)].lower() for place, name in enumerate(pool)}


def shade_step(place: int) -> int:
    """Return which eight of the 32 colours that in a place of the pool is of: 0, 1, 2 or 3."""
    return place % len(_COLOURS) // len(OKABE_ITO)


def ink_on(colour: str) -> str:
    """Return black or white, whichever contrasts more with a colour, by the measure of WCAG 2.2.

    The contrast is 4.5 or more with any colour.
    """
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in channels
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"
