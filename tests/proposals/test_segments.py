"""Segments of drawn shapes and of photographs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from pipeline.masks.masks import Masks
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.proposals.recall import best_overlaps, recall_by_area
from tests.proposals.inputs import everything, grey
from tests.proposals.invariants import check_invariants


def shapes() -> tuple[np.ndarray, np.ndarray]:
    """A disc, a rectangle and a triangle of flat colours on grey, and their masks."""
    rows, columns = np.mgrid[:360, :480]
    drawn = np.stack(
        [
            (rows - 100) ** 2 + (columns - 110) ** 2 < 70**2,
            (rows >= 200) & (rows < 320) & (columns >= 60) & (columns < 220),
            (columns >= 280) & (rows < 300) & (rows - 60 > columns - 280),
        ]
    )
    image = grey(360, 480)
    for mask, colour in zip(drawn, ((200, 30, 40), (30, 160, 60), (40, 60, 200)), strict=True):
        image[mask] = colour
    return image, drawn


@pytest.mark.parametrize("factor", [1, 4])
def test_flat_shapes_are_found_among_the_first(factor):
    image, drawn = shapes()
    image = image.repeat(factor, axis=0).repeat(factor, axis=1)
    drawn = drawn.repeat(factor, axis=1).repeat(factor, axis=2)
    [found] = load_proposer(ProposalsConfig()).propose([image], ["shapes"])
    best = best_overlaps(Masks.encode(drawn), found.masks[:10])
    assert (best > 0.9).all()


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    st.sampled_from([0.0, 0.05]),
    st.sampled_from([0.5, 0.9]),
    st.sampled_from([1, 10, 100]),
    st.sampled_from([16, 32]),
)
def test_segments_keep_to_the_limits(image, min_area, max_iou, max_proposals, side):
    config = ProposalsConfig(
        min_area=min_area,
        max_iou=max_iou,
        max_proposals=max_proposals,
        options={"working_side": side},
    )
    [found] = load_proposer(config).propose([image], ["noise"])
    check_invariants(found, image, config)


@pytest.mark.parametrize("size", [(1, 2), (2, 30_000), (30_000, 2)])
def test_segments_of_odd_sizes(size):
    config = ProposalsConfig()
    proposer = load_proposer(config)
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for image in (noise, grey(*size), noise[..., :1].repeat(3, axis=2)):
        [found] = proposer.propose([image], ["odd"])
        check_invariants(found, image, config)


def test_an_image_of_one_colour_has_no_segments():
    [found] = load_proposer(ProposalsConfig()).propose([grey(300, 500)], ["grey"])
    assert not found.masks
    assert found.scores.shape == (0,)


def test_a_view_into_another_array_gives_the_same():
    image, _ = shapes()
    mirrored = np.ascontiguousarray(image[:, ::-1])
    proposer = load_proposer(ProposalsConfig())
    plain, view = proposer.propose([image, mirrored[:, ::-1]], ["a", "b"])
    assert plain.masks == view.masks


@pytest.fixture(scope="module")
def sample(coco_sample):
    """Some annotated images of the sample with their objects and segments."""
    truth = load_proposer(everything(coco_sample / "annotations" / "instances.json"))
    image_ids = truth.image_ids[::12]
    images = []
    for image_id in image_ids:
        with Image.open(coco_sample / "images" / f"{int(image_id):012d}.jpg") as image:
            images.append(np.asarray(image.convert("RGB")))
    found = load_proposer(ProposalsConfig()).propose(images, image_ids)
    return images, truth.propose(images, image_ids), found


def test_segments_of_photographs_keep_to_the_limits(sample):
    images, _, found = sample
    for image, proposals in zip(images, found, strict=True):
        check_invariants(proposals, image, ProposalsConfig())
        assert len(proposals.masks) > 50


def test_segments_are_the_same_bytes_again(sample):
    images, _, found = sample
    again = load_proposer(ProposalsConfig()).propose(images[2:4], ["other", "ids"])
    for first, second in zip(found[2:4], again, strict=True):
        assert first.masks == second.masks
        assert first.scores.tobytes() == second.scores.tobytes()


def test_segments_cover_large_objects_of_photographs(sample):
    _, truth, found = sample
    best, areas = [], []
    for objects, proposals in zip(truth, found, strict=True):
        best.append(best_overlaps(objects.masks, proposals.masks))
        areas.append(objects.masks.areas)
    measured = recall_by_area(np.concatenate(best), np.concatenate(areas))
    assert measured["large"].objects >= 10
    assert measured["large"].mean_best_iou > 0.5
    assert measured["large"].at_50 > 0.5
