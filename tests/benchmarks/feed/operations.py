"""What one region costs before a model on a GPU sees it: operations, bytes to the device, time of the host.

The way of a GPU is taken on the CPU, in one thread, for counting. Photographs are decoded before.
"""

import ctypes
import pickle
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.clip import Clip, RegionEncoder
from pipeline.images import decode_jpeg
from pipeline.regions import RegionsConfig
from tests.benchmarks.feed.clip_stage import OLD, at_once, make_clip, on_one_core
from tests.benchmarks.feed.counting import HostTime, Operations, Transfers
from tests.benchmarks.feed.photographs import Photograph, read
from tests.benchmarks.feed.versions import report

_BATCH = 256


Run = Callable[[Transfers | None], None]
"""Cuts and "encodes" the regions once; may note what travels to the device."""
Decoded = list[tuple[Photograph, np.ndarray]]


def old_run(clip: Clip, photographs: Decoded) -> Run:
    import pipeline.regions

    def resize_as_on_a_gpu(image_Chw: torch.Tensor, size: int) -> torch.Tensor:
        return F.interpolate(image_Chw[None], (size, size), mode="bicubic", align_corners=False)[0]

    pipeline.regions._resize_bicubic = resize_as_on_a_gpu
    encoder = RegionEncoder(clip, RegionsConfig(), _BATCH)

    def run(transfers: Transfers | None) -> None:
        with transfers or nullcontext():
            for _ in encoder.encode((pixels, photograph.codes) for photograph, pixels in photographs):
                pass

    return run


def new_run(clip: Clip, photographs: Decoded) -> Run:
    from pipeline.masks.masks import Masks
    from pipeline.regions.cutters import DeviceCutter

    class CountingCutter(DeviceCutter):
        transfers: Transfers | None

        def _copied(self, tensor: torch.Tensor) -> torch.Tensor:
            if self.transfers and tensor.dtype != torch.uint8:  # those are the images, which are there already
                self.transfers.sent.append(tensor.nbytes)
            return tensor

    encoder = RegionEncoder(clip, RegionsConfig(), _BATCH)
    cutter = CountingCutter(clip.input, RegionsConfig().fill, clip.device, with_masks=False)
    encoder._spare_cutters.append(cutter)

    masks = [Masks(photograph.codes, photograph.height, photograph.width) for photograph, _ in photographs]

    def run(transfers: Transfers | None) -> None:
        cutter.transfers = transfers
        images = [
            (pixels, pickle.loads(pickle.dumps(own)), None)  # as they come from another worker
            for own, (_, pixels) in zip(masks, photographs, strict=True)
        ]
        with transfers or nullcontext():
            for _ in encoder.encode(images, ahead=False):
                pass

    return run


def whole_batches(photographs: list[Photograph]) -> list[Photograph]:
    """As many regions of the first photographs as fill two batches."""
    chosen, free = [], 2 * _BATCH
    for photograph in photographs:
        if free:
            chosen.append(photograph._replace(codes=photograph.codes[:free]))
            free -= len(chosen[-1].codes)
    return chosen


def keep_memory() -> None:
    """Freed memory stays with the process, as a GPU's does: giving it back would count as time of the host."""
    mallopt = ctypes.CDLL(None).mallopt
    most_mapped, trim_threshold = -4, -1
    mallopt(most_mapped, 0)
    mallopt(trim_threshold, 2**31 - 1)


def main(file: str) -> None:
    """Count over two batches of 256."""
    on_one_core()
    keep_memory()
    photographs = whole_batches(read(file))
    regions = sum(len(photograph.codes) for photograph in photographs)
    started = time.thread_time()
    decoded = [(photograph, decode_jpeg(photograph.jpeg)) for photograph in photographs]
    decoding = time.thread_time() - started
    run = (old_run if OLD else new_run)(make_clip(at_once), decoded)
    run(transfers := Transfers())
    seconds = []
    for _ in range(3):
        with Operations() as operations, HostTime(operations) as host:
            run(None)
        seconds.append(host.seconds)
    print(operations.started.most_common())
    images = sum(photograph.height * photograph.width * 3 for photograph in photographs)
    report(
        {
            "operations_per_region": operations.started.total() / regions,
            "calls_per_region": operations.called / regions,
            "waits_per_image": (operations.waits + transfers.fetched) / len(photographs),
            "image_bytes_per_region": images / regions,
            "bytes_per_region": (sum(transfers.sent) - images) / regions,
            "host_us_per_region": min(seconds) / regions * 1e6,
            "jpeg_us_per_region": decoding / regions * 1e6,
        }
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
