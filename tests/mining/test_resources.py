"""How GPUs and CPUs are shared between the workers that propose and those that run CLIP."""

import pytest

from pipeline.captions import CaptionsConfig
from pipeline.errors import UserError
from pipeline.mining.config import MineConfig, ResourcesConfig
from pipeline.mining.resources import check_resources
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
    found = check_resources(config(backend, **given), [{"CPU": 16.0, "GPU": float(gpus)}])
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
        check_resources(config("sam2", **given), [{"CPU": 16.0, "GPU": 1.0}])


@pytest.mark.parametrize(
    ("backend", "machines", "given", "expected"),
    [
        # machines: CPUs and GPUs of each; expected: CPUs of a CLIP worker and of a proposal worker
        ("segments", [(2, 0)], {}, (1, 0.5)),
        ("segments", [(4, 1)], {}, (2, 0.5)),
        ("segments", [(2, 1)], {}, (1, 0.5)),
        ("sam2", [(8, 1)], {}, (2, 2)),
        ("sam2", [(4, 1)], {}, (1, 0.5)),
        ("sam2", [(96, 8)], {}, (2, 2)),
        ("sam2", [(64, 0), (8, 1)], {}, (2, 2)),
        ("sam2", [(64, 0), (4, 1)], {}, (1, 0.5)),  # CPUs of another machine are no help
        ("sam2", [(4, 1), (4, 1)], {"clip_gpus": 1, "proposal_gpus": 1}, (2, 2)),
        ("sam2", [(4, 1)], {"clip_cpus": 3}, (3, 0.5)),
        ("maskformer", [(8, 1)], {"proposal_cpus": 1}, (2, 1)),
    ],
)
def test_workers_on_gpus_get_cpus_where_there_are_some(backend, machines, given, expected):
    found = check_resources(
        config(backend, **given), [{"CPU": float(cpus), "GPU": float(gpus)} for cpus, gpus in machines]
    )
    assert (found.clip_cpus, found.proposal_cpus) == expected
    # One worker of each kind, a reader and a writer find room.
    assert found.clip_cpus + found.proposal_cpus + 0.25 + 0.25 <= sum(cpus for cpus, _ in machines)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"clip_cpus": 9}, r"resources\.clip_cpus is 9, but no machine of the Ray cluster has over 8 CPUs"),
        ({"proposal_cpus": 100}, r"resources\.proposal_cpus is 100, but no machine"),
        (
            {"clip_cpus": 8, "proposal_cpus": 8},
            r"clip_cpus \(8\) and proposal_cpus \(8\) together, and 0\.5 to read and",
        ),
    ],
)
def test_more_cpus_than_there_are(given, message):
    with pytest.raises(UserError, match=message):
        check_resources(config("segments", **given), [{"CPU": 8.0}, {"CPU": 8.0}])
