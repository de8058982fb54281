"""The CLIP stage of mining without its model: what the host does for every region."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
import torch

from pipeline.clip import Clip, RegionEncoder, load_clip
from pipeline.images import UprightJpeg
from pipeline.mining.config import MatchingConfig
from pipeline.mining.steps.match_regions import MatchRegions
from pipeline.mining.work import Image, Shard
from pipeline.proposals.proposer import Proposals
from pipeline.regions import RegionsConfig
from tests.benchmarks.feed.photographs import Photograph, read
from tests.benchmarks.feed.versions import report

OLD = find_spec("pipeline.soft_masks") is not None
if OLD:
    from pipeline.vocabulary import Vocabulary, vocabulary_table
else:
    from pipeline.dataset.vocabulary import Vocabulary, vocabulary_table
    from pipeline.masks.masks import Masks

WIDTH = 512
"""Of the features."""
_REPETITIONS = 3


class Tower(torch.nn.Module):
    """In place of a vision tower: pixels [B,3,S,S] → features [B,512]."""

    depth = 0

    def __init__(self, features: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        self._features = features

    def forward(self, pixels_B3SS: torch.Tensor, masks_B1SS: torch.Tensor | None = None) -> torch.Tensor:
        return self._features(pixels_B3SS)


def at_once(pixels_B3SS: torch.Tensor) -> torch.Tensor:
    """Features without a look at the pixels."""
    return torch.zeros(len(pixels_B3SS), WIDTH)


def make_clip(features: Callable[[torch.Tensor], torch.Tensor]) -> Clip:
    """A CLIP with a tower that is none; inputs are 224 pixels wide, as those of ViT-B-16."""
    return replace(load_clip("ViT-S-32-alt", "random"), vision=Tower(features))


def make_stage(features: Callable[[torch.Tensor], torch.Tensor], batch_size: int) -> MatchRegions:
    """The step of mining with a tower that is none."""
    encoder = RegionEncoder(make_clip(features), RegionsConfig(), batch_size)
    return MatchRegions([encoder], MatchingConfig(), make_vocabulary(WIDTH))


def make_vocabulary(width: int) -> Vocabulary:
    """The nouns a, b, c, d, with embeddings of that width."""
    return Vocabulary(vocabulary_table(list("abcd"), [1] * 4, np.eye(4, width, dtype=np.float32)))


def make_shard(photographs: list[Photograph]) -> Shard:
    """A shard as it comes from the proposals."""
    return Shard(0, [_image(index, photograph) for index, photograph in enumerate(photographs)])


def _image(index: int, photograph: Photograph) -> Image:
    row = {"image_id": str(index), "image_uri": f"{index}.jpg"}
    image = Image(index, row, nouns=[{"noun": noun} for noun in "abcd"])
    height, width = photograph.height, photograph.width
    image.jpeg = UprightJpeg(photograph.jpeg, width, height, width, height)
    scores = np.linspace(1, 0, len(photograph.codes), dtype=np.float32)
    if OLD:
        image.proposals = Proposals(photograph.codes, height, width, scores)
    else:
        image.proposals = Proposals(Masks(photograph.codes, height, width), scores)
    return image


def ignore(*_: Any) -> None:
    """In place of the watch over stragglers."""


def on_one_core() -> None:
    """This process and its libraries keep to one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def main(file: str) -> None:
    """Regions per second of one core, by CPU time and by the clock; the best of three."""
    on_one_core()
    photographs = read(file)
    regions = sum(len(photograph.codes) for photograph in photographs)
    stage = make_stage(at_once, batch_size=256)
    cpu, clock = [], []
    for _ in range(_REPETITIONS):
        shard = make_shard(photographs)
        cpu_started, started = time.process_time(), time.perf_counter()
        stage(shard, ignore)
        cpu.append(time.process_time() - cpu_started)
        clock.append(time.perf_counter() - started)
        assert all(image.valid is not None and image.valid.all() for image in shard.images)
    report(
        {"regions": regions, "regions_per_cpu_second": regions / min(cpu), "regions_per_second": regions / min(clock)}
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
