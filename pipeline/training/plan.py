"""Before any worker starts: can this configuration run here?"""

import os
import sys
from dataclasses import replace

import ray

from pipeline import storage
from pipeline.clip import Clip, load_clip
from pipeline.configuration.paths import absolute_model, absolute_output, refuse_secrets
from pipeline.errors import UserError
from pipeline.training.config import TrainConfig
from pipeline.training.loggers import check_loggers
from pipeline.training.phases import with_prompts


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """The configuration with local paths made absolute: workers may run in another directory than this process.

    Raises:
        UserError: `output` is relative in a submitted job.
    """
    architecture, weights = absolute_model(config.model.architecture, config.model.weights)
    validation = config.validation.dataset
    return replace(
        config,
        dataset=storage.absolute(config.dataset),
        output=absolute_output(config.output),
        model=replace(config.model, architecture=architecture, weights=weights),
        validation=replace(config.validation, dataset=validation and storage.absolute(validation)),
    )


def check_configuration(config: TrainConfig) -> None:
    """Values that no type can rule out.

    Raises:
        UserError: naming the key.
    """
    for key, uri in (
        ("dataset", config.dataset),
        ("output", config.output),
        ("validation.dataset", config.validation.dataset),
    ):
        refuse_secrets(key, uri)
    for key, value, least in (
        ("batch_size", config.batch_size, 1),
        ("micro_batch_size", config.micro_batch_size, 1),
        ("log_every", config.log_every, 1),
        ("max_failures", config.max_failures, -1),
        ("seed", config.seed, 0),
        ("workers.count", config.workers.count, 1),
        ("workers.threads", config.workers.threads, 1),
        ("workers.wait_minutes", config.workers.wait_minutes, 0),
        ("checkpoints.every_steps", config.checkpoints.every_steps, 1),
        ("checkpoints.keep", config.checkpoints.keep, 1),
        ("validation.max_regions", config.validation.max_regions, 1),
        ("pretrain.epochs", config.pretrain.epochs, 1),
        ("pretrain.warmup_steps", config.pretrain.warmup_steps, 0),
        ("full.epochs", config.full.epochs, 1),
        ("full.warmup_steps", config.full.warmup_steps, 0),
        ("mask_prompt.epochs", config.mask_prompt.epochs, 1),
        ("mask_prompt.warmup_steps", config.mask_prompt.warmup_steps, 0),
        ("mask_prompt.depth", config.mask_prompt.depth, 1),
        ("loss.distillation", config.loss.distillation, 0),
    ):
        if value is not None and value < least:
            raise UserError(f"{key} is {value}; it must be at least {least}")
    if config.batch_size % config.workers.count:
        raise UserError(
            f"batch_size {config.batch_size} cannot be shared equally by workers.count {config.workers.count} workers"
        )
    if not 0 < config.full.layer_decay <= 1:
        raise UserError(f"full.layer_decay is {config.full.layer_decay}; it must be above 0 and at most 1")
    if not 0 <= config.full.wise_ft <= 1:
        raise UserError(f"full.wise_ft is {config.full.wise_ft}; it must be between 0 and 1")
    if config.loss.distillation and not config.data.unmasked_share:
        raise UserError(
            "loss.distillation compares un-masked regions with the original model, and data.unmasked_share is 0: "
            "set it, to 0.1 for example"
        )
    if config.loss.distillation and config.mode == "mask_prompt":
        raise UserError("loss.distillation has nothing to hold in mode mask_prompt: the image tower does not change")
    if config.mode == "pretrain" and (config.micro_batch_size or config.loss.distillation):
        raise UserError("micro_batch_size and loss.distillation do not apply to mode pretrain: leave them out")
    check_loggers(config.loggers)


def check_resources(config: TrainConfig) -> bool:
    """Whether the workers use GPUs.

    Raises:
        UserError: Ray has too few GPUs or CPUs, and no machines can come.
    """
    cluster = ray.cluster_resources()
    gpu = bool(cluster.get("GPU")) if config.workers.gpu is None else config.workers.gpu
    kind = "GPU" if gpu else "CPU"
    if config.workers.count > cluster.get(kind, 0):
        missing = f"workers.count is {config.workers.count}, but the Ray cluster has {cluster.get(kind, 0):g} {kind}s"
        # Without it, Ray was started on this machine alone.
        if not os.environ.get("RAY_ADDRESS"):
            raise UserError(missing)
        print(f"{missing}: waiting for workers.wait_minutes = {config.workers.wait_minutes}", file=sys.stderr)
    return gpu


def load_model(config: TrainConfig) -> Clip:
    """The CLIP to adapt, loaded in this process, so that what is absent or does not fit is said now.

    Raises:
        UserError: it cannot be loaded, takes no mask prompts, comes with prompts of another depth, or has no
            parameters of a name in `pretrain.frozen`.
    """
    clip = load_clip(config.model.architecture, config.model.weights)
    if config.mode == "pretrain":
        names = [name for name, _ in clip.model.named_parameters()]
        for beginning in config.pretrain.frozen:
            if not any(name.startswith(beginning) for name in names):
                found = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
                raise UserError(f"pretrain.frozen: no parameter's name begins with {beginning!r}, but with {found}")
        if all(name.startswith(tuple(config.pretrain.frozen)) for name in names):
            raise UserError(f"pretrain.frozen: {config.pretrain.frozen} leaves nothing to train")
    if config.mode in ("mask_prompt", "full_then_mask_prompt"):
        with_prompts(clip, config.mask_prompt.depth, config.seed)
    return clip


def check_size(config: TrainConfig, samples: int) -> None:
    """Raises:
    UserError: the samples do not fill one batch.
    """
    if samples < config.batch_size:
        raise UserError(
            f"batch_size is {config.batch_size}, but there are {samples} training samples: lower it, or mine more"
        )
