"""Opening a mined dataset: is it one, what was it made with, and which shards are committed?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import storage
from pipeline.configuration.described import read_description
from pipeline.configuration.fingerprint import kind_of
from pipeline.configuration.recipe import COMMANDS
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import Manifest, read_whole_manifest
from pipeline.errors import UserError
from pipeline.storage.in_threads import in_threads


@dataclass(frozen=True)
class MinedDataset:
    """The committed shards of an output directory."""

    layout: Layout
    description: dict
    """`config.yaml`."""
    shards: list[int]
    """Rising."""
    complete: bool
    """Whether all shards are committed."""

    def manifests(self, columns: Sequence[str] | None = None, optional: Sequence[str] = ()) -> Iterator[Manifest]:
        """The manifests in the order of their shards, a few of them in memory at a time.

        Args:
            columns: only these; None: all.
            optional: and these; nulls in datasets of versions that did not have them.

        Raises:
            UserError: a manifest is damaged.
            OSError: storage cannot be read.
        """
        return in_threads(lambda shard: read_whole_manifest(self.layout, shard, columns, optional), self.shards)

    def check_begun(self) -> None:
        """Check that there is something to read.

        Raises:
            UserError: nothing is committed yet.
        """
        if not self.shards:
            raise UserError(
                f"{self.layout.uri}: no shard is committed yet, so there is nothing to read; mine it first, or wait "
                "for the first shard"
            )


def open_mined_dataset(output: str, key: str = "output") -> MinedDataset:
    """Find out what is there. What is there may be committed in part, or not at all.

    Args:
        output: output directory of a mining job, any fsspec URI.
        key: of the configuration or command line, for messages.

    Raises:
        UserError: it cannot be read, or is no dataset.
        OSError: storage cannot be read.
    """
    storage.check_readable(output, key)
    layout = Layout(output)
    description = read_dataset_description(layout)
    return MinedDataset(layout, description, sorted(layout.committed()), storage.exists(layout.dataset))


def read_dataset_description(layout: Layout) -> dict:
    """`config.yaml` of a mined dataset; it has the parts that readers of datasets need.

    Raises:
        UserError: it is not there, or not a mining job's.
        OSError: storage cannot be read.
    """
    description = read_description(layout.uri)
    if (kind := kind_of(description)) is not None and kind != "mine":
        raise UserError(f"{layout.uri} was made by {COMMANDS[kind]}, so it is no dataset of python -m jobs.mine")
    for key, expected in (
        ("fingerprint", str),
        ("configuration.captions.path", str),
        ("models", dict),
        ("source.shards", int),
        ("source.images", int),
    ):
        value: Any = description
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, expected):
            raise UserError(f"{layout.config} has no {key}, so {layout.uri} is no dataset of python -m jobs.mine")
    return description
