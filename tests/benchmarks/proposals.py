"""Recall and speed of the proposal backend `segments` on annotated COCO images.

python -m tests.benchmarks.proposals --coco ../shared/coco-sample [--fit]

The folder holds `images/*.jpg` with COCO's file names, `annotations/instances.json` and
`annotations/panoptic.json` with its PNGs. One thread; CPU time, so that other work on the machine
counts little. With `--fit` it prints the weights of the score anew, and the recall of weights on
images that they were not fitted to.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage.segmentation import felzenszwalb

from pipeline.masks.masks import Masks
from pipeline.masks.rle import Rle
from pipeline.proposals import Proposals, ProposalsConfig
from pipeline.proposals.ground_truth import GroundTruth, GroundTruthOptions
from pipeline.proposals.recall import best_overlaps, recall, recall_by_area
from pipeline.proposals.segments import Regions, Segments, SegmentsOptions, shrink

FOLDS = 4
KINDS = ("instances", "panoptic")


def read_image(coco: Path, image_id: str) -> np.ndarray:
    with Image.open(coco / "images" / f"{int(image_id):012d}.jpg") as image:
        return np.asarray(image.convert("RGB"))


def ground_truth(coco: Path, kind: str) -> GroundTruth:
    """Every annotated object except crowds, however small."""
    everything = ProposalsConfig(min_area=0, max_area=1, max_iou=1, max_proposals=10_000)
    return GroundTruth(everything, GroundTruthOptions(str(coco / "annotations" / f"{kind}.json")))


def overlaps_with_objects(
    objects: GroundTruth, images: dict[str, np.ndarray], found: dict[str, Proposals], first: int
) -> tuple[np.ndarray, np.ndarray]:
    """Best overlap and area of every object, given the first proposals of each image."""
    best, areas = [], []
    for image_id, proposals in found.items():
        [truth] = objects.propose([images[image_id]], [image_id])
        best.append(best_overlaps(truth.masks, proposals.masks[:first]))
        areas.append(truth.masks.areas)
    return np.concatenate(best), np.concatenate(areas)


def print_recall(truth: dict[str, GroundTruth], images: dict[str, np.ndarray], found: dict[str, Proposals]) -> None:
    print("| objects | area | count | mean best IoU | recall at 0.5 | recall at 0.75 |")
    print("|---|---|---|---|---|---|")
    for kind, objects in truth.items():
        best, areas = overlaps_with_objects(objects, images, found, 100)
        for area, row in recall_by_area(best, areas).items():
            print(f"| {kind} | {area} | {row.objects} | {row.mean_best_iou:.3f} | {row.at_50:.3f} | {row.at_75:.3f} |")
    print()


def fit(truth: dict[str, GroundTruth], images: dict[str, np.ndarray], config: ProposalsConfig) -> list[np.ndarray]:
    """Weights fitted without each of the folds, then those fitted to all images."""
    features, targets = [], []
    for image_id, image in images.items():
        small = shrink(image, SegmentsOptions.working_side)
        regions = Regions(small, config)
        masks = regions.encode(np.arange(len(regions.features)))
        objects: list[Rle] = []
        for source in truth.values():
            objects += source.propose([small], [image_id])[0].masks
        features.append(regions.features)
        targets.append(target(Masks(objects, *small.shape[:2]).iou(masks)))
    fold = np.arange(len(images)) % FOLDS
    weights = []
    for left_out in range(FOLDS + 1):
        used = np.flatnonzero(fold != left_out)
        x = np.concatenate([features[index] for index in used])
        y = np.concatenate([targets[index] for index in used])
        weights.append(np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y))
    return weights


def target(overlaps: np.ndarray) -> np.ndarray:
    """What the score should be: a region's IoU with an object if it is about the best for that
    object (IoU above 0.3, and 0.9 of the best), else 0. overlaps: [objects, regions].
    """
    best = overlaps.max(axis=1, keepdims=True, initial=0)
    useful = (overlaps > 0.3) & (overlaps >= 0.9 * best)
    return np.where(useful, overlaps, 0).max(axis=0, initial=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    config = ProposalsConfig()
    truth = {kind: ground_truth(arguments.coco, kind) for kind in KINDS}
    image_ids = sorted({image_id for source in truth.values() for image_id in source.image_ids}, key=int)
    images = {image_id: read_image(arguments.coco, image_id) for image_id in image_ids}
    if arguments.fit:
        *held_out, weights = fit(truth, images, config)
        print("WEIGHTS =", ", ".join(f"{weight:.3f}" for weight in weights))
        proposers = [Segments(config, SegmentsOptions(), fitted) for fitted in held_out]
        found = {
            image_id: proposers[index % FOLDS].propose([image], [image_id])[0]
            for index, (image_id, image) in enumerate(images.items())
        }
        print(f"\nWeights fitted to the other images ({FOLDS} folds):\n")
        print_recall(truth, images, found)
        return

    proposer = Segments(config, SegmentsOptions())
    proposer.propose([images[image_ids[0]]], [image_ids[0]])  # first use loads libraries
    seconds, bare_seconds, found = [], [], {}
    for image_id, image in images.items():
        started = time.process_time()
        [found[image_id]] = proposer.propose([image], [image_id])
        seconds.append(time.process_time() - started)
        started = time.process_time()
        felzenszwalb(shrink(image, SegmentsOptions.working_side), scale=100, sigma=0.8, min_size=20)
        bare_seconds.append(time.process_time() - started)
    print_recall(truth, images, found)
    print("| first proposals | 10 | 30 | 100 |")
    print("|---|---|---|---|")
    for kind, objects in truth.items():
        values = [
            recall(overlaps_with_objects(objects, images, found, first)[0]).mean_best_iou for first in (10, 30, 100)
        ]
        print(f"| mean best IoU, {kind} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    count = np.mean([len(proposals.masks) for proposals in found.values()])
    print(
        f"\n{len(images)} images: {count:.1f} proposals and {np.mean(seconds):.2f} CPU-seconds per image "
        f"(median {np.median(seconds):.2f}, longest {np.max(seconds):.2f}), "
        f"{np.sum(seconds) / np.sum(bare_seconds):.1f} × one bare felzenszwalb of the same image"
    )


if __name__ == "__main__":
    main()
