"""`data.deduplicate`: one image of each group of near-duplicates."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.hashes import dataset_hashes
from pipeline.dataset.layout import Layout
from pipeline.duplicates.groups import first_of_groups
from pipeline.errors import UserError


def without_duplicates(pairs: pa.Table, layout: Layout, shards: Iterable[int], distance: int) -> tuple[pa.Table, int]:
    """The pairs of one image of each group: the first one, in the order of the dataset, that has pairs.

    Groups are those of `jobs.inspect duplicates`: of all images that were read, whether they have pairs or not. So what
    `data.where` leaves out joins images, but never stands for them.

    Args:
        pairs: with `image_id`, sorted by key.
        shards: of the dataset that can be read; the pairs are of these.
        distance: bits in which an image differs at most from another one of its group.

    Returns:
        the pairs that are left, in their order, and how many images were left out.

    Raises:
        UserError: the dataset has no hashes, or they are damaged.
        OSError: storage cannot be read.
    """
    try:
        hashes = dataset_hashes(layout, shards)
    except UserError as error:
        raise UserError(f"data.deduplicate: {error}") from None
    first_N, _, _ = first_of_groups(hashes, distance)
    images = pairs["image_id"].unique()  # in the order of the dataset
    rows = pc.index_in(images, hashes["image_id"].combine_chunks())
    _, first_of_group = np.unique(first_N[rows.to_numpy()], return_index=True)
    kept = images.take(pa.array(np.sort(first_of_group)))
    return pairs.filter(pc.is_in(pairs["image_id"], kept)), len(images) - len(kept)
