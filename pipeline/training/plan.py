"""Before any worker starts: can this configuration run here?"""

import os
import sys

import ray

from pipeline.clip import Clip, load_clip
from pipeline.clip.templates import check_fit
from pipeline.configuration import limits
from pipeline.configuration.paths import with_absolute_paths
from pipeline.errors import UserError
from pipeline.training.config import TrainConfig
from pipeline.training.loggers import check_loggers
from pipeline.training.moved import moved_weights
from pipeline.training.phases import with_prompts
from pipeline.training.replay import images_of_a_batch


def resolve(config: TrainConfig) -> TrainConfig:
    """The configuration that workers get: every rule kept, its local paths absolute.

    Raises:
        UserError: naming the key.
    """
    limits.check(config)
    if config.batch_size % config.workers.count:
        raise UserError(
            f"batch_size {config.batch_size} cannot be shared equally by workers.count {config.workers.count} workers"
        )
    if config.loss.distillation and not config.data.unmasked_share:
        raise UserError(
            "loss.distillation compares un-masked regions with the original model, and data.unmasked_share is 0: "
            "set it, to 0.1 for example"
        )
    if config.loss.distillation and config.mode == "mask_prompt":
        raise UserError("loss.distillation has nothing to hold in mode mask_prompt: the image tower does not change")
    if config.mode == "pretrain" and (config.micro_batch_size or config.loss.distillation):
        raise UserError("micro_batch_size and loss.distillation do not apply to mode pretrain: leave them out")
    if config.replay.share and config.mode in ("pretrain", "mask_prompt"):
        raise UserError(
            f"replay.share does not apply to mode {config.mode}, "
            + (
                "which shows whole crops anyway"
                if config.mode == "pretrain"
                else "whose prompts whole images do not meet"
            )
            + ": leave it out"
        )
    images_of_a_batch(config)
    if config.text.parameters != "frozen" and config.mode in ("pretrain", "mask_prompt"):
        raise UserError(
            f"text.parameters does not apply to mode {config.mode}, which "
            + ("trains both towers" if config.mode == "pretrain" else "trains the mask prompts alone")
            + ": leave it out"
        )
    for key, section in (("full", config.full), ("text", config.text)):
        if section.parameters == "lora" and not section.lora.matrices:
            raise UserError(f"{key}.lora.matrices is empty: name some of q, k, v, out, mlp")
    if config.mode == "pretrain" and config.data.weight:
        raise UserError("data.weight does not apply to mode pretrain, in which all texts count the same: leave it out")
    if config.mode == "pretrain" and config.loss.hard_negatives:
        raise UserError("loss.hard_negatives does not apply to mode pretrain: leave it out")
    check_loggers(config.loggers)
    return with_absolute_paths(config)


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
        UserError: it cannot be loaded, has no room for the templates, takes no mask prompts, comes with prompts of
            another depth, has no parameters of a name in `pretrain.frozen`, or no weights of the kind that
            `full.parameters` or `text.parameters` asks for.
    """
    clip = load_clip(config.model.architecture, config.model.weights)
    check_fit(clip.tokenizer, config.model.templates, "model.templates")
    if config.mode == "pretrain":
        names = [name for name, _ in clip.model.named_parameters()]
        for beginning in config.pretrain.frozen:
            if not any(name.startswith(beginning) for name in names):
                found = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
                raise UserError(f"pretrain.frozen: no parameter's name begins with {beginning!r}, but with {found}")
        if all(name.startswith(tuple(config.pretrain.frozen)) for name in names):
            raise UserError(f"pretrain.frozen: {config.pretrain.frozen} leaves nothing to train")
    if config.mode in ("full", "full_then_mask_prompt"):
        moved_weights(clip, config)
    if config.mode in ("mask_prompt", "full_then_mask_prompt"):
        with_prompts(clip, config.mask_prompt.depth, config.seed)
    return clip


def check_size(config: TrainConfig, samples: int) -> None:
    """Check that the training samples fill a batch.

    Raises:
        UserError: they do not.
    """
    if samples < config.batch_size:
        raise UserError(
            f"batch_size is {config.batch_size}, but there are {samples} training samples: lower it, or mine more"
        )
