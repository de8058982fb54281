"""The proposals table of a shard: all masks that its images were matched with, kept so that nobody makes them again.

Written by a mining job with `keep_proposals`, and read without trust.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline.dataset.checked_tables import parse_columns
from pipeline.masks.masks import Masks
from pipeline.storage.documents import damaged

_MOST_PIXELS = 2**30  # of a frame: masks of a dataset are those of JPEGs


@dataclass(frozen=True)
class KeptProposals:
    """The proposals of one image, in the order in which the backend gave them: `proposal_index` counts them."""

    image_id: str
    image_uri: str
    masks: Masks
    """K masks; none is empty."""
    scores: np.ndarray
    """float32 [K]."""
    backends: tuple[str, ...] | None = None
    """K names; None where the table does not know them."""
    prompts: tuple[Mapping[str, float], ...] | None = None
    """K mappings of the names that a mask answers to how well; None where no backend was asked by names."""
    asked: tuple[str, ...] | None = None
    """The names that the image was asked for, or None."""


def proposals_table(shard: int, kept: Iterable[KeptProposals]) -> pa.Table:
    """Rows of `schemas.PROPOSALS`, one an image, in the order given."""
    return pa.Table.from_pylist(
        [
            {
                "shard": shard,
                "image_id": image.image_id,
                "image_uri": image.image_uri,
                "image_width": image.masks.width,
                "image_height": image.masks.height,
                "mask_rles": [code.decode() for code in image.masks],
                "scores": image.scores,
                "backends": image.backends,
                "prompted_by": None if image.prompts is None else [list(names) for names in image.prompts],
                "prompt_scores": None if image.prompts is None else [list(names.values()) for names in image.prompts],
                "asked": image.asked,
            }
            for image in kept
        ],
        schemas.PROPOSALS,
    )


class ProposalsOfShard:
    """A proposals table that has been read, and where in it each image is. It stays as it was read: codes of a shard
    are some megabytes, as Python objects they would be several times as many.
    """

    def __init__(self, data: bytes, uri: str, shard: int):
        """
        Args:
            data: the content of the file.
            uri: for messages.

        Raises:
            UserError: it is damaged, of another shard, or has an image twice.
        """
        self._uri = uri
        required = [field.name for field in schemas.PROPOSALS if not field.nullable]
        table = parse_columns(pa.BufferReader(data), uri, schemas.PROPOSALS.names, required)
        for field in schemas.PROPOSALS:
            if field.name not in table.column_names:  # an older version kept none
                table = table.append_column(field, pa.nulls(len(table), field.type))
            column = table[field.name]
            # Names of the items of a list are no matter of content, and differ between writers.
            if not column.type.equals(field.type) or (column.null_count and not field.nullable):
                raise damaged(uri, f"the column {field.name} has type {column.type}, not {field.type}, or nulls")
        if len(table) and not pc.all(pc.equal(table["shard"], shard)).as_py():
            raise damaged(uri, f"it holds proposals of other shards than {shard}")
        ids = table["image_id"].to_pylist()
        self._row = {image_id: row for row, image_id in enumerate(ids)}
        if len(self._row) != len(ids):
            raise damaged(uri, "it has an image twice")
        self._table = table.combine_chunks()

    def __len__(self) -> int:
        """How many images it has."""
        return len(self._row)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._row

    def proposals(self, image_id: str) -> KeptProposals:
        """The proposals of an image.

        Raises:
            KeyError: the table does not have it.
            UserError: they are damaged.
        """
        row = self._table.slice(self._row[image_id], 1).to_pylist()[0]
        height, width, codes, scores = (row[name] for name in ("image_height", "image_width", "mask_rles", "scores"))
        if min(height, width) < 1 or height * width > _MOST_PIXELS:
            raise self._damaged(image_id, f"a frame of {width}×{height}")
        if len(codes) != len(scores) or None in codes or None in scores:
            raise self._damaged(image_id, f"{len(codes)} masks and {len(scores)} scores, or nulls among them")
        try:
            masks = Masks([code.encode() for code in codes], height, width)
        except ValueError as error:
            raise self._damaged(image_id, error) from error
        if not masks.areas.all():
            raise self._damaged(image_id, "an empty mask")
        backends, asked = (None if row[name] is None else tuple(row[name]) for name in ("backends", "asked"))
        if (backends is not None and (len(backends) != len(codes) or None in backends)) or (asked and None in asked):
            raise self._damaged(image_id, f"{len(codes)} masks of other backends, or names that are null")
        prompts = self._prompts(image_id, row, len(codes))
        if (prompts is None) != (asked is None):
            raise self._damaged(image_id, "names that were asked for without those that masks answer, or these alone")
        return KeptProposals(
            image_id, row["image_uri"], masks, np.asarray(scores, np.float32), backends, prompts, asked
        )

    def _prompts(self, image_id: str, row: dict, masks: int) -> tuple[dict[str, float], ...] | None:
        names, scores = row["prompted_by"], row["prompt_scores"]
        if names is None and scores is None:
            return None
        lists = [*(names or ()), *(scores or ())]
        if None in lists or any(None in some for some in lists) or not len(names or ()) == len(scores or ()) == masks:
            raise self._damaged(image_id, f"{masks} masks and other names or scores of them, or nulls among them")
        if any(len(some) != len(of) for some, of in zip(names, scores, strict=True)):
            raise self._damaged(image_id, "names of a mask and other scores of them")
        return tuple(dict(zip(some, of, strict=True)) for some, of in zip(names, scores, strict=True))

    def _damaged(self, image_id: str, found: object) -> Exception:
        return damaged(self._uri, f"of image {image_id!r} it has {found}")
