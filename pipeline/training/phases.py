"""What each phase of a run trains, and for how long."""

from dataclasses import dataclass, replace

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.clip import Clip
from pipeline.clip.mask_prompts import MaskPromptedVision
from pipeline.errors import UserError
from pipeline.training.config import Mode, PhaseConfig, PhaseName, PretrainConfig, TrainConfig
from pipeline.training.moved import train_moved
from pipeline.training.order import steps_per_epoch
from pipeline.training.replay import images_of_a_batch

_PHASES: dict[Mode, tuple[PhaseName, ...]] = {
    "pretrain": ("pretrain",),
    "full": ("full",),
    "mask_prompt": ("mask_prompt",),
    "full_then_mask_prompt": ("full", "mask_prompt"),
}


@dataclass(frozen=True)
class Phase:
    """One optimisation over the samples, with its own optimiser and schedule."""

    name: PhaseName
    config: PhaseConfig
    steps_per_epoch: int
    images: int = 0
    """Whole images of each batch, over all workers: the rest are regions."""

    @property
    def steps(self) -> int:
        """Optimiser steps over all epochs."""
        return self.config.epochs * self.steps_per_epoch


def plan_phases(config: TrainConfig, samples: int) -> list[Phase]:
    """The phases of `config.mode` over a number of training samples.

    Raises:
        UserError: as `images_of_a_batch`.
    """
    images = {"full": images_of_a_batch(config)}
    return [
        Phase(
            name,
            getattr(config, name),
            steps_per_epoch(samples, config.batch_size - images.get(name, 0)),
            images.get(name, 0),
        )
        for name in _PHASES[config.mode]
    ]


def with_prompts(clip: Clip, depth: int, seed: int) -> Clip:
    """The CLIP with mask prompts: its own if it has some, else new ones.

    Raises:
        UserError: its image tower cannot take mask prompts, or it has prompts of another depth.
    """
    if clip.vision.depth == depth:
        return clip
    if clip.vision.depth:
        raise UserError(
            f"mask_prompt.depth is {depth}, but the CLIP comes with mask prompts of depth {clip.vision.depth}: "
            "set it to that"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return replace(clip, vision=MaskPromptedVision(clip.vision.visual, depth).to(clip.device))


def prepare(clip: Clip, phase: Phase, config: TrainConfig) -> dict[str, torch.nn.Parameter]:
    """Let gradients reach what the phase trains and nothing else; returns those parameters by name.

    pretrain: both towers and the temperature, but for what `frozen` names.
    full: what `full.parameters` and `text.parameters` say, with adapters where only a part of a weight moves; prompts
        that the CLIP came with are used and stay as they are.
    mask_prompt: the prompts alone.
    """
    clip.model.requires_grad_(False)
    clip.vision.requires_grad_(False)
    train_mode(clip)
    if phase.name == "full":
        return train_moved(clip, config)
    if phase.name == "mask_prompt":
        trained = {"prompts": clip.vision.prompts}
    else:
        assert isinstance(phase.config, PretrainConfig)
        frozen = tuple(phase.config.frozen)
        trained = {name: tensor for name, tensor in clip.model.named_parameters() if not name.startswith(frozen)}
    for parameter in trained.values():
        parameter.requires_grad_(True)
    return trained


def train_mode(clip: Clip) -> None:
    """Put the image tower into training mode, but for batch norms: statistics of small batches of blanked regions would
    replace those of the pretraining."""
    clip.vision.train()
    for module in clip.vision.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
