"""One step of contrastive pretraining: both towers on images and their texts (Radford et al. 2021).

Shape suffixes: B images of this rank, S input side, D embedding width.
"""

import contextlib
import math
from collections.abc import Callable

import torch
from open_clip.loss import ClipLoss

from pipeline.clip import Clip
from pipeline.training.ranks import Ranks
from pipeline.training.step import StepResult


class PretrainStep:
    """Computes a step's loss and gradients; called as `Step` is."""

    def __init__(
        self,
        clip: Clip,
        model: torch.nn.Module,
        texts: list[str],
        *,
        scaler: torch.amp.GradScaler,
        ranks: Ranks,
    ):
        """
        Args:
            model: `clip.model`; inside a DistributedDataParallel if there are several ranks.
            texts: of all samples; a batch's `nouns` are indices into them.
            scaler: of fp16 gradients; disabled for other precisions.
        """
        self._model, self._texts, self._scaler = model, texts, scaler
        self._tokenizer, self._logit_scale = clip.tokenizer, clip.logit_scale
        self._autocast: Callable[[], contextlib.AbstractContextManager] = clip.autocast
        self._max_logit_scale = max(math.log(100), clip.logit_scale.item())
        self._loss = ClipLoss(local_loss=True, gather_with_grad=True, rank=ranks.rank, world_size=ranks.world_size)

    def __call__(self, batch: dict[str, torch.Tensor]) -> StepResult:
        """Add the gradients of a batch to the parameters' `.grad`, scaled by the scaler.

        Args:
            batch: `pixels` [B,3,S,S], `nouns` int64 [B].
        """
        tokens_BL = self._tokenizer([self._texts[index] for index in batch["nouns"].tolist()])
        with self._autocast():
            # A SigLIP also returns a bias, which a softmax does not see.
            images_BD, texts_BD, scale, *_ = self._model(batch["pixels"], tokens_BL.to(batch["pixels"].device))
        loss = self._loss(images_BD.float(), texts_BD.float(), scale)
        self._scaler.scale(loss).backward()
        return StepResult(loss.detach(), images_BD.detach().isfinite().all(dim=1))

    @torch.no_grad()
    def clamp_logit_scale(self) -> None:
        """Keep the temperature in the range that CLIP was trained with."""
        self._logit_scale.clamp_(0, self._max_logit_scale)
