"""Which pairs people label: a sample stratified by score, noun frequency and agreement.

Cells are quarters of the scores × three groups of nouns by their frequency × whether a second opinion agrees (without
one: whether the noun fits its mask best of all nouns of the image). A stratum is a cell, or several where one alone
would get too few of the sample. Shares of the sample are a power allocation (M. D. Bankier, "Power allocations", The
American Statistician 42, 1988): n_h in proportion to N_h^¾, between N_h, which suits a figure of all pairs best, and
equal shares, which suit figures of parts best.

Every pair has a probability n_h / N_h > 0, so an estimate that weighs by N_h / n_h is of all pairs.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.quality.label_document import Stratum

_QUARTERS = (0.25, 0.5, 0.75)
_THIRDS = (1 / 3, 2 / 3)
_POWER = 0.75
_LEAST_DRAWN = 4.0
"""Of a stratum, in the mean: two suffice for a variance, and who stops half way should have these."""
_SHAPE = (4, 3, 2)
_NAMES = (
    ("lowest scores", "lower scores", "higher scores", "highest scores"),
    ("rare nouns", "middling nouns", "frequent nouns"),
    ("disagree", "agree"),
)
_PLACES = np.stack(np.unravel_index(np.arange(np.prod(_SHAPE)), _SHAPE), axis=1)
_STEPS = (np.abs(_PLACES[:, None] - _PLACES[None]) * (1, 1, 2)).sum(axis=2)
"""Between cells; agreement, which tells most, counts as two."""


@dataclass(frozen=True)
class DrawingColumns:
    """What the strata are made of; P pairs."""

    score: np.ndarray
    """float32 [P]."""
    noun: np.ndarray
    """int [P], codes from 0."""
    noun_margin: np.ndarray
    """float32 [P], nan where the image has one noun."""
    agreement: np.ndarray | None = None
    """bool [P], whether a second opinion agrees; None: whether `noun_margin` is not negative."""


@dataclass(frozen=True)
class DrawnSample:
    """Pairs to label; S of them."""

    rows: np.ndarray
    """int64 [S], each once. The order is random within each stratum, and mixes the strata evenly: whoever stops early
    has labelled a random part of each."""
    stratum: np.ndarray
    """int32 [S], index into `strata`."""
    strata: tuple[Stratum, ...]
    seed: int

    @property
    def weights(self) -> np.ndarray:
        """float64 [S]: how many pairs of the dataset each stands for."""
        return np.array([part.pairs / part.drawn for part in self.strata])[self.stratum]


def draw_sample(columns: DrawingColumns, count: int, seed: int) -> DrawnSample:
    """Draw `count` pairs, all if there are no more. Equal columns, counts and seeds draw equally.

    Raises:
        UserError: `count` is below 1.
    """
    if count < 1:
        raise UserError(f"a sample of {count} pairs cannot be drawn; take at least 1")
    generator = np.random.default_rng(seed)
    pairs = len(columns.score)
    stratum_of, names = _strata(columns, min(count, pairs))
    sizes = np.bincount(stratum_of, minlength=len(names))
    drawn = _allocate(sizes, min(count, pairs))
    members = np.split(np.argsort(stratum_of, kind="stable"), np.cumsum(sizes)[:-1]) if pairs else []
    rows = [np.zeros(0, np.int64)]
    places = [np.zeros(0)]
    for rows_of, wanted in zip(members, drawn.tolist(), strict=True):
        rows.append(generator.choice(rows_of, wanted, replace=False))
        # One place in each of as many equal parts of the order as are drawn.
        places.append((np.arange(wanted) + generator.random(wanted)) / wanted)
    order = np.argsort(np.concatenate(places), kind="stable")
    chosen = np.repeat(np.arange(len(names), dtype=np.int32), drawn)
    strata = tuple(Stratum(*values) for values in zip(names, sizes.tolist(), drawn.tolist(), strict=True))
    return DrawnSample(np.concatenate(rows)[order], chosen[order], strata, seed)


def _allocate(sizes: np.ndarray, count: int) -> np.ndarray:
    """How many to draw from strata of these sizes, `count` in all: at least one and at most all of each.

    Each one goes where the share falls shortest of the wanted one (Webster's method).
    """
    wanted, drawn = sizes**_POWER, np.minimum(sizes, 1)
    for _ in range(count - int(drawn.sum())):
        drawn[np.argmax(np.where(drawn < sizes, wanted / (drawn + 0.5), -1.0))] += 1
    return drawn


def _strata(columns: DrawingColumns, count: int) -> tuple[np.ndarray, list[str]]:
    """By pair its stratum, int64 [P], and the names of the strata."""
    cells = np.ravel_multi_index((_quarter(columns.score), _frequency(columns.noun), _agrees(columns)), _SHAPE)
    sizes = np.bincount(cells, minlength=int(np.prod(_SHAPE)))
    groups = [[cell] for cell in np.flatnonzero(sizes).tolist()]
    while len(groups) > 1:
        pairs_of = np.array([sizes[group].sum() for group in groups], np.float64)
        smallest = int(np.argmin(pairs_of))
        if count * pairs_of[smallest] ** _POWER / (pairs_of**_POWER).sum() >= _LEAST_DRAWN:
            break
        group = groups.pop(smallest)
        nearest = min(groups, key=lambda other: (_STEPS[np.ix_(group, other)].min(), sizes[other].sum()))
        nearest += group
    groups = sorted(map(sorted, groups))
    stratum_of_cell = np.zeros(len(sizes), np.int64)
    for number, group in enumerate(groups):
        stratum_of_cell[group] = number
    return stratum_of_cell[cells], [_name(group) for group in groups]


def _quarter(score: np.ndarray) -> np.ndarray:
    """Quarter of the scores, 0 the lowest; equal scores are in one, and what is no number counts as low."""
    score = np.nan_to_num(score.astype(np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    if not len(score):
        return np.zeros(0, np.int64)
    return np.searchsorted(np.quantile(score, _QUARTERS, method="lower"), score, side="left")


def _frequency(noun: np.ndarray) -> np.ndarray:
    """Third of the pairs by how often their noun occurs, 0 the rarest; equally frequent nouns are in one."""
    counts = np.bincount(noun)[noun]
    levels, level_of, pairs_of = np.unique(counts, return_inverse=True, return_counts=True)
    middle = (np.cumsum(pairs_of) - pairs_of / 2) / max(len(noun), 1)
    return np.searchsorted(_THIRDS, middle)[level_of] if len(levels) else np.zeros(0, np.int64)


def _agrees(columns: DrawingColumns) -> np.ndarray:
    if columns.agreement is not None:
        return columns.agreement.astype(np.int64)
    return (~(columns.noun_margin < 0)).astype(np.int64)  # without another noun nothing disagrees


def _name(group: list[int]) -> str:
    """`lowest to lower scores, rare nouns, agree`; what a stratum has all of is left out."""
    parts, cells = [], 1
    for names, axis in zip(_NAMES, np.unravel_index(group, _SHAPE), strict=True):
        low, high = int(axis.min()), int(axis.max())
        cells *= high - low + 1
        if high - low + 1 < len(names):
            parts.append(names[low] if low == high else f"{names[low].split()[0]} to {names[high]}")
    return f"{', '.join(parts) or 'all pairs'}{'' if cells == len(group) else ' (in part)'}"
