"""How busy workers were, and how many of them are simulated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.mining.config import ResourcesConfig
from pipeline.simulation.busy import WorkInterval, busy_share
from pipeline.simulation.fit import fit


def test_two_workers_by_hand():
    intervals = [
        WorkInterval("a", 0, 10),
        WorkInterval("a", 10, 10),
        WorkInterval("b", 5, 8),
        WorkInterval("b", 15, 10),
    ]
    share = busy_share(intervals, workers=2)
    # All have work from 5 to 15: ten seconds of a, and eight of b.
    assert share.steady == pytest.approx(18 / 20)
    assert share.whole == pytest.approx(38 / 50)
    assert share.workers == 2


def test_a_worker_that_never_comes_counts_as_idle():
    share = busy_share([WorkInterval("a", 0, 4), WorkInterval("a", 4, 4)], workers=2)
    assert share.steady == pytest.approx(4 / 8)
    assert share.whole == pytest.approx(8 / 16)
    assert share.workers == 1


def test_no_time_with_work_for_all():
    assert busy_share([WorkInterval("a", 0, 4), WorkInterval("b", 1, 4)], workers=2).steady is None


@given(st.integers(1, 100), st.integers(1, 600), st.integers(1, 600), st.floats(2, 300), st.integers(1, 100))
def test_as_much_as_fits(nodes, proposers, matchers, memory_gb, cores):
    found = fit(nodes, ResourcesConfig(0.5, 0.5, matchers, proposers, 1, 1), memory_gb, cores)
    assert nodes % found.nodes == 0
    assert found.propose_workers >= proposers
    assert found.match_workers >= matchers
    # Raylets take 0.14 GB, workers 0.12 GB, everything else 1.5 GB.
    assert 1.5 + found.nodes * (0.14 + 2 * found.processes * 0.12) <= memory_gb + 1e-6
    # A core plays at most four nodes, and eight worker processes (one of each kind is the least a node has).
    assert found.nodes <= 4 * cores
    assert 2 * found.nodes * found.processes <= max(8 * cores, 2 * found.nodes)


@pytest.mark.parametrize(("cores", "expected"), [(128, (64, 8, 1, 1)), (2, (8, 1, 64, 64))])
def test_512_workers(cores, expected):
    """Everybody has a process on a large machine; on a small one a process stands for many."""
    found = fit(64, ResourcesConfig(0.5, 0.5, 512, 512, 1, 1), memory_gb=150, cores=cores)
    assert (found.nodes, found.processes, found.propose_threads, found.match_threads) == expected


def test_too_little_memory():
    with pytest.raises(UserError, match=r"memory_gb is 1\.0; to play the smallest cluster takes 1\.9 GB"):
        fit(64, ResourcesConfig(0.5, 0.5, 512, 512, 1, 1), memory_gb=1)
