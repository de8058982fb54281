"""The figures of a demo, out of the tables that its jobs wrote."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline import storage
from pipeline.dataset.opening import open_mined_dataset
from pipeline.evaluation.result import CLASSES
from pipeline.microworld.categories import NAMES, THINGS
from pipeline.microworld.groups import Groups
from pipeline.proposals.ground_truth import all_annotated
from pipeline.quality import PairPrecision, measure_pairs

KINDS = ("all", "things", "grounds", "annotated", "captioned", "unnamed")
"""All nouns, those of one kind, those of one group."""
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class MeasuredClip:
    """One CLIP on the test world; per cent, by `KINDS`."""

    accuracy: dict[str, float]
    """True regions whose noun is the most similar of all 42."""
    miou: dict[str, float]
    """On proposals."""
    true_mask_miou: dict[str, float]
    """On true masks."""


def measure(evaluation: Path, groups: Groups) -> MeasuredClip:
    """The figures of one evaluation."""
    tables = [storage.read_table(str(path)) for path in sorted((evaluation / "regions").iterdir())]
    labels = np.concatenate([table["label"].to_numpy() for table in tables])
    right = np.concatenate([table["rank"].to_numpy() == 0 for table in tables])
    classes = storage.read_table(str(evaluation / CLASSES)).to_pylist()
    iou = {(row["branch"], row["name"]): row["iou"] for row in classes}
    names = {kind: [name for name in NAMES if _belongs(name, kind, groups)] for kind in KINDS}

    def miou(branch: str, kind: str) -> float:
        return _mean([iou[branch, name] for name in names[kind] if iou[branch, name] is not None])

    return MeasuredClip(
        {kind: _mean(right[np.isin(labels, [NAMES.index(name) for name in names[kind]])]) for kind in KINDS},
        {kind: miou("clip", kind) for kind in KINDS},
        {kind: miou("true_masks", kind) for kind in KINDS},
    )


def mined_rows(mined: Path) -> list[dict]:
    """The rows of all manifests of a mined dataset."""
    return [row for manifest in open_mined_dataset(str(mined)).manifests() for row in manifest.table.to_pylist()]


def measure_mining(mined: Path, world: Path) -> dict[str, PairPrecision]:
    """How often mined pairs are right: the best by score, things and grounds."""
    rows = mined_rows(mined)
    truth = all_annotated(str(world / "panoptic.json"))
    scores = np.array([row["clip_score"] for row in rows])
    chosen = {
        f"best {1 - quantile:.0%} by score" if quantile else "all": scores >= np.quantile(scores, quantile)
        for quantile in QUANTILES
    }
    is_thing = np.array([row["noun"] in THINGS for row in rows])
    chosen |= {"things": is_thing, "grounds": np.array([row["noun"] in NAMES for row in rows]) & ~is_thing}
    return {
        name: measure_pairs([row for row, keep in zip(rows, kept, strict=True) if keep], truth)
        for name, kept in chosen.items()
    }


def _belongs(name: str, kind: str, groups: Groups) -> bool:
    if kind in ("things", "grounds"):
        return (name in THINGS) == (kind == "things")
    return kind == "all" or groups.of(name) == kind


def _mean(values: np.ndarray | list[float]) -> float:
    return 100 * float(np.mean(values)) if len(values) else float("nan")
