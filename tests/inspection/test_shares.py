"""What workers spent their time on, and what to add, in jobs.inspect."""

import json

import pytest
from rich.console import Console

from pipeline.dataset.layout import Layout
from pipeline.dataset.statistics import read_statistics
from pipeline.inspection.shares import TimeShares, advice, shares_table, time_shares

BUSY = TimeShares(0.02, 0.95, 0.03)


def shard(seconds: dict, waits: dict) -> dict:
    """Statistics as they are read."""
    return {"regions": 0, "seconds": seconds, "waits": waits}


def test_shares_by_hand():
    seconds = {"images": 10.0, "proposals": 30.0, "matching": 5.0, "writing": 1.0}
    waits = {"images": {"storage": 8.0}, "proposals": {"input": 6.0, "hand_over": 4.0}}
    shards = [
        shard(seconds, waits),  # the first of the CLIP worker
        shard(
            seconds | {"images": 30.0, "proposals": 10.0, "matching": 15.0},
            waits | {"proposals": {"input": 0.0, "hand_over": 0.0}, "matching": {"input": 60.0, "hand_over": 25.0}},
        ),
        shard(seconds, {}),  # mined before waits were told
        shard({}, {}),
    ]
    assert time_shares(shards) == {
        "images": TimeShares(16 / 40, 24 / 40, 0.0),
        "proposals": TimeShares(6 / 50, 40 / 50, 4 / 50),
        "matching": TimeShares(60 / 100, 15 / 100, 25 / 100),
    }
    assert time_shares(shards[2:]) == {}
    assert advice({}) == ""


@pytest.mark.parametrize(
    ("reading", "proposing", "matching", "said"),
    [
        (BUSY, BUSY, BUSY, "CLIP workers computed 95 % of the time: more of them (resources.clip_workers, CPUs or "),
        (BUSY, BUSY, TimeShares(0.62, 0.3, 0.08), "waited 62 % of the time for proposals: more proposal workers"),
        (BUSY, BUSY, TimeShares(0.05, 0.5, 0.45), "CLIP workers waited 45 % of the time to hand over: more CPUs"),
        (BUSY, TimeShares(0.4, 0.5, 0.1), TimeShares(0.5, 0.5, 0.0), "proposal workers waited 40 % of the time for im"),
        (BUSY, TimeShares(0.4, 0.5, 0.1), TimeShares(0.5, 0.5, 0.0), "for images: more CPUs for reading"),
        (TimeShares(0.7, 0.3, 0), TimeShares(0.4, 0.6, 0), TimeShares(0.5, 0.5, 0), "reading 70 % for storage: stor"),
        (BUSY, TimeShares(0.0, 0.6, 0.4), TimeShares(0.5, 0.5, 0), "took 40 % of the time of proposal workers to hand"),
        # Proposals wait for images, but nobody waits for proposals.
        (BUSY, TimeShares(0.9, 0.1, 0.0), TimeShares(0.0, 1.0, 0.0), "CLIP workers computed 100 %"),
    ],
)
def test_one_line_says_what_to_add(reading, proposing, matching, said):
    line = advice({"images": reading, "proposals": proposing, "matching": matching})
    assert said in line
    assert "\n" not in line


def test_the_table():
    console = Console(width=120)
    with console.capture() as captured:
        console.print(shares_table({"images": TimeShares(0.4, 0.6, 0.0), "matching": TimeShares(0.6, 0.15, 0.25)}))
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in captured.get().splitlines()]
    assert ["reading", "40 % (storage)", "60 %", ""] in rows
    assert ["CLIP workers", "60 % (proposals)", "15 %", "25 %"] in rows


@pytest.mark.parametrize("waits", [None, [], {"matching": 3}, {"matching": {"input": "x", "hand_over": -1}}, {"x": {}}])
def test_statistics_that_somebody_changed(tmp_path, waits):
    layout = Layout(str(tmp_path))
    (tmp_path / "statistics").mkdir()
    (tmp_path / "statistics" / "000000.json").write_text(json.dumps({"seconds": {"matching": 1}, "waits": waits}))
    found = read_statistics(layout, 0)
    assert not any(found["waits"].values())
    assert found["seconds"] == {"matching": 1.0}
    assert advice(time_shares([found])) in ("", advice({"matching": TimeShares(0.0, 1.0, 0.0)}))
