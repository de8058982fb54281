"""Workers that no machine has room for: real Ray."""

import pytest
import ray
from ray.data import ActorPoolStrategy, DataContext

from pipeline.errors import IncompleteError
from pipeline.execution.placement import watch_placement


class Stage:
    """Hands on what it gets."""

    def __call__(self, row: dict) -> dict:
        return row


@pytest.fixture
def context(ray_cluster):
    """Ray Data's context, as it was again afterwards."""
    before = DataContext.get_current()
    context = before.copy()
    DataContext._set_current(context)
    yield
    DataContext._set_current(before)


@pytest.mark.slow
@pytest.mark.usefixtures("context")
def test_a_stage_without_a_machine_says_so_and_ends_the_run(capfd):
    watch_placement("resources.wait_minutes", 0.1, "shards", silent_seconds=0)
    rows = ray.data.range(1).map(Stage, compute=ActorPoolStrategy(size=1), num_cpus=0.5, num_gpus=2)
    message = r"no room for workers of Stage \(0\.5 CPU and 2 GPU each\), since .* \(resources\.wait_minutes is 0\.1\)"
    with pytest.raises(IncompleteError, match=message):
        rows.take_all()
    said = capfd.readouterr().err
    assert "nothing finished for " in said
    assert "Stage has 0 shards and 0 workers, 1 more start or wait for 0.5 CPU and 2 GPU" in said
    assert "0 of 0 GPU" in said
