"""One optimisation step: features of the global batch, loss, gradients.

Shape suffixes: B regions of this rank, S input side, D embedding width, U un-masked regions.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from pipeline.training.losses import RegionLoss, distillation_loss


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
    ):
        """
        Args:
            vision: takes pixels and masks; a DistributedDataParallel if there are several ranks.
            scaler: of fp16 gradients; disabled for other precisions.
            original: the image tower before training, for `distillation`.
            distillation: weight of the distance to the original's features.
        """
        self._vision, self._loss, self._autocast, self._scaler = vision, loss, autocast, scaler
        self._micro_batch_size = micro_batch_size
        self._original, self._distillation = original, distillation

    def __call__(self, batch: dict[str, torch.Tensor]) -> StepResult:
        """Add the gradients of a batch to the parameters' `.grad`, scaled by the scaler.

        Args:
            batch: `pixels` [B,3,S,S] and `masks` bool [B,1,S,S] on the device of the tower; `nouns` int64 [B],
                `unmasked` bool [B]; `weights` float32 [B] if pairs count differently.
        """
        pixels, masks = batch["pixels"], batch["masks"]
        original_UD = self._original_features(pixels, batch["unmasked"])
        size = self._micro_batch_size or len(pixels)
        if size >= len(pixels):
            features_BD = self._features(self._vision, pixels, masks)
            loss = self._total_loss(features_BD, batch, original_UD)
            self._scaler.scale(loss).backward()
        else:
            distributed = self._vision if isinstance(self._vision, DistributedDataParallel) else None
            chunks = list(zip(pixels.split(size), masks.split(size), strict=True))
            with torch.no_grad():
                bare = self._vision if distributed is None else distributed.module
                features_BD = torch.cat([self._features(bare, *chunk) for chunk in chunks])
            features_BD.requires_grad_()
            loss = self._total_loss(features_BD, batch, original_UD)
            self._scaler.scale(loss).backward()
            assert features_BD.grad is not None  # the loss depends on them
            for number, (chunk, gradient) in enumerate(zip(chunks, features_BD.grad.split(size), strict=True)):
                last = number == len(chunks) - 1
                with contextlib.nullcontext() if last or distributed is None else distributed.no_sync():
                    self._features(self._vision, *chunk).backward(gradient)
        # The temperature is no part of the tower that DistributedDataParallel synchronises.
        if dist.is_initialized() and self._loss.logit_scale.grad is not None:
            dist.all_reduce(self._loss.logit_scale.grad, op=dist.ReduceOp.SUM)
            self._loss.logit_scale.grad /= dist.get_world_size()
        return StepResult(loss.detach(), features_BD.detach().isfinite().all(dim=1))

    def clamp_logit_scale(self) -> None:
        """Keep the temperature in the range that CLIP was trained with."""
        self._loss.clamp_logit_scale()

    def _features(self, vision: torch.nn.Module, pixels: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
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
        device = features_BD.device
        weights_B = batch["weights"].to(device, non_blocking=True) if "weights" in batch else None
        loss = self._loss(features_BD, batch["nouns"].to(device, non_blocking=True), weights_B)
        if original_UD is not None:  # what CLIP knew is worth the same of every region
            loss = loss + self._distillation * distillation_loss(features_BD, original_UD, batch["unmasked"])
        return loss
