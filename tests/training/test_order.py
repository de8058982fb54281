"""Every sample once an epoch, in an order that nothing but seed and epoch decides."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.training.order import PhaseBatches, PhaseSteps, epoch_order, steps_per_epoch
from pipeline.training.ranks import Ranks


@pytest.mark.parametrize(("batch_size", "steps"), [(128, 3454), (256, 1727), (512, 863), (1024, 431)])
def test_steps_of_an_epoch_are_the_reference_s(batch_size, steps):
    """442,117 pairs, the last incomplete batch dropped (OVSeg Sec. 4.1 and its released training)."""
    assert steps_per_epoch(442_117, batch_size) == steps


@st.composite
def phases(draw):
    """Rows with their shards, and the arguments of a phase but for ranks and first step."""
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=8))
    numbers = draw(st.lists(st.integers(0, 50), min_size=len(sizes), max_size=len(sizes), unique=True))
    shards_N = np.repeat(sorted(numbers), sizes).astype(np.int32)
    held_out = draw(st.integers(0, 5))  # rows that are not for training lie between the others
    rows_N = np.sort(np.random.default_rng(held_out).permutation(len(shards_N) + held_out)[: len(shards_N)])
    world_size = draw(st.integers(1, 4))
    steps = PhaseSteps(
        seed=draw(st.integers(0, 2**32)),
        epochs=draw(st.integers(1, 3)),
        batch_size=world_size * draw(st.integers(1, 6)),
    )
    return rows_N, shards_N, world_size, steps, draw(st.none() | st.integers(1, 9))


@given(phase=phases())
@settings(deadline=None, max_examples=150)
def test_nothing_is_repeated_or_lost_over_the_ranks(phase):
    rows_N, shards_N, world_size, steps, pool = phase
    ranks = [PhaseBatches(rows_N, shards_N, steps, Ranks(rank, world_size), pool) for rank in range(world_size)]
    per_epoch = steps_per_epoch(len(rows_N), steps.batch_size)
    batches = [list(rank) for rank in ranks]
    assert [len(own) for own in batches] == [len(rank) for rank in ranks] == [per_epoch * steps.epochs] * world_size
    for epoch in range(steps.epochs):
        seen = [
            sample for own in batches for batch in own[epoch * per_epoch : (epoch + 1) * per_epoch] for sample in batch
        ]
        assert {of_epoch for of_epoch, _ in seen} <= {epoch}
        rows = [row for _, row in seen]
        assert len(set(rows)) == len(rows) == per_epoch * steps.batch_size
        assert set(rows) <= set(rows_N.tolist())


@given(phase=phases())
@settings(deadline=None, max_examples=50)
def test_the_ranks_together_see_what_one_would_see(phase):
    rows_N, shards_N, world_size, steps, pool = phase
    ranks = [PhaseBatches(rows_N, shards_N, steps, Ranks(rank, world_size), pool) for rank in range(world_size)]
    joined = [list(itertools.chain(*parts)) for parts in zip(*ranks, strict=True)]
    assert joined == list(PhaseBatches(rows_N, shards_N, steps, shuffle_shards=pool))


@given(phase=phases(), data=st.data())
@settings(deadline=None, max_examples=100)
def test_a_stage_goes_on_with_exactly_the_batches_that_were_left(phase, data):
    rows_N, shards_N, world_size, steps, pool = phase
    ranks = Ranks(data.draw(st.integers(0, world_size - 1)), world_size)
    whole = list(PhaseBatches(rows_N, shards_N, steps, ranks, pool))
    first_step = data.draw(st.integers(0, len(whole) + 1))
    rest = PhaseBatches(rows_N, shards_N, replace(steps, first_step=first_step), ranks, pool)
    assert list(rest) == whole[first_step:]
    assert len(rest) == len(whole[first_step:])
    assert list(rest) == whole[first_step:], "it can be iterated again"


@given(phase=phases(), epoch=st.integers(0, 100))
@settings(deadline=None, max_examples=100)
def test_an_epoch_is_a_permutation_that_mixes_a_few_shards_at_a_time(phase, epoch):
    _, shards_N, _, steps, pool = phase
    order = epoch_order(shards_N, steps.seed, epoch, pool)
    assert sorted(order.tolist()) == list(range(len(shards_N)))
    assert (order == epoch_order(shards_N, steps.seed, epoch, pool)).all()
    visited = shards_N[order]
    places = {shard: np.flatnonzero(visited == shard) for shard in set(shards_N.tolist())}
    begun_and_not_finished = [sum(at[0] <= place <= at[-1] for at in places.values()) for place in range(len(shards_N))]
    assert max(begun_and_not_finished) <= (pool or len(places))


def test_the_order_is_the_same_on_every_machine_and_in_every_version():
    shards_N = np.repeat([3, 5, 9], [4, 2, 4])
    assert epoch_order(shards_N, seed=7, epoch=0).tolist() == [3, 0, 9, 8, 1, 7, 6, 5, 4, 2]
    assert epoch_order(shards_N, seed=7, epoch=1).tolist() != [3, 0, 9, 8, 1, 7, 6, 5, 4, 2]
    assert epoch_order(shards_N, seed=8, epoch=0).tolist() != [3, 0, 9, 8, 1, 7, 6, 5, 4, 2]
    assert epoch_order(shards_N, seed=7, epoch=0, shuffle_shards=1).tolist() == [3, 0, 1, 2, 9, 8, 7, 6, 5, 4]


@pytest.mark.parametrize("shuffle_shards", [None, 1, 2])
def test_every_sample_comes_at_every_place_equally_often(shuffle_shards):
    shards_N = np.repeat([0, 1, 2, 3], 2)
    epochs = 1600
    counts = np.zeros((8, 8))
    for epoch in range(epochs):
        counts[np.arange(8), epoch_order(shards_N, 0, epoch, shuffle_shards)] += 1
    expected = epochs / 8
    assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()
