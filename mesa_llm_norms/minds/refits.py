"""How certain a fit is: the same fit to runs drawn again, kept beside a recorded mind.

Each refit is to as many recorded runs as there are, drawn with replacement (a bootstrap over runs):
within every condition for weights and counts, among all conditions of a pool together for its
drift. The smoothing is that of the mind. It is kept as differences from the mind: of
weights in whole steps of ``WEIGHT_STEP``, of the square roots of counts in steps of ``COUNT_STEP``,
a signed byte each. What the mind's file does not have, weights near zero and memories that were met
too seldom to count, no refit has.

A name that ends in ``~``, such as ``claude-3.5-sonnet~``, stands for the mind whose every run is
played by one of the refits.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import read_bytes
from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.core.game import Memory
from mesa_llm_norms.errors import FileFormatError

if TYPE_CHECKING:
    from mesa_llm_norms.minds.recorded import RecordedMind, Seen, Weights

SUFFIX = ".refits"
FORMAT = "mesa_llm_norms refits"
VERSION = 2

OFTEN = 5
"""A memory met less often than this is left to the logit."""

WEIGHT_STEP = 0.1
COUNT_STEP = 0.5
LARGEST = 127

_REMEDY = "Fit the mind again with refits (mesa-llm-norms fit --refits 50)."


class Refits(NamedTuple):
    """The refits of a mind.

    Attributes
    ----------
    weights : numpy.ndarray of int8, shape (refits, features)
        Steps from the mind's weights, in the order of ``features_of``.
    counts : numpy.ndarray of int8, shape (refits, entries)
        Steps from the square roots of its counts, in the order of ``entries_of``.
    drift : numpy.ndarray of float, shape (refits, pools, 2)
        Mean and spread, in the order of its drifting pools, sorted.
    features, entries, pools : list
        What the columns are of.
    """

    weights: NDArray[np.int8]
    counts: NDArray[np.int8]
    drift: NDArray[np.float64]
    features: list[tuple[str, str]]
    entries: list[tuple[str, Memory, str]]
    pools: list[str]

    def __len__(self) -> int:
        return len(self.weights)

    def weights_of(self, number: int, weights: Weights) -> Weights:
        """Return the weights of a refit, from those of the mind."""
        found = {family: dict(features) for family, features in weights.items()}
        moved = (WEIGHT_STEP * self.weights[number]).tolist()
        for (family, feature), step in zip(self.features, moved, strict=True):
            if step:
                found[family][feature] += step
        return found

    def counts_of(self, number: int, counts: Seen) -> Seen:
        """Return its counts, from those of the mind, of memories that were met often."""
        found: dict[str, dict[Memory, dict[str, float]]] = {}
        for (pool, memory, name), step in zip(
            self.entries, self.counts[number].tolist(), strict=True
        ):
            root = counts[pool][memory][name] ** 0.5 + COUNT_STEP * step
            if root > 0:
                found.setdefault(pool, {}).setdefault(memory, {})[name] = round(root * root)
        return {
            pool: {memory: row for memory, row in rows.items() if sum(row.values()) >= OFTEN}
            for pool, rows in found.items()
        }

    def of_weights(self) -> Refits:
        """Return the same without counts and drift, for a mind that has neither."""
        size = len(self)
        return self._replace(
            counts=self.counts[:, :0], drift=np.zeros((size, 0, 2)), entries=[], pools=[]
        )

    def drift_of(self, number: int) -> dict[str, tuple[float, float]]:
        """Return its drift by pool."""
        return {
            pool: (float(mean), float(spread))
            for pool, (mean, spread) in zip(self.pools, self.drift[number], strict=True)
        }


def features_of(mind: RecordedMind) -> list[tuple[str, str]]:
    """Return the features that a mind has weights for, sorted."""
    return sorted((family, feature) for family, row in mind.weights.items() for feature in row)


def entries_of(mind: RecordedMind) -> list[tuple[str, Memory, str]]:
    """Return what a mind has counts of that are not zero, sorted."""
    return sorted(_entries(mind))


def _entries(mind: RecordedMind) -> Iterator[tuple[str, Memory, str]]:
    for pool, rows in mind.fitted_counts.items():
        for memory, row in rows.items():
            for name, times in row.items():
                if times:
                    yield pool, memory, name


def write_refits(refits: Refits, mind: RecordedMind, path: Path) -> None:
    """Write the refits of a mind; the same ones give the same bytes."""
    about = {
        "format": FORMAT,
        "version": VERSION,
        "label": mind.label,
        "weight_step": WEIGHT_STEP,
        "count_step": COUNT_STEP,
        "of": _fingerprint(mind),
    }
    held = io.BytesIO()
    np.savez_compressed(
        held,
        about=np.frombuffer(json_text(about).encode(), np.uint8),
        # A feature after the other: what is alike lies together.
        weights=refits.weights.T.copy(),
        counts=refits.counts.T.copy(),
        drift=refits.drift,
    )
    path.write_bytes(held.getvalue())


def read_refits(path: Path, mind: RecordedMind) -> Refits:
    """Return the refits of a mind from their file; raise ``FileFormatError`` if it has others."""
    content = read_bytes(path, limits.TEXT_FILE.high, _REMEDY)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(one.file_size for one in archive.infolist())
        if unpacked not in limits.TEXT_FILE:
            raise ValueError(f"it unpacks to {unpacked:,} bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            about: dict[str, Any] = json.loads(held["about"].tobytes())
            weights, counts, drift = held["weights"].T, held["counts"].T, held["drift"]
        if (weights.dtype, counts.dtype, drift.dtype) != (np.int8, np.int8, np.float64):
            raise ValueError("its numbers are of another type")
        found = Refits(
            np.ascontiguousarray(weights),
            np.ascontiguousarray(counts),
            drift,
            features_of(mind),
            entries_of(mind),
            sorted(mind.drift),
        )
        steps = about["weight_step"], about["count_step"]
        if (about["format"], about["version"], *steps) != (
            *(FORMAT, VERSION),
            *(WEIGHT_STEP, COUNT_STEP),
        ):
            raise ValueError("it was written by another version")
        if about["of"] != _fingerprint(mind) or not len(found) or not _fits(found):
            raise ValueError(f"it is not of this mind, {mind.label}")
    except Exception as error:  # On bad input the parsers raise nearly every kind there is.
        problem = " ".join(str(error).split())[:300]
        if type(error) is not ValueError:
            problem = f"{type(error).__name__}: {problem}"
        raise FileFormatError(path, f"its refits cannot be read ({problem})", _REMEDY) from error
    return found


def _fits(refits: Refits) -> bool:
    size = len(refits)
    shapes = (
        (refits.weights, (size, len(refits.features))),
        (refits.counts, (size, len(refits.entries))),
        (refits.drift, (size, len(refits.pools), 2)),
    )
    return all(array.shape == shape for array, shape in shapes) and bool(
        ((refits.drift > 0) & (refits.drift < 10)).all()
    )


def _fingerprint(mind: RecordedMind) -> int:
    """Return a number that tells apart minds that play differently, whatever they are called."""
    weights = [(*at, float(mind.weights[at[0]][at[1]])) for at in features_of(mind)]
    counts = [(*at, float(mind.fitted_counts[at[0]][at[1]][at[2]])) for at in entries_of(mind)]
    drift = [(pool, *map(float, mind.drift[pool])) for pool in sorted(mind.drift)]
    return zlib.crc32(repr((weights, counts, drift, float(mind.prior_strength))).encode())
