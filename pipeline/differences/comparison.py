"""Two mined datasets → their differences."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
    dataset_a, dataset_b = open_mined_dataset(a, "A"), open_mined_dataset(b, "B")
    settings = differing_settings(dataset_a.description, dataset_b.description, MineConfig)
    comparable = scores_comparable(dataset_a.description, dataset_b.description)
    with open_workspace(config.memory_mb) as workspace, ExitStack() as files:
        loaded_a = files.enter_context(load(workspace, "a", dataset_a))
        loaded_b = files.enter_context(load(workspace, "b", dataset_b))
        join(workspace, loaded_a, loaded_b, config, comparable=comparable)
        explain(workspace, loaded_a, loaded_b, comparable=comparable)
        differences = count(workspace, loaded_a, loaded_b, settings, comparable=comparable)
        yield Comparison(dataset_a, dataset_b, config, workspace, differences)
