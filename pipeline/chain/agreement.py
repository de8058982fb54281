"""What a later round found of the pairs of round 0: which pairs both have, and whether their region is the same.

Both datasets are of the same images in the same shards, so they are compared shard by shard.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_manifest
from pipeline.dataset.opening import MinedDataset
from pipeline.masks import rle
from pipeline.storage.in_threads import in_threads

SAME_IOU = 0.9
"""From this overlap on (intersection over union) two regions of a noun in an image are the same."""

_COLUMNS = ("key", "image_id", "image_width", "image_height", "noun", "mask_rle")


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


@dataclass(frozen=True)
class Agreement:
    """A later round against round 0."""

    pairs: int
    """Of the later round."""
    common: int
    """Pairs of the same image and noun in both."""
    same: int
    """Of these, with the same region."""
    nouns: int
    """Of the later round."""
    nouns_before: int
    """Of round 0."""
    nouns_kept: int
    """Of round 0's nouns, those that the later round has pairs of."""

    @property
    def agreement(self) -> float | None:
        """Share of the common pairs that have the same region; None without any."""
        return self.same / self.common if self.common else None

    @property
    def surviving_nouns(self) -> float | None:
        """Share of round 0's nouns that are left; None if it had none."""
        return self.nouns_kept / self.nouns_before if self.nouns_before else None


def compare_with_first(first: MinedDataset, later: MinedDataset) -> Agreement:
    """Compare a later round with round 0.

    Raises:
        UserError: a manifest is damaged.
        OSError: storage cannot be read.
    """
    pairs = common = same = 0
    before: set[str] = set()
    after: set[str] = set()
    for matches, nouns, nouns_later, pairs_later in _matches(first, later, None):
        pairs += pairs_later
        common += len(matches)
        same += sum(match.same for match in matches)
        before |= nouns
        after |= nouns_later
    return Agreement(pairs, common, same, len(after), len(before), len(before & after))


def find_again(first: MinedDataset, later: MinedDataset, keys: Collection[str]) -> dict[str, PairMatch]:
    """Pairs of round 0 in a later round, by their key in round 0; those that are not there are left out.

    Args:
        keys: of pairs of round 0.

    Raises:
        UserError: a manifest is damaged.
        OSError: storage cannot be read.
    """
    return {match.key: match for matches, *_ in _matches(first, later, frozenset(keys)) for match in matches}


def _matches(
    first: MinedDataset, later: MinedDataset, keys: frozenset[str] | None
) -> Iterator[tuple[list[PairMatch], set[str], set[str], int]]:
    """Of each shard the pairs in both, the nouns of each, and the pairs of the later one."""

    def of_shard(shard: int) -> tuple[list[PairMatch], set[str], set[str], int]:
        before = _rows(first.layout, shard) if shard in first_shards else {}
        after = _rows(later.layout, shard) if shard in later_shards else {}
        matches = [
            PairMatch(row["key"], after[pair]["key"], _iou(row, after[pair]))
            for pair, row in before.items()
            if pair in after and (keys is None or row["key"] in keys)
        ]
        return matches, {noun for _, noun in before}, {noun for _, noun in after}, len(after)

    first_shards, later_shards = set(first.shards), set(later.shards)
    return in_threads(of_shard, sorted(first_shards | later_shards))


def _rows(layout: Layout, shard: int) -> dict[tuple[str, str], dict]:
    """The pairs of a shard, by image and noun."""
    rows = read_manifest(layout, shard, _COLUMNS).table.to_pylist()
    return {(row["image_id"], row["noun"]): row for row in rows}


def _iou(before: dict, after: dict) -> float:
    size, other = ((row["image_height"], row["image_width"]) for row in (before, after))
    if size != other:
        return 0.0
    if before["mask_rle"] == after["mask_rle"]:
        return 1.0
    return float(rle.iou([before["mask_rle"].encode()], [after["mask_rle"].encode()], *size)[0, 0])
