"""Two mined datasets → their differences."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.configuration import limits
from pipeline.dataset.opening import MinedDataset, open_mined_dataset
from pipeline.differences.config import DEFAULT, DifferencesConfig
from pipeline.differences.counts import Differences, count
from pipeline.differences.joining import join
from pipeline.differences.loading import load
from pipeline.differences.reasons import explain
from pipeline.differences.settings import differing_settings, scores_comparable
from pipeline.differences.workspace import Workspace, open_workspace
from pipeline.mining.config import MineConfig


@dataclass(frozen=True)
class Comparison:
    """Two datasets and what differs, while it can be asked for."""

    a: MinedDataset
    b: MinedDataset
    config: DifferencesConfig
    workspace: Workspace
    """With the tables `compared` and `explained`."""
    differences: Differences


def compare(a: str, b: str, config: DifferencesConfig = DEFAULT) -> Differences:
    """Count the differences of two mined datasets, in any order of images and shards.

    Pairs are the same if image id and noun are: they are compared by the overlap of their regions.

    Args:
        a, b: output directories of mining jobs, any fsspec URI; complete or not.

    Raises:
        UserError: one is no dataset, has nothing committed yet, or is damaged; a limit is out of range.
        OSError: storage cannot be read.
    """
    with open_comparison(a, b, config) as comparison:
        return comparison.differences


@contextmanager
def open_comparison(a: str, b: str, config: DifferencesConfig = DEFAULT) -> Iterator[Comparison]:
    """Compare two mined datasets and keep all rows, in a temporary folder, until the context ends.

    Raises:
        UserError, OSError: as `compare`.
    """
    limits.check(config)
    datasets = [open_mined_dataset(uri, key) for uri, key in ((a, "A"), (b, "B"))]
    descriptions = [dataset.description for dataset in datasets]
    settings = differing_settings(*descriptions, MineConfig)
    comparable = scores_comparable(*descriptions)
    with open_workspace(config.memory_mb) as workspace:
        loaded = [load(workspace, side, dataset) for side, dataset in zip("ab", datasets, strict=True)]
        try:
            join(workspace, *loaded, config, comparable=comparable)
            explain(workspace, *loaded, comparable=comparable)
            differences = count(workspace, *loaded, settings, comparable=comparable)
            yield Comparison(*datasets, config, workspace, differences)
        finally:
            for one in loaded:
                one.codes.close()
