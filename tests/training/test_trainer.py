"""What Ray Train starts beside a run."""

import pytest
from ray._private import worker
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

from pipeline.training.trainer import Trainer


@pytest.mark.parametrize("dashboard", ["", "127.0.0.1:8265"])
def test_who_asks_the_dashboard_is_started_where_there_is_one(ray_cluster, monkeypatch, dashboard):
    monkeypatch.setattr(type(worker._global_node), "webui_url", dashboard)
    trainer = Trainer(lambda: None)
    usual = [type(one) for one in TorchTrainer._create_default_callbacks(trainer)]
    found = [type(one) for one in trainer._create_default_callbacks()]
    assert usual.count(PlacementGroupCleanerCallback) == 1
    assert found == (usual if dashboard else [one for one in usual if one is not PlacementGroupCleanerCallback])
