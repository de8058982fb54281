"""Pictures of held-out regions whose nearest noun changed."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.report.dataset.thumbnails import Thumbnail, draw, read_region
from pipeline.report.named_text import marked_caption
from pipeline.report.training.reading import Change, TrainingRun
from pipeline.storage.in_threads import in_threads
from pipeline.training.run_directory import RunDirectory
from pipeline.training.samples import Samples

_SIDE = 160
_READERS = 8


@dataclass(frozen=True)
class Example:
    """A changed region with its pictures."""

    change: Change
    thumbnail: Thumbnail

    @property
    def caption(self) -> tuple[str, str, str]:
        """The caption up to the noun or phrase, the text as it stands there, and the rest."""
        return marked_caption(self.thumbnail.details)


def draw_examples(run: TrainingRun, changes: Sequence[Change]) -> list[Example]:
    """Read the regions from the dataset that the run was validated on, and draw them.

    Raises:
        UserError: the dataset is damaged.
        OSError: the dataset, or the list of samples, is not there any more.
    """
    if not changes:
        return []
    directory, data = RunDirectory(run.uri), run.description["configuration"]["data"]
    samples = Samples.read(directory.validation if storage.exists(directory.validation) else directory.samples)
    rows = pa.compute.index_in(pa.array([change.key for change in changes]), samples.table["key"].combine_chunks())
    spans = samples.table.select(["shard", "tar_offset", "tar_length"]).take(rows).to_pylist()
    dataset = Layout(samples.dataset)

    def one(span: dict) -> Thumbnail:
        return draw(read_region(dataset, *span.values()), _SIDE, data["fill"], data["expand"])

    return [Example(*pair) for pair in zip(changes, in_threads(one, spans, _READERS), strict=True)]
