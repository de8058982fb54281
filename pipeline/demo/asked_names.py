"""Whether nouns that show nothing are rejected where masks are asked for by name, by what the truth answers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.dataset.opening import open_mined_dataset
from pipeline.demo.measures import mined_rows
from pipeline.proposals.ground_truth import all_annotated
from pipeline.storage import read_table

_NOT_FOUND = "not_found"


@dataclass(frozen=True)
class AskedNames:
    """How many of the nouns of images found nothing; per cent."""

    visible: float
    """Of those that name something of which the scene has a pixel."""
    invisible: float
    """Of those that show nothing in it ("picture", "side")."""


def measure_asked_names(mined: Path, world: Path) -> AskedNames:
    """The figures of a dataset whose masks were asked for by nouns.

    Args:
        mined: the dataset.
        world: the scenes that it was mined from, with their truth.
    """
    categories = cache(all_annotated(str(world / "panoptic.json")).categories)

    def seen(rows: Iterable[dict]) -> Counter[bool]:
        return Counter(row["noun"] in categories(row["image_id"]) for row in rows)

    layout = open_mined_dataset(str(mined)).layout
    tables = (read_table(layout.table("rejects", shard)) for shard in sorted(layout.committed()))
    lost = seen(row for table in tables for row in table.to_pylist() if row["reason"] == _NOT_FOUND)
    asked = lost + seen(mined_rows(mined))
    return AskedNames(100 * lost[True] / asked[True], 100 * lost[False] / asked[False])
