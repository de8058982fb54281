"""Groups of near hashes, against comparing each with each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.duplicates import near_hashes
from pipeline.duplicates.near_hashes import group_near


def brute_force(hashes: list[int], distance: int) -> list[int]:
    """The first hash of each one's group, by walking through the neighbours."""
    first: list[int | None] = [None] * len(hashes)
    for index in range(len(hashes)):
        if first[index] is None:
            front = [index]
            while front:
                at = front.pop()
                if first[at] is None:
                    first[at] = index
                    front += [o for o, other in enumerate(hashes) if (hashes[at] ^ other).bit_count() <= distance]
    return first


@st.composite
def near_sets(draw) -> list[int]:
    """Hashes of which many are a few bits from others, and some far from all."""
    hashes = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12))
    for _ in range(draw(st.integers(0, 30))):
        flipped = draw(st.lists(st.integers(0, 63), max_size=9))
        hashes.append(draw(st.sampled_from(hashes)) ^ sum(1 << bit for bit in set(flipped)))
    return draw(st.permutations(hashes))


@given(hashes=near_sets(), distance=st.integers(0, 16))
@settings(deadline=None, max_examples=60)
def test_groups_are_those_of_comparing_each_with_each(hashes, distance):
    found = group_near(np.array(hashes, np.uint64), distance)
    assert found.first.tolist() == brute_force(hashes, distance)
    assert found.crowded == 0


@pytest.mark.parametrize("distance", [2, 6])
@pytest.mark.parametrize("agreeing", [1, 2, 3])
def test_any_number_of_bands_gives_the_same(distance, agreeing, monkeypatch):
    monkeypatch.setattr(near_hashes, "_MOST_BANDS", agreeing)
    monkeypatch.setattr(near_hashes, "_SORTING", 1e-9)  # the most bands always cost least
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 2**64, 40, np.uint64)
    flips = np.uint64(1) << rng.integers(0, 64, (400, 5), np.uint64)
    hashes = rng.choice(centres, 400) ^ np.bitwise_xor.reduce(flips, axis=1)
    assert group_near(hashes, distance).first.tolist() == brute_force(hashes.tolist(), distance)


def test_no_hashes_and_many_equal_ones():
    assert group_near(np.array([], np.uint64), 6).first.tolist() == []
    equal = np.full(300_000, 5, np.uint64)  # 45 billion pairs
    equal[7] = 2**63
    found = group_near(equal, 0)
    assert found.first[7] == 7
    assert set(found.first.tolist()) == {0, 7}
    assert group_near(equal, 6).first.tolist() == [0] * 300_000  # 5 and 2**63 differ in three bits


def test_what_is_crowded_is_compared_in_part_and_told(monkeypatch):
    monkeypatch.setattr(near_hashes, "MOST_COMPARED", 8)
    # The upper half is alike in all of them, so that all share bands; no two of the lower halves are near by chance.
    crowd = np.random.default_rng(0).integers(0, 2**32, 500, np.uint64)
    found = group_near(np.concatenate([crowd, crowd[:1] ^ np.uint64(1)]), 4)
    assert found.crowded > 400
    assert found.first[-1] == 0
