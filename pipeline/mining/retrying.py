"""Rejected images that may be there now: `python -m jobs.mine --retry-rejected REASON…`.

Each of them is asked for again, from this process. A shard of which one can be read now is due again, so that the job
that follows mines it anew, with all its images; the other shards stay as they are.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.configuration import fingerprint
from pipeline.configuration.overwriting import check_no_links
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.opening import open_mined_dataset
from pipeline.errors import UserError
from pipeline.mining.config import MineConfig
from pipeline.mining.plan import resolve
from pipeline.mining.steps.read_images import read_again

_COLUMNS = ("image_id", "caption_index", "noun", "stage", "reason")
_STAGE = "images"
"""Of rejects that reading again may mend."""


@dataclass
class Retried:
    """What was found."""

    asked: int = 0
    """Rejected images that were asked for again."""
    readable: int = 0
    """Those that can be read now."""
    due: list[int] = field(default_factory=list)
    """Shards that they are of."""
    still: Counter[str] = field(default_factory=Counter)
    """The others, by the reason they have now."""

    def described(self) -> list[str]:
        """For the terminal."""
        lines = [
            f"{self.readable} of {self.asked} rejected images can be read now; {len(self.due)} shards are mined again"
        ]
        return [*lines, *(f"still {reason}: {images} images" for reason, images in self.still.most_common())]


def make_due(config: MineConfig, reasons: Sequence[str]) -> Retried:
    """Ask again for the images that were rejected while they were read, and make shards of readable ones due.

    Args:
        reasons: of the rejects: unreachable, timed_out, missing_file, …

    Raises:
        UserError: there is no such dataset, it was mined with another configuration, or nothing was rejected so.
        OSError: storage failed.
    """
    config = resolve(config)
    dataset = open_mined_dataset(config.output)
    storage.check_writable(config.output, "output")
    fingerprint.check_configuration(dataset.description, dataset.layout.config, MineConfig, asdict(config))
    layout = dataset.layout
    rejected = {shard: _rejected(layout, shard) for shard in dataset.shards}
    known = Counter(reason for table in rejected.values() for reason in table["reason"].to_pylist())
    if unknown := [reason for reason in reasons if reason not in known]:
        there = ", ".join(f"{reason} ({images})" for reason, images in known.most_common()) or "nothing"
        raise UserError(
            f"--retry-rejected: no image of {config.output} was rejected as {unknown[0][:100]!r} while images were "
            f"read; found: {there}"
        )
    found = Retried()
    for shard, table in rejected.items():
        images = table.filter(pc.is_in(table["reason"], value_set=pa.array(reasons)))["image_id"].to_pylist()
        if images:
            _ask(layout, shard, images, config, found)
    if found.due:
        check_no_links(config.output, ["manifests"])
        storage.remove(layout.dataset)  # first: it says that the dataset is whole
        for shard in found.due:
            storage.remove(layout.table("manifests", shard))
    return found


def _rejected(layout: Layout, shard: int) -> pa.Table:
    """The rows of whole images of a shard that could not be read."""
    table = read_checked_table(layout.table("rejects", shard), _COLUMNS)
    of_image = pc.and_(pc.is_null(table["caption_index"]), pc.is_null(table["noun"]))
    return table.filter(pc.and_(of_image, pc.equal(table["stage"], _STAGE)))


def _ask(layout: Layout, number: int, images: Collection[str], config: MineConfig, found: Retried) -> None:
    shard = read_again(layout, number, images, config.images)
    readable = len(shard.remaining())
    found.asked += readable + len(shard.rejects)
    found.readable += readable
    found.still.update(reject["reason"] for reject in shard.rejects)
    if readable:
        found.due.append(number)
