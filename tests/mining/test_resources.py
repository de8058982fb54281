"""How GPUs and CPUs are shared between the workers that propose and those that run CLIP."""

import pytest

from pipeline.captions import CaptionsConfig
from pipeline.errors import UserError
from pipeline.mining.config import MineConfig, ResourcesConfig
from pipeline.mining.plan import check_resources
from pipeline.proposals import ProposalsConfig


def config(backend: str, **resources: float) -> MineConfig:
    captions = CaptionsConfig(format="coco", path="captions.json")
    return MineConfig(
        captions, "out", proposals=ProposalsConfig(backend=backend), resources=ResourcesConfig(**resources)
    )


@pytest.mark.parametrize(
    ("backend", "gpus", "given", "expected"),
    [
        # expected: GPUs of a CLIP worker and of a proposal worker, CLIP workers, proposal workers
        ("segments", 0, {}, (0, 0, 16, 16)),
        ("segments", 4, {}, (1, 0, 4, 16)),
        ("segments", 4, {"clip_gpus": 0.5}, (0.5, 0, 8, 16)),
        ("segments", 4, {"proposal_workers": 3}, (1, 0, 4, 3)),
        ("maskformer", 0, {}, (0, 0, 16, 16)),
        ("maskformer", 1, {}, (0.5, 0.5, 1, 1)),
        ("sam2", 8, {}, (0.5, 0.5, 8, 8)),
        ("sam2", 8, {"clip_gpus": 1, "proposal_gpus": 1}, (1, 1, 4, 4)),
        ("sam2", 8, {"proposal_gpus": 0.75}, (0.25, 0.75, 8, 8)),
        ("sam2", 2, {"proposal_gpus": 0}, (1, 0, 2, 16)),
    ],
)
def test_every_kind_of_worker_gets_its_share(backend, gpus, given, expected):
    found = check_resources(config(backend, **given), {"CPU": 16.0, "GPU": float(gpus)})
    assert (found.clip_gpus, found.proposal_gpus, found.clip_workers, found.proposal_workers) == expected
    together = found.clip_workers * found.clip_gpus
    if found.proposal_gpus:
        together += found.proposal_workers * found.proposal_gpus
    assert together <= gpus


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"clip_gpus": 2}, r"resources\.clip_gpus is 2, but the Ray cluster has 1 GPUs"),
        ({"proposal_gpus": 3}, r"resources\.proposal_gpus is 3, but the Ray cluster has 1 GPUs"),
        ({"clip_gpus": 1}, r"clip_gpus \(1\) and proposal_gpus \(0\.5\) together are more than the 1 GPUs"),
    ],
)
def test_more_than_there_is(given, message):
    with pytest.raises(UserError, match=message):
        check_resources(config("sam2", **given), {"CPU": 16.0, "GPU": 1.0})
