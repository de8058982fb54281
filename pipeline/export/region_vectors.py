"""The stored regions of a dataset → CLIP embeddings, cut as training cuts them for validation: masked, the whole box.

Shape suffixes: R regions of a batch, D embedding width.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F  # noqa: N812

from pipeline.clip.model import Clip
from pipeline.dataset.layout import Layout
from pipeline.dataset.sample import DamagedSampleError, damaged_sample, read_range
from pipeline.execution.read_ahead import read_ahead
from pipeline.regions.config import RegionsConfig
from pipeline.training.augmentation import region_box
from pipeline.training.crops import Crops
from pipeline.training.decoding import decode_sample

_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class StoredRegion:
    """Where a sample lies in the tar of its shard, and its checksum."""

    key: str
    tar_offset: int
    tar_length: int
    crc32: int | None


def region_vectors(
    layout: Layout, shard: int, regions: list[StoredRegion], clip: Clip, config: RegionsConfig, batch_size: int
) -> np.ndarray:
    """Embeddings float32 [R,D] of unit length of regions of one shard, in their order.

    Args:
        regions: at least one, in the order of the tar.

    Raises:
        UserError: a sample is damaged.
        OSError: storage cannot be read.
    """

    def batches() -> Iterator[Crops]:
        for start in range(0, len(regions), batch_size):
            shown = list(_decoded(layout, shard, regions[start : start + batch_size], config.expand))
            yield Crops.of([image for image, _ in shown], [mask for _, mask in shown], clip.input, config.fill)

    found = []
    with closing(read_ahead(batches(), _BATCHES_AHEAD)) as crops_of_batches:
        for crops in crops_of_batches:
            pixels_R3SS, masks_R1SS = crops.cut(clip.device)
            features_RD = clip.region_vision(pixels_R3SS, masks_R1SS)
            found.append(F.normalize(features_RD.float(), dim=-1).cpu().numpy())
    return np.concatenate(found)


def _decoded(
    layout: Layout, shard: int, regions: list[StoredRegion], expand: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The box of each region: pixels uint8 [h,w,3] and mask bool [h,w]. One request for all."""
    begin, end = regions[0].tar_offset, regions[-1].tar_offset + regions[-1].tar_length
    data = read_range(layout, shard, begin, end)
    for region in regions:
        start = region.tar_offset - begin
        sample = data[start : start + region.tar_length] if start >= 0 else b""
        try:
            image, mask = decode_sample(sample, region.key, region.crc32, region.tar_length)
        except DamagedSampleError as error:
            raise damaged_sample(layout, shard, region.tar_offset, error) from error
        inside = mask.numpy()
        x0, y0, x1, y1 = region_box(inside, expand)
        yield image.permute(1, 2, 0).numpy()[y0:y1, x0:x1], inside[y0:y1, x0:x1]
