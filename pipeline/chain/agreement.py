"""What a later round found of the pairs of round 0: which pairs both have, and whether their region is the same."""

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.dataset.opening import MinedDataset
from pipeline.differences import Differences, DifferencesConfig, compare, open_comparison

SAME_IOU = 0.9
"""From this overlap on (intersection over union) two regions of a noun in an image are the same."""

_SAME = DifferencesConfig(min_iou=SAME_IOU)


@dataclass(frozen=True)
class PairMatch:
    """A pair of round 0 and the one of the same image and noun in a later round."""

    key: str
    """Of round 0's pair."""
    other_key: str
    iou: float
    """Of their regions, 0..1."""

    @property
    def same(self) -> bool:
        """Whether the region is the same."""
        return self.iou >= SAME_IOU


def compare_with_first(first: MinedDataset, later: MinedDataset) -> Differences:
    """Compare a later round with round 0. What is raised: as of `pipeline.differences.compare`."""
    return compare(first.layout.uri, later.layout.uri, _SAME)


def find_again(first: MinedDataset, later: MinedDataset, keys: Collection[str]) -> dict[str, PairMatch]:
    """Pairs of round 0 in a later round, by their key in round 0; those that are not there are left out.

    Args:
        keys: of pairs of round 0.

    Raises:
        UserError, OSError: as `compare_with_first`.
    """
    with open_comparison(first.layout.uri, later.layout.uri, _SAME) as comparison:
        rows = comparison.workspace.run(
            "SELECT key_a, key_b, iou FROM compared WHERE key_b IS NOT NULL AND key_a IN (SELECT unnest(?)) "
            "ORDER BY key_a",
            [list(keys)],
        )
    return {key: PairMatch(key, other_key, iou) for key, other_key, iou in rows}
