"""What workers waited for: with given numbers, and in a real pipeline."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.layout import Layout
from pipeline.mining.graph import Pool, Tasks, mining_graph
from pipeline.mining.packing import pack, unpack
from pipeline.mining.stages import Run, _advance
from pipeline.mining.waiting import Turns, split
from pipeline.mining.work import Shard

moments = st.floats(0, 1e9)


@pytest.mark.parametrize(
    ("ended", "ready", "began", "waited", "handed_over"),
    [
        (10, 14, 15, 4, 1),  # four seconds until it was ready, one more until it came
        (10, 8, 13, 0, 3),  # it was ready before: all three seconds are Ray's, or those of stages that are full
        (10, 10, 10, 0, 0),
        (10, 19, 15, 5, 0),  # the clock of the other machine is ahead
        (10, 12, 9, 0, 0),  # this machine's clock was set back
    ],
)
def test_by_hand(ended, ready, began, waited, handed_over):
    assert split(ended, ready, began) == {"input": waited, "hand_over": handed_over}


@given(moments, moments, moments)
def test_parts_are_the_whole_whatever_clocks_say(ended, ready, began):
    parts = split(ended, ready, began)
    assert min(parts.values()) >= 0
    assert sum(parts.values()) == pytest.approx(max(0.0, began - ended))


def test_the_first_shard_of_a_worker_tells_nothing():
    turns = Turns()
    assert turns.begin(ready=5.0) == {}
    done = turns.end()
    assert turns.begin(ready=None) == {}
    assert turns.begin(done - 100)["input"] == 0
    assert turns.begin(done + 1e6)["hand_over"] == 0


class Work:
    """A stage with workers that only take their time."""

    def __init__(self, run, stage, seconds):
        self._run, self._stage, self._seconds, self._turns = run, stage, seconds, Turns()

    def __call__(self, block):
        return _advance(self._run, self._stage, block, self._step, self._turns)

    def _step(self, shard, announce):
        threading.Event().wait(self._seconds)
        return shard


def begin(block):
    return pack(Shard(block["shard"][0].as_py(), ready=0.0))


def tell(block):
    shard = unpack(block)
    return {"seconds": [shard.seconds], "waits": [shard.waits]}


@pytest.mark.parametrize(("proposals", "matching"), [(0.5, 0.0), (0.0, 0.5)])
def test_a_stage_waits_for_a_slow_one_before_it(ray_cluster, tmp_path, proposals, matching):
    run = Run(Layout(str(tmp_path)), "test", 0.0, 0.0)
    rows = mining_graph(
        range(6),
        read=Tasks(begin, (), 0.25),
        propose=Pool(Work, (run, "proposals", proposals), 0.5, 0, 1),
        match=Pool(Work, (run, "matching", matching), 0.5, 0, 1),
        write=Tasks(tell, (), 0.25),
    ).take_all()
    told = [row["waits"] for row in rows if row["waits"].get("matching")]
    assert len(told) == 5  # all but the first of the one worker
    assert all(row["seconds"]["proposals"] >= proposals for row in rows)
    waited, handed_over = (sum(waits["matching"][what] for waits in told) for what in ("input", "hand_over"))
    if proposals:
        assert waited > handed_over
        assert waited > sum(row["seconds"]["matching"] for row in rows)
    else:
        assert waited < sum(row["seconds"]["matching"] for row in rows)
    # What every shard was read at lies far in the past: nobody waited for that.
    assert not any(row["waits"].get("proposals", {}).get("input") for row in rows)
