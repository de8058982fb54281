"""Soft masks of one image → proposals: 100 masks of 120×160 numbers for an image of 480×640 pixels."""

import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec

import cv2
import numpy as np
import torch

from pipeline.proposals.config import ProposalsConfig
from tests.benchmarks.feed.clip_stage import on_one_core
from tests.benchmarks.feed.counting import Operations
from tests.benchmarks.feed.versions import report

OLD = find_spec("pipeline.soft_masks") is not None
MASKS, HEIGHT, WIDTH = 100, 480, 640
_SCALE = 4
_NOISE = 8.0  # pixels (deviation of a Gaussian)
_REPETITIONS = 5


def noisy() -> torch.Tensor:
    """Logits float32 [100,120,160] that change sign every few pixels: the worst case, nothing is dropped early."""
    noise = np.random.default_rng(0).standard_normal((MASKS, HEIGHT // _SCALE, WIDTH // _SCALE)).astype(np.float32)
    return torch.from_numpy(np.stack([cv2.GaussianBlur(mask, (0, 0), _NOISE) for mask in noise]))


def of_objects(coco: str) -> torch.Tensor:
    """Logits float32 [100,120,160] of objects that people outlined in a COCO dataset, with soft edges."""
    from tests.benchmarks.feed.objects import outlined

    soft = []
    for mask_HW in outlined(coco, MASKS, HEIGHT, WIDTH):
        small = cv2.resize(
            mask_HW.astype(np.float32), (WIDTH // _SCALE, HEIGHT // _SCALE), interpolation=cv2.INTER_AREA
        )
        soft.append(12 * cv2.GaussianBlur(small, (0, 0), 1.0) - 6)
    return torch.from_numpy(np.stack(soft))


def old_masks(logits_Khw: torch.Tensor, scores_K: torch.Tensor) -> Sequence[bytes]:
    from pipeline.proposals.soft_proposals import soft_proposals

    return soft_proposals(logits_Khw, scores_K, HEIGHT, WIDTH, ProposalsConfig()).masks


def new_masks(logits_Khw: torch.Tensor, scores_K: torch.Tensor) -> Sequence[bytes]:
    from pipeline.proposals.soft_proposals import soft_proposals

    [proposals] = soft_proposals(logits_Khw[None], scores_K[None], HEIGHT, WIDTH, ProposalsConfig())
    return proposals.masks


def as_on_a_gpu() -> None:
    """From now on, masks on the CPU are treated like masks on a GPU."""
    if OLD:
        import pipeline.soft_masks

        import pipeline.proposals.soft_proposals

        pipeline.soft_masks.encode = pipeline.proposals.soft_proposals.encode = pipeline.soft_masks.encode_runs
    else:
        from pipeline.masks import flags

        def is_above(values: torch.Tensor, level: float) -> torch.Tensor:
            return values > level

        def places(values: torch.Tensor) -> torch.Tensor:
            return values.nonzero()

        for function, instead in ((flags.is_above, is_above), (flags.places, places)):
            function.__code__ = instead.__code__


def main(coco: str = "") -> None:
    """CPU seconds an image, the best of five, and operations an image, as a GPU would be asked for."""
    on_one_core()
    to_masks = old_masks if OLD else new_masks
    scores_K = torch.from_numpy(np.random.default_rng(1).random(MASKS).astype(np.float32))
    figures: dict[str, float] = {}
    for name, logits_Khw in {"noisy": noisy(), **({"real": of_objects(coco)} if coco else {})}.items():
        seconds = []
        for _ in range(_REPETITIONS):
            started = time.process_time()
            kept = len(to_masks(logits_Khw, scores_K))
            seconds.append(time.process_time() - started)
        figures |= {f"{name}_kept": kept, f"{name}_ms": min(seconds) * 1e3}
    as_on_a_gpu()
    with Operations() as operations:
        to_masks(noisy(), scores_K)
    figures |= {"operations": operations.started.total(), "calls": operations.called, "waits": operations.waits}
    report(figures)


if __name__ == "__main__":
    main(*sys.argv[1:])
