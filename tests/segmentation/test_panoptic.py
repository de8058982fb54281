"""Panoptic segments against counting pixel by pixel."""

import io
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import storage
from pipeline.masks.masks import Masks
from pipeline.segmentation import UNLABELLED, Prediction
from pipeline.segmentation.fusion import class_scores
from pipeline.segmentation.panoptic import categories, panoptic_png, segments_info
from pipeline.segmentation.panoptic_file import write_panoptic

HEIGHT, WIDTH, CLASSES = 13, 17, 5


def predicted(masks_QHW: np.ndarray, rng: np.random.Generator, soft: bool = False) -> Prediction:
    count = len(masks_QHW)
    return Prediction(
        classes=CLASSES,
        masks=Masks.encode(masks_QHW),
        mask_logits=rng.normal(0, 3, (count, 4, 5)).astype(np.float32) if soft else None,
        region_logits=rng.normal(0, 3, (count, CLASSES + 1)).astype(np.float32),  # the last one is a background
        valid=np.ones(count, bool),
        proposal_logits=rng.normal(0, 3, (count, CLASSES + 2)).astype(np.float32) if soft else None,
    )


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_segments_are_what_the_label_map_shows(seed, soft):
    rng = np.random.default_rng(seed)
    masks_QHW = rng.random((6, HEIGHT, WIDTH)) < 0.3
    prediction = predicted(masks_QHW, rng, soft)
    weight = 0.6 if soft else 1.0
    labels = prediction.label_map(weight)
    scores_QC = class_scores(prediction.proposal_logits, prediction.region_logits, prediction.valid, weight).numpy()
    found = segments_info(labels, prediction, weight)

    pixels = np.asarray(Image.open(io.BytesIO(panoptic_png(labels)))).astype(int)
    ids = pixels @ [1, 256, 65536]
    assert sorted(segment["id"] for segment in found) == sorted(set(np.unique(ids)) - {0})
    assert (ids[labels == UNLABELLED] == 0).all()
    for segment in found:
        inside = ids == segment["id"]
        assert (labels[inside] + 1 == segment["category_id"]).all()
        ys, xs = np.nonzero(inside)
        assert segment["area"] == len(ys)
        assert segment["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
        covering = [(mask, y, x) for mask in range(len(masks_QHW)) for y, x in zip(ys, xs, strict=True)]
        scores = [scores_QC[mask, segment["category_id"] - 1] for mask, y, x in covering if masks_QHW[mask, y, x]]
        assert segment["score"] == pytest.approx(np.mean(scores) if scores else 0.0, abs=1e-5)


def test_nothing_found_and_all_of_one_class():
    rng = np.random.default_rng(0)
    nothing = predicted(np.zeros((0, HEIGHT, WIDTH), bool), rng)
    labels = nothing.label_map(1.0)
    assert segments_info(labels, nothing, 1.0) == []
    assert not np.asarray(Image.open(io.BytesIO(panoptic_png(labels)))).any()
    all_of_it = predicted(np.ones((1, HEIGHT, WIDTH), bool), rng)
    all_of_it.region_logits[:] = 0
    all_of_it.region_logits[0, 2] = 50
    [segment] = segments_info(all_of_it.label_map(1.0), all_of_it, 1.0)
    assert segment == {
        "id": 3, "category_id": 3, "area": HEIGHT * WIDTH, "bbox": [0, 0, WIDTH, HEIGHT], "iscrowd": 0, "score": 1.0
    }  # fmt: skip


def test_ids_of_many_classes():
    labels = np.array([[0, 254, 255, 65534, UNLABELLED]], np.uint16)
    pixels = np.asarray(Image.open(io.BytesIO(panoptic_png(labels)))).astype(int)
    assert (pixels @ [1, 256, 65536]).tolist() == [[1, 255, 256, 65535, 0]]


def test_categories_are_numbered_from_one_and_things_are_those_named():
    classes = [("door", "double door"), ("Tür",), ("sky",)]

    def things(named: list[str] | None, occurring: set[int]) -> list[tuple[int, str, int]]:
        return [(row["id"], row["name"], row["isthing"]) for row in categories(classes, named, occurring)]

    assert things(["Tür", "door"], {3}) == [(1, "door", 1), (2, "Tür", 1), (3, "sky", 0)]
    assert things([], {1, 2}) == [(1, "door", 0), (2, "Tür", 0), (3, "sky", 0)]
    assert things(None, {3, 2}) == [(1, "door", 0), (2, "Tür", 1), (3, "sky", 0)]
    assert things(None, set()) == [(1, "door", 0), (2, "Tür", 0), (3, "sky", 0)]


def averages(truth: Path, predicted: Path) -> dict[str, dict[str, float]]:
    """PQ of all, of things and of stuff as `pq_compute` of panopticapi computes and divides it, written anew."""
    first, second = (json.loads((folder / "panoptic.json").read_text()) for folder in (truth, predicted))
    counts: dict[int, Counter] = defaultdict(Counter)
    others = {entry["image_id"]: entry for entry in second["annotations"]}
    for entry in first["annotations"]:
        other = others[entry["image_id"]]
        ids, found = (
            np.asarray(Image.open(folder / "panoptic" / one["file_name"])).astype(int) @ [1, 256, 65536]
            for folder, one in ((truth, entry), (predicted, other))
        )
        classes, found_classes = (
            {segment["id"]: segment["category_id"] for segment in one["segments_info"]} for one in (entry, other)
        )
        assert all(category in {row["id"] for row in first["categories"]} for category in found_classes.values())
        matched, matched_found = set(), set()
        for one, category in classes.items():
            for two, found_category in found_classes.items():
                shared = ((ids == one) & (found == two)).sum()
                union = ((ids == one) | (found == two)).sum() - ((ids == 0) & (found == two)).sum()
                if category == found_category and shared / union > 0.5:
                    counts[category].update(tp=1, iou=shared / union)
                    matched.add(one)
                    matched_found.add(two)
        for one in classes.keys() - matched:
            counts[classes[one]]["fn"] += 1
        for two in found_classes.keys() - matched_found:
            if ((ids == 0) & (found == two)).sum() / (found == two).sum() <= 0.5:
                counts[found_classes[two]]["fp"] += 1
    result = {}
    for name, wanted in (("All", (0, 1)), ("Things", (1,)), ("Stuff", (0,))):
        chosen = [counts[row["id"]] for row in first["categories"] if row["isthing"] in wanted]
        chosen = [found for found in chosen if found["tp"] + found["fp"] + found["fn"]]
        scores = [found["iou"] / (found["tp"] + 0.5 * found["fp"] + 0.5 * found["fn"]) for found in chosen]
        result[name] = {"pq": sum(scores) / len(scores), "n": len(scores)}  # which divides by zero where it does
    return result


def write_job(folder: Path, maps: list[np.ndarray], things: list[str] | None) -> Path:
    """The output of a job with the classes a, b and c, of these label maps."""
    rng = np.random.default_rng(0)
    for index, labels in enumerate(maps):
        prediction = predicted(np.ones((1, HEIGHT, WIDTH), bool), rng)
        segments = {"height": HEIGHT, "width": WIDTH, "segments_info": segments_info(labels, prediction, 1.0)}
        storage.write_bytes(str(folder / f"segments/{index}.json"), json.dumps(segments).encode())
        storage.write_bytes(str(folder / f"panoptic/{index}.png"), panoptic_png(labels))
    names = {str(index): f"/photos/{index}.jpg" for index in range(len(maps))}
    write_panoptic(str(folder), [("a",), ("b",), ("c",)], things, names)
    return folder


@pytest.mark.parametrize("things", [None, ["b"]])
def test_panopticapi_can_average_over_things_and_stuff(tmp_path, things):
    rng = np.random.default_rng(1)
    maps = [rng.choice([1, 2, UNLABELLED], (HEIGHT, WIDTH)).astype(np.uint16) for _ in range(2)]
    one = write_job(tmp_path / "one", maps, things)
    other = write_job(tmp_path / "other", [np.where(labels == 1, 2, labels) for labels in maps], things)
    assert {name: (found["pq"], found["n"]) for name, found in averages(one, one).items()} == {
        "All": (1.0, 2), "Things": (1.0, 1), "Stuff": (1.0, 1),
    }  # fmt: skip
    assert averages(one, other)["Things"] == {"pq": 0.0, "n": 1}
    described = json.loads((one / "panoptic.json").read_text()).get("info", {}).get("description", "")
    assert ("countable things" in described) == (things is None)


def test_panopticapi_itself(tmp_path):
    evaluation = pytest.importorskip("panopticapi.evaluation")
    maps = [np.random.default_rng(2).choice([0, 2], (HEIGHT, WIDTH)).astype(np.uint16)]
    path = str(write_job(tmp_path, maps, None) / "panoptic.json")
    assert evaluation.pq_compute(path, path)["Things"] == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "n": 1}
