"""The tree of merged regions, its measures and overlaps, against what the masks of the nodes say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label

from pipeline.proposals.region_overlaps import crossing, nested
from pipeline.proposals.region_tree import RegionTree, Similarity
from pipeline.proposals.working_image import COLOUR_BINS, TEXTURE_BINS, WorkingImage

SIMILARITIES = (
    Similarity(colour=1, texture=1, size=1, fill=1, edge=0.05),
    Similarity(colour=1, texture=0, size=0.5, fill=0.5, edge=0.05),
    Similarity(colour=0, texture=1, size=1, fill=1, edge=0),
)


def make_tree(image: np.ndarray, colours: np.ndarray, similarity: Similarity) -> tuple[WorkingImage, RegionTree]:
    """The tree over the connected areas of one colour."""
    working = WorkingImage(image)
    return working, RegionTree(working, label(colours, background=-1, connectivity=1).astype(np.int64) - 1, similarity)


def masks_of(tree: RegionTree) -> np.ndarray:
    return np.array([tree.mask(node) for node in range(2 * tree.leaves - 1)]) > 0


def border(working: WorkingImage, one: np.ndarray, other: np.ndarray) -> tuple[int, float]:
    """Pixel sides between two masks, and the sum of the colour steps there."""
    right, down = working.steps
    across = (one[:, :-1] & other[:, 1:]) | (other[:, :-1] & one[:, 1:])
    along = (one[:-1] & other[1:]) | (other[:-1] & one[1:])
    return int(across.sum() + along.sum()), float(
        right[across].sum(dtype=np.float64) + down[along].sum(dtype=np.float64)
    )


def similarity_of(working: WorkingImage, one: np.ndarray, other: np.ndarray, weights: Similarity) -> float:
    sides, steps = border(working, one, other)

    def common(bins: np.ndarray, count: int) -> float:
        histograms = [np.bincount(bins[mask], minlength=count) / mask.sum() for mask in (one, other)]
        return np.minimum(*histograms).sum()

    frame = one.size
    rows, columns = np.nonzero(one | other)
    box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    area = one.sum() + other.sum()
    colour = sum(common(working.colour_bins[..., channel], COLOUR_BINS) for channel in range(3)) / 3
    return (
        weights.colour * colour
        + weights.texture * common(working.texture_bins, TEXTURE_BINS)
        + weights.size * (1 - area / frame)
        + weights.fill * (1 - (box - area) / frame)
        - weights.edge * steps / sides
    )


images = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda size: st.tuples(
        hnp.arrays(np.uint8, (*size, 3)),
        hnp.arrays(np.int64, size, elements=st.integers(0, 2)),
        hnp.arrays(np.int64, size, elements=st.integers(0, 2)),
    )
)


@settings(max_examples=60, deadline=None)
@given(images, st.sampled_from(SIMILARITIES))
def test_nodes_measure_what_their_masks_do(case, similarity):
    working, tree = make_tree(case[0], case[1], similarity)
    masks = masks_of(tree)
    for node, mask in enumerate(masks):
        rows, columns = np.nonzero(mask)
        box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        sides, steps = border(working, mask, ~mask)
        assert tree.areas[node] == mask.sum()
        assert tuple(tree.boxes[node]) == box
        assert tree.on_border[node] == sum(side.sum() for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
        assert tree.inner_outline[node] == sides
        assert tree.contrast[node] == pytest.approx(steps / max(sides, 1))
    assert masks[: tree.leaves].sum(axis=0).tolist() == np.ones(masks[0].shape).tolist()
    assert masks[-1].all()


@settings(max_examples=60, deadline=None)
@given(images, st.sampled_from(SIMILARITIES))
def test_each_merge_is_of_the_most_similar_neighbours(case, similarity):
    working, tree = make_tree(case[0], case[1], similarity)
    masks = masks_of(tree)
    regions = list(range(tree.leaves))
    for node in range(tree.leaves, len(masks)):
        parts = [other for other in regions if (masks[other] & masks[node]).any()]
        assert len(parts) == 2
        assert (masks[parts[0]] ^ masks[parts[1]]).tolist() == masks[node].tolist()
        best = max(
            similarity_of(working, masks[one], masks[other], similarity)
            for one in regions
            for other in regions
            if one < other and border(working, masks[one], masks[other])[0]
        )
        assert similarity_of(working, *masks[parts], similarity) == pytest.approx(best, abs=1e-9)
        regions = [other for other in regions if other not in parts] + [node]


@settings(max_examples=60, deadline=None)
@given(images, st.data())
def test_pixels_in_common_are_those_of_the_masks(case, data):
    image, colours, other_colours = case
    _, tree = make_tree(image, colours, SIMILARITIES[0])
    _, other = make_tree(image, other_colours, SIMILARITIES[2])
    chosen = []
    for each in (tree, other):
        nodes = st.lists(st.integers(0, 2 * each.leaves - 2), unique=True)
        chosen.append(np.array(data.draw(nodes), np.int64))
    masks, other_masks = masks_of(tree)[chosen[0]], masks_of(other)[chosen[1]]

    def common(one: np.ndarray, two: np.ndarray) -> list:
        return (one[:, None] & two[None]).sum(axis=(2, 3)).tolist()

    assert nested(tree, chosen[0]).tolist() == common(masks, masks)
    assert crossing(tree, chosen[0], other, chosen[1]).tolist() == common(masks, other_masks)
