"""What Ray Train starts beside a run."""

import pytest
from ray._private import worker
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

from pipeline.training.trainer import Trainer


@pytest.mark.parametrize("dashboard", ["", "127.0.0.1:8265"])
def test_who_can_see_whether_the_controller_lives_is_started(ray_cluster, monkeypatch, dashboard):
    monkeypatch.setattr(type(worker._global_node), "webui_url", dashboard)
    trainer = Trainer(lambda: None)
    every, ours = (
        create(trainer)
        for create in (super(Trainer, trainer)._create_default_callbacks.__func__, Trainer._create_default_callbacks)
    )
    cleaners = [isinstance(one, PlacementGroupCleanerCallback) for one in every]
    assert sum(cleaners) == 1
    expected = [type(one) for one, cleaner in zip(every, cleaners, strict=True) if dashboard or not cleaner]
    assert [type(one) for one in ours] == expected
