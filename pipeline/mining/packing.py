"""A shard as it lies in Ray's object store between two stages: an Arrow table of one row.

A hundred megabytes change hands there again and again, so few of them are copied. What a stage has made and later ones
only look at, JPEGs and proposals, are columns of their own: a stage hands them on as they came. Of JPEGs it gets views,
so whoever keeps an image's JPEG keeps the whole block in the store. Everything else is pickled anew by each stage.
"""

import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa

from pipeline.mining.work import Image, Shard

_JPEGS = pa.large_list(pa.large_binary())


def pack(shard: Shard, block: pa.Table | None = None) -> pa.Table:
    """A shard as a table {shard, jpegs, proposals, work} of one row; proposals are null before there are any.

    Args:
        block: that the shard was unpacked from; what it has of JPEGs and proposals is handed on. None: all of the shard
            is new.
    """
    if block is None:
        data = [image.jpeg.data if image.jpeg else None for image in shard.images]
        jpegs = pa.chunked_array([pa.array([data], _JPEGS)])
    else:
        jpegs = block["jpegs"]
    if block is not None and block["proposals"].null_count == 0:
        proposals = block["proposals"]
    elif any(image.proposals for image in shard.images):
        proposals = _pickled([image.proposals for image in shard.images])
    else:
        proposals = pa.nulls(1, pa.large_binary())
    work = _pickled(replace(shard, images=[_rest(image) for image in shard.images]))
    return pa.table({"shard": [shard.number], "jpegs": jpegs, "proposals": proposals, "work": work})


def unpack(block: pa.Table) -> Shard:
    """The shard that a table holds; the JPEGs of its images are views of it."""
    shard: Shard = pickle.loads(block["work"][0].as_buffer())
    data = block["jpegs"][0].values
    found = block["proposals"][0]
    proposals = pickle.loads(found.as_buffer()) if found.is_valid else [None] * len(shard.images)
    for image in shard.images:
        if image.jpeg:
            image.jpeg = replace(image.jpeg, data=memoryview(data[image.index].as_buffer()))
        if not image.rejected:
            image.proposals = proposals[image.index]
    return shard


def _rest(image: Image) -> Image:
    return replace(image, jpeg=image.jpeg and replace(image.jpeg, data=b""), proposals=None)


def _pickled(content: object) -> pa.Array:
    """A column of one row, as `pa.array` would make it, without a copy."""
    data = pickle.dumps(content, protocol=5)
    ends = np.array([0, len(data)], np.int64)
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, pa.py_buffer(ends), pa.py_buffer(data)])
