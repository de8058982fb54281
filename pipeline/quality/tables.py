"""p_right of all pairs, as the quality tables of a dataset have it."""

from dataclasses import dataclass

import numpy as np

from pipeline.dataset.manifests import Manifest
from pipeline.dataset.opening import MinedDataset
from pipeline.dataset.quality import Quality, read_quality, write_quality
from pipeline.errors import UserError
from pipeline.quality.columns import PairColumns


@dataclass(frozen=True)
class StoredQuality:
    """The quality tables of all shards."""

    p_right: np.ndarray
    """float32 [P]."""
    about: dict
    """Of the first of them; all are of the same answers and model."""


def read_stored(dataset: MinedDataset, pairs: PairColumns) -> StoredQuality | str | None:
    """The quality tables of a dataset; None if it has none, and why not where they cannot be used.

    Raises:
        OSError: storage cannot be read.
    """
    there = dataset.layout.present("quality") & set(pairs.shards)
    if not there:
        return None
    if missing := len(pairs.shards) - len(there):
        return f"{missing} of {len(pairs.shards)} shards have no quality table, so p_right is not used"
    found: list[Quality] = []
    try:
        found += [read_quality(dataset.layout, manifest) for manifest in dataset.manifests(["key"])]
    except UserError as error:
        return f"p_right is not used: {error}"
    if any(quality.about != found[0].about for quality in found):
        return "p_right is not used: the quality tables of the shards were made from other labels each"
    return StoredQuality(np.concatenate([quality.p_right for quality in found]), found[0].about)


def keep_or_write(dataset: MinedDataset, manifest: Manifest, p_right_P: np.ndarray, about: dict) -> bool:
    """Write the quality table of a shard unless the same one is there. Returns whether it was written.

    Raises:
        OSError: storage failed.
    """
    try:
        found = read_quality(dataset.layout, manifest)
        if found.about == about and np.array_equal(found.p_right, p_right_P):
            return False
    except UserError:  # none, or one of something else: it is replaced
        pass
    write_quality(dataset.layout, manifest, p_right_P, about)
    return True
