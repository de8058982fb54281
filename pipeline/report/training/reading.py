"""What a training run has stored, put together for its report."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.configuration.described import read_description
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.errors import UserError
from pipeline.storage.documents import damaged, read_json
from pipeline.training.run_directory import RunDirectory


@dataclass(frozen=True)
class ShownValidation:
    """What each held-out region was nearest to at one moment of a run."""

    stage: str
    step: int
    epoch: float
    top1: float
    top5: float
    regions: pa.Table | None
    """As `schemas.NEAREST`; None in runs of older versions, which kept the accuracy alone."""

    @property
    def title(self) -> str:
        """`before training`, `after full, epoch 2`."""
        return f"after {self.stage}, epoch {self.epoch:g}" if self.step else "before training"


@dataclass(frozen=True)
class TrainingRun:
    """A complete run."""

    uri: str
    description: dict
    """The content of `config.yaml`."""
    result: dict
    """The content of `result.json`."""
    metrics: list[dict]
    """Rows of `metrics.parquet`, with `total`: steps since the beginning, over all phases."""
    validations: list[ShownValidation]
    """In their order; empty if nothing was held out."""
    interpolation: dict | None = None
    """`interpolation/result.json`; None if the run was not interpolated."""


@dataclass(frozen=True)
class NounGain:
    """How many of a noun's held-out regions were nearest to it."""

    noun: str
    regions: int
    before: int
    after: int

    @property
    def gain(self) -> float:
        """Difference of the accuracies, −1..1."""
        return (self.after - self.before) / self.regions


@dataclass(frozen=True)
class Change:
    """A held-out region that is named rightly before and wrongly after, or the reverse."""

    key: str
    noun: str
    before: str
    """The nearest noun before training."""
    after: str
    """The nearest noun after it."""
    rank: int
    """How many nouns were, or are, more similar than the region's own when it is named wrongly."""


def read_run(uri: str) -> TrainingRun:
    """Read a run from storage.

    Raises:
        UserError: the run is not complete.
        OSError: storage cannot be read.
    """
    directory = RunDirectory(uri)
    try:
        result = read_json(directory.result)
    except FileNotFoundError:
        raise UserError(f"{uri}: no result.json: the run is not complete; the same training command goes on") from None
    metrics = read_checked_table(directory.metrics).to_pylist()
    stages = list(result["steps"])
    for row in metrics:
        row["total"] = row["step"] + sum(result["steps"][name] for name in stages[: stages.index(row["stage"])])
    return TrainingRun(
        uri,
        read_description(uri),
        result,
        metrics,
        [_validation(directory, row) for row in metrics if row["accuracy_top1"] is not None],
        _interpolation(directory, result),
    )


def _interpolation(directory: RunDirectory, result: dict) -> dict | None:
    """What was measured between the original CLIP and this run's; not what is left there of an earlier run."""
    try:
        found = read_json(directory.interpolated)
    except FileNotFoundError:
        return None
    return found if found.get("fingerprint") == result.get("fingerprint") else None


def _validation(directory: RunDirectory, row: dict) -> ShownValidation:
    if row["stage"] not in ("pretrain", "full", "mask_prompt"):  # it is part of a file's name
        raise damaged(directory.metrics, f"there is no stage {row['stage']!r}")
    try:
        regions = read_checked_table(directory.nearest(row["stage"], row["step"]))
    except FileNotFoundError:
        regions = None
    return ShownValidation(row["stage"], row["step"], row["epoch"], row["accuracy_top1"], row["accuracy_top5"], regions)


def noun_gains(before: pa.Table, after: pa.Table) -> list[NounGain]:
    """How every noun fared, the largest gain of regions first.

    Args:
        before, after: as `schemas.NEAREST`, of the same regions.
    """
    nouns, noun_of_row = np.unique(np.array(before["noun"].to_pylist(), dtype=object), return_inverse=True)
    regions, *right = (
        np.bincount(noun_of_row, weights=weights, minlength=len(nouns)).astype(int).tolist()
        for weights in (None, _right(before), _right(after))
    )
    gains = [NounGain(*row) for row in zip(nouns.tolist(), regions, *right, strict=True)]
    return sorted(gains, key=lambda row: (row.before - row.after, row.noun))


def changes(before: pa.Table, after: pa.Table) -> tuple[list[Change], list[Change]]:
    """The regions that are named rightly now and were not, and the reverse; those furthest from it first.

    Args:
        before, after: as `schemas.NEAREST`, of the same regions.
    """
    was, now = _right(before), _right(after)
    found = []
    for chosen, wrong in ((~was & now, before), (was & ~now, after)):
        rows = np.flatnonzero(chosen)
        columns = [before["key"], before["noun"], before["nearest"], after["nearest"], wrong["rank"]]
        changed = [Change(*row) for row in zip(*(column.take(rows).to_pylist() for column in columns), strict=True)]
        found.append(sorted(changed, key=lambda change: (-change.rank, change.key)))
    return found[0], found[1]


def _right(table: pa.Table) -> np.ndarray:
    """Whether each region is nearest to its own noun, bool [R]."""
    return np.array(table["nearest"].to_pylist(), dtype=object) == np.array(table["noun"].to_pylist(), dtype=object)
