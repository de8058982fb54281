"""What each worker gets of the cluster: GPUs, CPUs, and how many workers there are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import ray

from pipeline.errors import UserError
from pipeline.mining.config import MineConfig, ResourcesConfig
from pipeline.mining.stages import CLIP_CPUS, CPUS_ON_GPU, PROPOSAL_CPUS, READ_CPUS, WRITE_CPUS
from pipeline.proposals import is_learned

Machine = Mapping[str, float]
"""What a machine has, as "CPU" and "GPU"."""


def machines() -> list[Machine]:
    """Those of the Ray cluster that this process is connected to."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def check_resources(config: MineConfig, machines: Sequence[Machine]) -> ResourcesConfig:
    """The resources with everything filled in that is empty, as it fits the cluster.

    Raises:
        UserError: more GPUs or CPUs are asked for than the cluster has.
    """
    gpus = sum(machine.get("GPU", 0.0) for machine in machines)
    cpus = int(sum(machine.get("CPU", 0.0) for machine in machines))
    resources = config.resources
    proposal_gpus, clip_gpus = resources.proposal_gpus, resources.clip_gpus
    if proposal_gpus is None:
        learned = any(is_learned(name) for name, _ in config.proposals.each())
        proposal_gpus = min(gpus, 1.0) / 2 if gpus and learned else 0.0
    if clip_gpus is None:
        clip_gpus = max(0.0, min(gpus, 1.0) - proposal_gpus % 1)
    for key, wanted in (("clip_gpus", clip_gpus), ("proposal_gpus", proposal_gpus)):
        if wanted > gpus:
            raise UserError(f"resources.{key} is {wanted}, but the Ray cluster has {gpus:g} GPUs")
    if clip_gpus + proposal_gpus > gpus:
        raise UserError(
            f"resources.clip_gpus ({clip_gpus}) and proposal_gpus ({proposal_gpus}) together are more than the "
            f"{gpus:g} GPUs of the Ray cluster: one worker of each kind must fit"
        )
    # Both kinds get the same number of workers where they share the GPUs: none can take what the other needs.
    at_once = clip_gpus + proposal_gpus
    clip_workers = max(1, int(gpus / at_once) if clip_gpus else cpus // config.clip.threads)
    proposal_workers = max(1, int(gpus / at_once) if proposal_gpus else cpus)
    on_gpu = CPUS_ON_GPU if _have_cpus(machines, clip_gpus, proposal_gpus) else 0.0
    found = replace(
        resources,
        clip_gpus=clip_gpus,
        proposal_gpus=proposal_gpus,
        clip_workers=resources.clip_workers or clip_workers,
        proposal_workers=resources.proposal_workers or proposal_workers,
        clip_cpus=resources.clip_cpus or max(CLIP_CPUS, on_gpu if clip_gpus else 0.0),
        proposal_cpus=resources.proposal_cpus or max(PROPOSAL_CPUS, on_gpu if proposal_gpus else 0.0),
    )
    if resources.clip_cpus or resources.proposal_cpus:  # what is chosen here is as little as can be
        _check_cpus(found, machines)
    return found


def _have_cpus(machines: Sequence[Machine], clip_gpus: float, proposal_gpus: float) -> bool:
    """Whether every machine with GPUs has twice the CPUs that its GPU workers would hold. The rest is for tasks that
    read and write, and for proposals without a GPU."""
    kinds = (clip_gpus > 0) + (proposal_gpus > 0)
    return all(
        2 * CPUS_ON_GPU * kinds * machine["GPU"] / (clip_gpus + proposal_gpus) <= machine.get("CPU", 0.0)
        for machine in machines
        if kinds and machine.get("GPU")
    )


def _check_cpus(resources: ResourcesConfig, machines: Sequence[Machine]) -> None:
    clip_cpus, proposal_cpus = resources.clip_cpus or 0.0, resources.proposal_cpus or 0.0
    cpus = [machine.get("CPU", 0.0) for machine in machines]
    for key, wanted in (("clip_cpus", clip_cpus), ("proposal_cpus", proposal_cpus)):
        if wanted > max(cpus):
            raise UserError(
                f"resources.{key} is {wanted:g}, but no machine of the Ray cluster has over {max(cpus):g} CPUs"
            )
    tasks = READ_CPUS + WRITE_CPUS
    if clip_cpus + proposal_cpus + tasks > sum(cpus):
        raise UserError(
            f"resources.clip_cpus ({clip_cpus:g}) and proposal_cpus ({proposal_cpus:g}) together, and {tasks:g} to "
            f"read and write, are more than the {sum(cpus):g} CPUs of the Ray cluster: one worker of each kind must fit"
        )
