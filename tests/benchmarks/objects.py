"""How fast PQ and AP are counted, beside the accepted code on the same files and results.

python -m tests.benchmarks.objects [--images 200] [--classes 80]
PYTHONPATH=./reference python -m tests.benchmarks.objects        # with panopticapi and lvis, see tests/README.md

Images are 480×640, with 12 objects and 100 detections each. PQ is timed from the PNGs, as both read them; AP from
run-length codes. CPU time.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.evaluation.average_precision import FoundInstances, class_precisions, instance_scores
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.objects import TrueInstances, TrueSegments
from pipeline.evaluation.datasets.segment_ids import segment_indices
from pipeline.evaluation.instance_matching import match_instances, objects_of_sizes, overlaps
from pipeline.evaluation.panoptic_quality import count_segments, panoptic_scores
from pipeline.masks.masks import Masks
from pipeline.segmentation.objects import Instances, PanopticSegments

SIZE = (480, 640)
OBJECTS, DETECTIONS = 12, 100


def ellipses(rng: np.random.Generator, count: int) -> np.ndarray:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    masks = np.zeros((count, *SIZE), np.uint8)
    for mask in masks:
        y, x, a, b = rng.integers(0, SIZE[0]), rng.integers(0, SIZE[1]), rng.integers(8, 120), rng.integers(8, 120)
        mask[((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 <= 1] = 1
    return masks


def ap(images: int, classes: int, rng: np.random.Generator) -> None:
    document: dict = {
        "images": [],
        "annotations": [],
        "categories": [{"id": c + 1} for c in range(classes)],
        "info": {},
    }
    results, ours = [], []
    for image in range(1, images + 1):
        true = ellipses(rng, OBJECTS)
        masks = Masks.encode(true)
        labels = rng.integers(0, classes, OBJECTS)
        near = np.stack([np.roll(mask, tuple(rng.integers(-9, 10, 2)), (0, 1)) for mask in true for _ in range(4)])
        found_masks = Masks.encode(near)
        which = rng.integers(0, len(near), DETECTIONS)
        found_labels = np.where(rng.random(DETECTIONS) < 0.5, labels[which // 4], rng.integers(0, classes, DETECTIONS))
        found = Instances(which, found_labels, rng.random(DETECTIONS).astype(np.float32))
        truth = TrueInstances(masks, labels, masks.areas.astype(np.float64), np.zeros(OBJECTS, bool))
        ours.append((found_masks, found, truth))
        document["images"].append({"id": image, "height": SIZE[0], "width": SIZE[1]})
        for label, code, area in zip(labels, masks, masks.areas, strict=True):
            document["annotations"].append(
                {"id": len(document["annotations"]) + 1, "image_id": image, "category_id": int(label) + 1, "iscrowd": 0,
                 "segmentation": {"size": list(SIZE), "counts": code.decode()}, "area": int(area), "bbox": [0, 0, 1, 1]}
            )  # fmt: skip
        results += [
            {"image_id": image, "category_id": int(label) + 1, "score": float(score),
             "segmentation": {"size": list(SIZE), "counts": found_masks[int(index)].decode()}}
            for index, label, score in zip(which, found_labels, found.scores, strict=True)
        ]  # fmt: skip
    began = time.process_time()
    objects_CA = np.zeros((classes, 4), np.int64)
    matched = []
    for found_masks, found, truth in ours:
        matched.append(match_instances(found, found_masks.areas, overlaps(found_masks, truth), truth, 100))
        for size, counts in enumerate(objects_of_sizes(truth)):
            objects_CA[:, size] += np.bincount(truth.labels[counts], minlength=classes)
    joined = (
        np.concatenate([getattr(m, name) for m in matched]) for name in ("labels", "scores", "matched", "ignored")
    )
    score = instance_scores(class_precisions(FoundInstances(*joined), objects_CA)).ap
    own = time.process_time() - began
    with contextlib.redirect_stdout(io.StringIO()):
        truth_file = COCO()
        truth_file.dataset = document
        truth_file.createIndex()
        detections = truth_file.loadRes(results)
        began = time.process_time()
        evaluator = COCOeval(truth_file, detections, "segm")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    theirs = time.process_time() - began
    assert abs(score - evaluator.stats[0]) < 1e-9
    print(f"AP: {1000 * own / images:.2f} ms an image, pycocotools {1000 * theirs / images:.2f}: ÷ {theirs / own:.1f}")


def pq(images: int, classes: int, rng: np.random.Generator) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entries = []
        for image in range(1, images + 1):
            segments: dict = {}
            numbered = ellipses(rng, OBJECTS) * np.arange(1, OBJECTS + 1, dtype=np.uint8)[:, None, None]
            ids = numbered.max(axis=0).astype(np.int64)
            labels = rng.integers(0, classes, OBJECTS + 1)
            for kind, moved in (("truth", ids), ("found", np.roll(ids, (4, 4), (0, 1)))):
                (folder / kind).mkdir(exist_ok=True)
                colours = np.where(moved > 0, moved * 65537 + 7, 0)
                pixels = np.stack([colours % 256, colours // 256 % 256, colours // 65536], -1).astype(np.uint8)
                Image.fromarray(pixels).save(folder / kind / f"{image}.png")
                numbers, areas = np.unique(moved[moved > 0], return_counts=True)
                segments[kind] = [
                    {"id": int(number) * 65537 + 7, "category_id": int(labels[number]), "iscrowd": 0, "area": int(area)}
                    for number, area in zip(numbers, areas, strict=True)
                ]
            entries.append((image, segments))
        categories = [{"id": c, "isthing": c % 2, "name": str(c)} for c in range(classes)]
        for kind in ("truth", "found"):
            annotations = [
                {"image_id": image, "file_name": f"{image}.png", "segments_info": segments[kind]}
                for image, segments in entries
            ]
            content = json.dumps({"annotations": annotations, "categories": categories})
            (folder / f"{kind}.json").write_text(content)
        files = Distribution(name, "here")
        began = time.process_time()
        counts = None
        for image, segments in entries:
            read = {}
            for kind in ("truth", "found"):
                listed = [segment["id"] for segment in segments[kind]]
                read[kind] = segment_indices(files.colour_numbers(f"{kind}/{image}.png"), listed, kind)
            labels = {kind: np.array([s["category_id"] for s in segments[kind]]) for kind in segments}
            areas = np.array([s["area"] for s in segments["truth"]])
            none = np.zeros(len(areas), bool)
            truth = TrueSegments(read["truth"], labels["truth"], none, areas, none)
            found = PanopticSegments(read["found"], labels["found"], np.ones(len(labels["found"]), np.float32))
            one = count_segments(truth, found, classes)
            counts = one if counts is None else counts + one
        score = panoptic_scores(counts, range(classes)).pq
        own = time.process_time() - began
        began = time.process_time()
        for path in folder.glob("*/*.png"):
            Image.open(path).load()
        decoding = time.process_time() - began
        print(f"PQ: {1000 * decoding / images:.2f} ms an image are the decoding of both PNGs")
        try:
            from panopticapi.evaluation import pq_compute_single_core
        except ImportError:
            print(f"PQ: {1000 * own / images:.2f} ms an image; panopticapi is not installed")
            return
        pairs = [
            ({"image_id": i, "file_name": f"{i}.png", "segments_info": s["truth"]},
             {"image_id": i, "file_name": f"{i}.png", "segments_info": s["found"]})
            for i, s in entries
        ]  # fmt: skip
        by_id = {category["id"]: category for category in categories}
        with contextlib.redirect_stdout(io.StringIO()):
            began = time.process_time()
            stat = pq_compute_single_core(0, pairs, str(folder / "truth"), str(folder / "found"), by_id)
            theirs = time.process_time() - began
        assert abs(stat.pq_average(by_id, None)[0]["pq"] - score) < 1e-9
    print(f"PQ: {1000 * own / images:.2f} ms an image, panopticapi {1000 * theirs / images:.2f}: ÷ {theirs / own:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--classes", type=int, default=80)
    options = parser.parse_args()
    ap(options.images, options.classes, np.random.default_rng(0))
    pq(options.images, options.classes, np.random.default_rng(1))


if __name__ == "__main__":
    main()
