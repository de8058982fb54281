"""Replay: whole images with their captions, as CLIP was trained on, beside the regions of each batch.

The images are those that a mined dataset lists, read from where mining read them; `replay.share` of each batch.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch.distributed as dist

from pipeline import storage
from pipeline.captions import read_image, read_shard
from pipeline.dataset.checked_tables import read_columns
from pipeline.dataset.folds import fold_of
from pipeline.dataset.opening import open_mined_dataset
from pipeline.errors import UserError
from pipeline.images import ImageProblem, ImagesConfig
from pipeline.storage.errors import is_denied
from pipeline.storage.in_threads import in_threads
from pipeline.storage.secrets import MARK, redacted
from pipeline.training.config import DataConfig, ReplayConfig, TrainConfig
from pipeline.training.ranks import Ranks
from pipeline.training.samples import is_held_out

_LISTED = ["image_id", "image_uri", "byte_offset", "byte_length", "captions", "problem"]
_LOOKED_FOR = 8


def images_of_a_batch(config: TrainConfig) -> int:
    """How many samples of a batch, over all workers, are whole images.

    Raises:
        UserError: they cannot be shared equally by the workers, or are too few or too many.
    """
    share, batch, workers = config.replay.share, config.batch_size, config.workers.count
    if not share:
        return 0
    images = round(share * batch)
    if images < 2 or images >= batch:
        raise UserError(
            f"replay.share {share:g} of batch_size {batch} is {images} whole images: it must be 2 at least, since each "
            "caption is told apart from the others, and leave room for regions"
        )
    if images % workers:
        raise UserError(
            f"replay.share {share:g} of batch_size {batch} is {images} whole images, which workers.count {workers} "
            "workers cannot share equally: change one of the three"
        )
    return images


@dataclass(frozen=True)
class Replay:
    """Images with captions to replay, in the order of their shards."""

    dataset: str
    """URI of the mined dataset that lists them."""
    table: pa.Table
    """image_id and image_uri string, byte_offset and byte_length int64, captions list<string>, shard and row int32: the
    place in the listing."""

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over the images and their captions, in order."""
        digest = hashlib.sha256()
        for row in self.table.select(["image_id", "image_uri", "captions"]).to_pylist():
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    def read(self, row: int) -> bytes:
        """The file of an image.

        Raises:
            ImageProblem: the image is not to be had: it has gone, its archive is damaged, its host does not answer, its
            address is refused.
            OSError: storage failed.
        """
        [found] = self.table.slice(row, 1).to_pylist()
        address = found["image_uri"]
        try:
            if MARK in address:  # the table shows addresses without signatures; the listing has them
                address = read_shard(self.dataset, found["shard"])["image_uri"][found["row"]].as_py()
            return read_image(address, found["byte_offset"], found["byte_length"], ImagesConfig.max_bytes)
        except (FileNotFoundError, IndexError):
            raise ImageProblem("missing_file", redacted(address)) from None
        except (zipfile.BadZipFile, pa.ArrowInvalid) as error:
            raise ImageProblem("damaged", redacted(f"{address}: {error}")) from None
        except OSError as error:
            if is_denied(error) or address.startswith(("http://", "https://")):
                raise ImageProblem("unreachable", redacted(f"{address}: {error}")) from None
            raise

    def write(self, uri: str) -> None:
        """Write everything into one Parquet file."""
        storage.write_table(self.table.replace_schema_metadata({"dataset": self.dataset}), uri)

    @classmethod
    def read_back(cls, uri: str) -> Self:
        """Read what `write` wrote.

        Raises:
            FileNotFoundError, OSError, pa.ArrowInvalid: as `storage.read_table`.
        """
        table = storage.read_table(uri)
        return cls(table.schema.metadata[b"dataset"].decode(), table.combine_chunks())


def select_replay(config: ReplayConfig, dataset: str, data: DataConfig, images: int) -> Replay:
    """The images to replay: all that have captions; of the dataset that is trained on, none that is held out from it.

    Args:
        dataset: that is trained on.
        images: of each batch.

    Raises:
        UserError: no mined dataset, a damaged one, too few images, or none of the first ones is to be had.
        OSError: storage failed.
    """
    source = config.dataset or dataset
    opened = open_mined_dataset(source, "replay.dataset" if config.dataset else "dataset")

    def listed(shard: int) -> pa.Table:
        table = read_columns(opened.layout.table("captions", shard), _LISTED)
        places = {
            "shard": pa.repeat(shard, len(table)).cast(pa.int32()),
            "row": pa.array(range(len(table)), pa.int32()),
        }
        for name, values in places.items():
            table = table.append_column(name, values)
        usable = pc.and_(table["problem"].is_null(), pc.greater(pc.list_value_length(table["captions"]), 0))
        usable = pc.and_(usable, pc.greater(pc.binary_length(table["image_uri"]), 0))
        return table.filter(usable).drop_columns("problem").replace_schema_metadata(None)

    try:
        tables = list(in_threads(listed, opened.shards))
    except FileNotFoundError as error:
        raise UserError(f"replay.share: {error.filename} is not there, which lists the images of {source}") from error
    table = pa.concat_tables(tables).combine_chunks() if tables else pa.table({"image_id": pa.array([], pa.string())})
    if not config.dataset:
        keep = [
            not is_held_out(image, data.held_out_share) and data.fold in (None, fold_of(image, data.folds))
            for image in table["image_id"].to_pylist()
        ]
        table = table.filter(pa.array(keep, pa.bool_()))
    if len(table) < images:
        raise UserError(
            f"replay.share: {source} lists {len(table)} images with an address and captions, and a batch replays "
            f"{images}: set replay.dataset to a mined dataset that lists more, or replay.share to 0"
        )
    replay = Replay(source, table)
    _check_there(replay)
    return replay


def _check_there(replay: Replay) -> None:
    """Look for some images, evenly spread; one that is there is enough."""
    rows = np.unique(np.linspace(0, len(replay) - 1, _LOOKED_FOR, dtype=int)).tolist()
    problems = []
    for row in rows:
        try:
            replay.read(row)
            return
        except ImageProblem as problem:
            problems.append(problem)
    raise UserError(
        f"replay.share: none of {len(rows)} images of {replay.dataset} that were tried can be read ({problems[0]}): "
        "they have to be where they were mined from. Or set replay.dataset to another mined dataset, or replay.share "
        "to 0"
    )


def of_all_ranks(unreadable: dict[str, str], ranks: Ranks) -> dict[str, str]:
    """What any rank could not read, sorted; every rank calls it."""
    found = [unreadable] * ranks.world_size
    if ranks.world_size > 1:
        dist.all_gather_object(found, unreadable)
    return dict(sorted(item for part in found for item in part.items()))


def told(unreadable: dict[str, str], images: int) -> Iterator[str]:
    """Lines that tell which images could not be replayed.

    Args:
        unreadable: the reason by image_id.
        images: how many there are in all.
    """
    if unreadable:
        first = next(iter(sorted(unreadable.items())))
        yield (
            f"warning: replay: {len(unreadable)} of {images} images could not be read, and others were shown in their "
            f"place; {first[0]}: {first[1]}"
        )
