"""One optimisation step: features of the global batch, loss, gradients.

Shape suffixes: B regions of this rank, S input side, D embedding width, U un-masked regions,
R whole images of this rank.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from pipeline.training.losses import RegionLoss, distillation_loss
from pipeline.training.replay_loss import ReplayLoss


@dataclass(frozen=True)
class StepResult:
    """What a step computed, still on the device."""

    loss: torch.Tensor
    """Loss of this rank, scalar; the mean over ranks is the loss of the step."""
    finite: torch.Tensor
    """bool [B]: whether the features of a region are all finite."""


class Step:
    """Computes a step's loss and gradients.

    In-batch losses need the features of the whole batch at once. With `micro_batch_size` they are computed without
    gradients first; then the gradient of the loss with respect to the features is carried through the tower one
    micro-batch at a time (GradCache, Gao et al. 2021). The result is that of one large batch.
    """

    def __init__(
        self,
        vision: torch.nn.Module,
        loss: RegionLoss,
        *,
        autocast: Callable[[], contextlib.AbstractContextManager],
        scaler: torch.amp.GradScaler,
        micro_batch_size: int | None,
        original: torch.nn.Module | None,
        distillation: float,
        replay: ReplayLoss | None = None,
    ):
        """
        Args:
            vision: takes pixels and masks; a DistributedDataParallel if there are several ranks.
            scaler: of fp16 gradients; disabled for other precisions.
            original: the image tower before training, for `distillation`.
            distillation: weight of the distance to the original's features.
            replay: of whole images, if each batch has some: its share of the loss, regions have the rest.
        """
        self._vision, self._loss, self._autocast, self._scaler = vision, loss, autocast, scaler
        self._micro_batch_size = micro_batch_size
        self._original, self._distillation = original, distillation
        self._replay = replay

    def __call__(self, batch: dict[str, Any]) -> StepResult:
        """Add the gradients of a batch to the parameters' `.grad`, scaled by the scaler.

        Args:
            batch: `pixels` [B,3,S,S] and `masks` bool [B,1,S,S] on the device of the tower; `nouns` int64 [B],
                `unmasked` bool [B]; `weights` float32 [B] if pairs count differently; `negatives` int64 [B,H] if there
                are hard negatives; with replay `images` [R,3,S,S], and `captions`, a list of R texts.
        """
        pixels, masks = batch["pixels"], batch["masks"]
        total = torch.zeros((), device=pixels.device)
        share = 0.0
        if self._replay is not None:
            replay, share, captions = self._replay, self._replay.share, batch["captions"]
            images = batch["images"].to(pixels.device, non_blocking=True)
            total, _ = self._learn(images, None, lambda features: share * replay(features, captions), synchronise=False)
        original_UD = self._original_features(pixels, batch["unmasked"])
        loss, features_BD = self._learn(
            pixels, masks, lambda features: (1 - share) * self._total_loss(features, batch, original_UD)
        )
        average_gradients(self._loss.beside)
        return StepResult(total + loss, features_BD.isfinite().all(dim=1))

    def _learn(
        self,
        pixels: torch.Tensor,
        masks: torch.Tensor | None,
        loss_of: Callable[[torch.Tensor], torch.Tensor],
        *,
        synchronise: bool = True,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the gradients of a loss of the features of a batch, [B,D].

        Args:
            synchronise: with those of the other ranks, and all that were added before. Once a step.

        Returns:
            the loss and the features, without gradients.
        """
        distributed = self._vision if isinstance(self._vision, DistributedDataParallel) else None

        def pass_of(last: bool) -> contextlib.AbstractContextManager:
            return contextlib.nullcontext() if distributed is None or (last and synchronise) else distributed.no_sync()

        size = self._micro_batch_size or len(pixels)
        if size >= len(pixels):
            with pass_of(last=True):
                features_BD = self._features(self._vision, pixels, masks)
                loss = loss_of(features_BD)
                self._scaler.scale(loss).backward()
            return loss.detach(), features_BD.detach()
        chunks = [
            (pixels[start : start + size], None if masks is None else masks[start : start + size])
            for start in range(0, len(pixels), size)
        ]
        with torch.no_grad():
            bare = self._vision if distributed is None else distributed.module
            features_BD = torch.cat([self._features(bare, *chunk) for chunk in chunks])
        features_BD.requires_grad_()
        loss = loss_of(features_BD)
        self._scaler.scale(loss).backward()
        assert features_BD.grad is not None  # the loss depends on them
        for number, (chunk, gradient) in enumerate(zip(chunks, features_BD.grad.split(size), strict=True)):
            with pass_of(last=number == len(chunks) - 1):
                self._features(self._vision, *chunk).backward(gradient)
        return loss.detach(), features_BD.detach()

    def clamp_logit_scale(self) -> None:
        """Keep the temperature in the range that CLIP was trained with."""
        self._loss.clamp_logit_scale()

    def _features(self, vision: torch.nn.Module, pixels: torch.Tensor, masks: torch.Tensor | None) -> torch.Tensor:
        with self._autocast():
            return vision(pixels, masks).float()

    @torch.no_grad()
    def _original_features(self, pixels_B3SS: torch.Tensor, unmasked_B: torch.Tensor) -> torch.Tensor | None:
        if self._original is None or not self._distillation:
            return None
        with self._autocast():
            return self._original(pixels_B3SS[unmasked_B])

    def _total_loss(
        self, features_BD: torch.Tensor, batch: dict[str, torch.Tensor], original_UD: torch.Tensor | None
    ) -> torch.Tensor:
        loss = self._loss(features_BD, batch["nouns"], batch.get("weights"), batch.get("negatives"))
        if original_UD is not None:  # what CLIP knew is worth the same of every region
            loss = loss + self._distillation * distillation_loss(features_BD, original_UD, batch["unmasked"])
        return loss


def average_gradients(parameters: list[torch.nn.Parameter]) -> None:
    """The mean over ranks, in place, of gradients of what DistributedDataParallel does not synchronise."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not dist.is_initialized() or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat, op=dist.ReduceOp.SUM)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
