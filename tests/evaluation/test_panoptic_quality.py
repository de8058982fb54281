"""PQ against panopticapi: written anew, and itself where it is installed."""

import contextlib
import io
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.evaluation.datasets.objects import TrueSegments
from pipeline.evaluation.panoptic_quality import (
    PanopticCounts,
    count_segments,
    panoptic_qualities,
    panoptic_scores,
)
from pipeline.segmentation.objects import PanopticSegments

CLASSES, SIZE = 5, (23, 31)
THINGS = {0, 2}


def blocks(rng: np.random.Generator, segments: int) -> np.ndarray:
    """Ids 0 to `segments` in rectangles, int32 [H,W]."""
    ids = np.zeros(SIZE, np.int32)
    for segment in range(1, segments + 1):
        top, left = rng.integers(0, SIZE[0] - 4), rng.integers(0, SIZE[1] - 4)
        ids[top : top + rng.integers(3, 15), left : left + rng.integers(3, 18)] = segment
    return ids


def compact(ids: np.ndarray) -> np.ndarray:
    """Ids from 1 on without gaps."""
    return np.searchsorted(np.unique(np.append(ids, 0)), ids).astype(np.int32)


def case(seed: int) -> tuple[TrueSegments, PanopticSegments]:
    rng = np.random.default_rng(seed)
    ids = compact(blocks(rng, 7))
    count = int(ids.max())
    areas = np.bincount(ids.ravel(), minlength=count + 1)[1:]
    truth = TrueSegments(ids, rng.integers(0, CLASSES, count), rng.random(count) < 0.25, areas, np.zeros(count, bool))
    moved = np.where(rng.random(SIZE) < 0.1, 0, np.roll(ids, tuple(rng.integers(-1, 2, 2)), (0, 1)))
    other = blocks(rng, 3)
    moved = compact(np.where(other > 0, other + 100, moved))
    found = int(moved.max())
    labels = rng.integers(0, CLASSES, found)
    for segment in range(found):
        true = np.bincount(ids[moved == segment + 1], minlength=count + 1)[1:]
        if true.any() and rng.random() < 0.8:
            labels[segment] = truth.labels[true.argmax()]
    return truth, PanopticSegments(moved, labels, np.ones(found, np.float32))


def anew(truth: TrueSegments, found: PanopticSegments) -> dict[int, Counter]:
    """What `pq_compute_single_core` counts, segment by segment."""
    counts: dict[int, Counter] = defaultdict(Counter)
    one, two = truth.ids, found.ids
    matched, matched_found, crowds = set(), set(), {}
    for s, label in enumerate(truth.labels.tolist(), 1):
        for p, other in enumerate(found.labels.tolist(), 1):
            shared = int(((one == s) & (two == p)).sum())
            if not shared or label != other or truth.crowd[s - 1]:
                continue
            union = int((two == p).sum()) + int(truth.areas[s - 1]) - shared - int(((one == 0) & (two == p)).sum())
            if shared / union > 0.5:
                counts[label].update(tp=1, iou=shared / union)
                matched.add(s)
                matched_found.add(p)
    for s, label in enumerate(truth.labels.tolist(), 1):
        if truth.crowd[s - 1]:
            crowds[label] = s
        elif s not in matched:
            counts[label]["fn"] += 1
    for p, label in enumerate(found.labels.tolist(), 1):
        if p not in matched_found:
            excused = ((one == 0) & (two == p)).sum() + ((one == crowds.get(label, -1)) & (two == p)).sum()
            if excused / (two == p).sum() <= 0.5:
                counts[label]["fp"] += 1
    return counts


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9))
def test_counts(seed):
    truth, found = case(seed)
    counts, expected = count_segments(truth, found, CLASSES), anew(truth, found)
    for label in range(CLASSES):
        for name in ("tp", "fp", "fn"):
            assert getattr(counts, name)[label] == expected[label][name]
        assert counts.iou[label] == pytest.approx(expected[label]["iou"], abs=1e-12)


def test_the_truth_itself_is_perfect_and_crowds_are_neither_found_nor_missed():
    for seed in range(5):
        truth, _ = case(seed)
        every = PanopticSegments(truth.ids, truth.labels, np.ones(len(truth.labels), np.float32))
        counts = count_segments(truth, every, CLASSES)
        assert counts.tp.sum() == counts.iou.sum() == (~truth.crowd).sum()
        assert not counts.fn.any()
        assert panoptic_scores(counts, range(CLASSES)).pq == 1.0 or counts.fp.any()
        left = compact(np.where(np.append(False, truth.crowd)[truth.ids], 0, truth.ids))
        without = count_segments(truth, PanopticSegments(left, truth.labels[~truth.crowd], np.ones(9)), CLASSES)
        assert not without.fp.any()
        assert panoptic_scores(without, range(CLASSES)).pq == 1.0


def test_a_segment_that_things_cover_is_missed_and_areas_are_as_stated():
    """ADE20K's preparation lists what is painted over, and states areas from before."""
    ids = np.zeros((4, 10), np.int32)
    ids[:, :6], ids[:, 6:] = 1, 2
    truth = TrueSegments(ids, np.array([0, 1, 2]), np.zeros(3, bool), np.array([30, 16, 9]), np.zeros(3, bool))
    found = PanopticSegments(ids, np.array([0, 1]), np.ones(2, np.float32))
    counts = count_segments(truth, found, 3)
    assert (counts.tp.tolist(), counts.fn.tolist()) == ([1, 1, 0], [0, 0, 1])
    assert counts.iou.tolist() == [24 / 30, 1.0, 0.0]


def test_scores_by_hand():
    counts = PanopticCounts(
        np.array([1.5, 0, 0.8, 0]), np.array([2, 0, 1, 0]), np.array([0, 1, 1, 0]), np.array([2, 0, 0, 0])
    )
    pq, sq, rq = panoptic_qualities(counts)
    assert pq[:3].tolist() == [0.5, 0.0, 0.8 / 1.5]
    assert sq[:3].tolist() == [0.75, 0.0, 0.8]
    assert rq[:3].tolist() == [2 / 3, 0.0, 1 / 1.5]
    assert np.isnan([pq[3], sq[3], rq[3]]).all()
    scores = panoptic_scores(counts, {0, 2, 3})
    assert (scores.pq, scores.classes) == (pytest.approx((0.5 + 0.8 / 1.5) / 2), 2)
    assert panoptic_scores(counts, {3}).classes == 0
    assert np.isnan(panoptic_scores(counts, {3}).pq)


def test_sizes_must_agree():
    truth, found = case(0)
    with pytest.raises(ValueError, match="cannot be compared"):
        count_segments(truth, PanopticSegments(found.ids[1:], found.labels, found.scores), CLASSES)


def write_panoptic(folder: Path, maps: list[TrueSegments | PanopticSegments], rng: np.random.Generator) -> Path:
    """A JSON and PNGs as panopticapi reads them, with arbitrary ids."""
    (folder / "panoptic").mkdir(parents=True)
    annotations = []
    for image, segments in enumerate(maps, 1):
        ids = rng.choice(2**24 - 1, len(segments.labels), replace=False) + 1
        colours = np.append(0, ids)[segments.ids]
        pixels = np.stack([colours % 256, colours // 256 % 256, colours // 65536], -1).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "panoptic" / f"{image}.png")
        crowd = getattr(segments, "crowd", np.zeros(len(ids), bool))
        areas = getattr(segments, "areas", np.zeros(len(ids)))
        info = [
            {"id": int(number), "category_id": int(label) + 1, "iscrowd": int(group), "area": int(area)}
            for number, label, group, area in zip(ids, segments.labels, crowd, areas, strict=True)
        ]
        annotations.append({"image_id": image, "file_name": f"{image}.png", "segments_info": info})
    categories = [{"id": c + 1, "name": f"c{c}", "isthing": int(c in THINGS)} for c in range(CLASSES)]
    (folder / "panoptic.json").write_text(json.dumps({"annotations": annotations, "categories": categories}))
    return folder / "panoptic.json"


def test_panopticapi_itself(tmp_path):
    evaluation = pytest.importorskip("panopticapi.evaluation")
    rng = np.random.default_rng(3)
    cases = [case(seed) for seed in range(20)]
    truth = write_panoptic(tmp_path / "truth", [one for one, _ in cases], rng)
    found = write_panoptic(tmp_path / "found", [other for _, other in cases], rng)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = evaluation.pq_compute(str(truth), str(found))
    counts = count_segments(*cases[0], CLASSES)
    for one, other in cases[1:]:
        counts += count_segments(one, other, CLASSES)
    for name, among in (("All", range(CLASSES)), ("Things", THINGS), ("Stuff", set(range(CLASSES)) - THINGS)):
        scores = panoptic_scores(counts, among)
        expected = theirs[name]
        assert [scores.pq, scores.sq, scores.rq] == pytest.approx(
            [expected[key] for key in ("pq", "sq", "rq")], abs=1e-9
        )
        assert scores.classes == expected["n"]
    pq, sq, rq = panoptic_qualities(counts)
    for label in range(CLASSES):
        each = theirs["per_class"][label + 1]
        assert [pq[label], sq[label], rq[label]] == pytest.approx([each[key] for key in ("pq", "sq", "rq")], abs=1e-9)
    assert 0.1 < panoptic_scores(counts, range(CLASSES)).pq < 0.9
