"""Pairs of two datasets, joined by image and noun: `joined`, then `compared` with the overlap of their regions.

An image may have several phrases of a noun. Where both datasets have phrases, pairs are joined by them; where one has,
its first phrase of a noun is joined with the noun of the other one.

The hash of a run-length code, its frame and its area tell whether two masks are the same; only the others are read.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipeline.differences.config import DifferencesConfig
from pipeline.differences.loading import Loaded
from pipeline.differences.workspace import Workspace
from pipeline.masks.mask_pairs import FramedMasks, iou_of_pairs
from pipeline.storage.documents import damaged
from pipeline.storage.in_threads import in_threads

CATEGORIES = ("added", "lost", "moved", "shifted", "same")
"""What a pair can be; a pair that moved is not looked at for its score."""

_COST_AT_ONCE = 2**19
"""Characters of codes, and columns of masks that are scaled."""
_THREADS = 2

_JOIN = """
CREATE TABLE joined AS SELECT
    coalesce(a.image_id, b.image_id) AS image_id, coalesce(a.noun, b.noun) AS noun,
    coalesce(a.entry, b.entry) AS entry, coalesce(a.phrase, b.phrase) AS phrase, row_a, row_b,
    a.key AS key_a, b.key AS key_b, a.score AS score_a, b.score AS score_b, a.area AS area_a, b.area AS area_b,
    a.width AS width_a, a.height AS height_a, b.width AS width_b, b.height AS height_b,
    a.x0 AS x0_a, a.y0 AS y0_a, a.x1 AS x1_a, a.y1 AS y1_a, b.x0 AS x0_b, b.y0 AS y0_b, b.x1 AS x1_b, b.y1 AS y1_b,
    a.start AS start_a, a.length AS length_a, b.start AS start_b, b.length AS length_b,
    a.width = b.width AND a.height = b.height AS same_frame,
    a.code = b.code AND a.area = b.area AND a.width = b.width AND a.height = b.height AS same_mask,
    a.sha256 <> b.sha256 AS image_changed
FROM (SELECT *, {entry_a} AS entry FROM pairs_a) a FULL JOIN (SELECT *, {entry_b} AS entry FROM pairs_b) b
    ON a.image_id = b.image_id AND a.noun = b.noun AND a.entry = b.entry
"""
# Masks whose boxes do not meet have nothing in common: they need not be read.
_APART = "same_frame AND (x0_a >= x1_b OR x0_b >= x1_a OR y0_a >= y1_b OR y0_b >= y1_a)"
_COMPARE = f"""
CREATE TABLE compared AS
WITH measured AS (
    SELECT joined.*, CASE WHEN same_mask THEN 1 WHEN {_APART} THEN 0 ELSE ious.iou END AS iou
    FROM joined LEFT JOIN ious USING (row_a)
), ranked AS (
    SELECT row_a, percent_rank() OVER (ORDER BY score_b) - percent_rank() OVER (ORDER BY score_a) AS rank_change
    FROM joined WHERE row_a IS NOT NULL AND row_b IS NOT NULL
)
SELECT measured.*, CAST(score_b - score_a AS FLOAT) AS score_change, CAST(rank_change AS FLOAT) AS rank_change,
    CASE WHEN row_a IS NULL THEN 'added' WHEN row_b IS NULL THEN 'lost' WHEN iou < ? THEN 'moved'
    WHEN {{shift}} > ? THEN 'shifted' ELSE 'same' END AS category
FROM measured LEFT JOIN ranked USING (row_a)
"""


def join(workspace: Workspace, a: Loaded, b: Loaded, config: DifferencesConfig, *, comparable: bool) -> None:
    """Make `compared`: one row a pair of either dataset, with its category.

    Args:
        comparable: whether the scores of both are of one CLIP.

    Raises:
        UserError: a mask is damaged.
    """
    both = a.phrases and b.phrases
    entries = {f"entry_{side}": _entry(side, loaded, both) for side, loaded in (("a", a), ("b", b))}
    workspace.connection.execute(_JOIN.format(**entries))
    workspace.connection.register("ious", _overlaps(workspace, a, b))
    # DuckDB subtracts float32; what lies on the limit is as far from it as its rounding.
    shift, limit = (
        ("score_b::DOUBLE - score_a", config.score_shift) if comparable else ("rank_change", config.rank_shift)
    )
    workspace.connection.execute(_COMPARE.format(shift=f"abs({shift})"), [config.min_iou, limit])
    workspace.connection.unregister("ious")
    workspace.connection.execute("DROP TABLE joined")


def _entry(side: str, loaded: Loaded, both: bool) -> str:
    """SQL of what tells the pairs of one noun of an image apart, in a way that both datasets have."""
    if both:
        return "phrase"
    first = f"row_number() OVER (PARTITION BY image_id, noun ORDER BY row_{side})" if loaded.phrases else "1"
    return f"CAST({first} AS VARCHAR)"


def _overlaps(workspace: Workspace, a: Loaded, b: Loaded) -> pa.Table:
    """row_a and iou float32 of the pairs of both datasets whose masks differ and may overlap."""
    rows, ious = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]

    def measured(chunk: tuple[np.ndarray, FramedMasks, FramedMasks]) -> tuple[np.ndarray, np.ndarray]:
        try:
            return chunk[0], iou_of_pairs(*chunk[1:])
        except ValueError as error:
            uris = " or ".join(loaded.dataset.layout.path("manifests") for loaded in (a, b))
            raise damaged(uris, f"a mask of a pair: {error}") from error

    for row, iou in in_threads(measured, _chunks(workspace, a, b), _THREADS):
        rows.append(row)
        ious.append(iou)
    return pa.table({"row_a": np.concatenate(rows), "iou": np.concatenate(ious)})


def _chunks(workspace: Workspace, a: Loaded, b: Loaded) -> Iterator[tuple[np.ndarray, FramedMasks, FramedMasks]]:
    """Row and both masks of those pairs, as many at a time as fit well into a processor's cache."""
    columns = workspace.connection.execute(
        "SELECT row_a, same_frame, start_a, length_a, height_a, width_a, start_b, length_b, height_b, width_b "
        f"FROM joined WHERE row_a IS NOT NULL AND row_b IS NOT NULL AND NOT same_mask AND NOT ({_APART}) ORDER BY row_a"
    ).fetchnumpy()
    count = len(columns["row_a"])
    # A mask that is scaled has a run in each column, however short its code is.
    scaled = ~columns["same_frame"].astype(bool) * (columns["width_a"].astype(np.int64) + columns["width_b"])
    costs_before = np.cumsum(columns["length_a"].astype(np.int64) + columns["length_b"] + scaled)
    start = 0
    while start < count:
        end = int(np.searchsorted(costs_before, (costs_before[start - 1] if start else 0) + _COST_AT_ONCE))
        chosen = {name: values[start : max(end, start + 1)] for name, values in columns.items()}
        start = max(end, start + 1)
        yield chosen["row_a"], _masks(a, "a", chosen), _masks(b, "b", chosen)


def _masks(loaded: Loaded, side: str, chosen: dict[str, np.ndarray]) -> FramedMasks:
    start, length, height, width = (chosen[f"{name}_{side}"] for name in ("start", "length", "height", "width"))
    return FramedMasks(loaded.codes.read(start, length), height.astype(np.int64), width.astype(np.int64))
