"""The loss of whole images and their captions: that of CLIP's training (Radford et al. 2021).

Shape suffixes: R whole images of this rank, D embedding width.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from open_clip.loss import ClipLoss

from pipeline.clip import Clip
from pipeline.clip.text_tower import text_encoder
from pipeline.training.ranks import Ranks


class ReplayLoss:
    """Symmetric contrast of images and captions over all ranks, with the CLIP's temperature.

    Attributes:
        share: of the loss of a step.
    """

    def __init__(self, clip: Clip, ranks: Ranks, share: float):
        self.share = share
        self._clip, self._encode = clip, text_encoder(clip.model)
        self._loss = ClipLoss(local_loss=True, gather_with_grad=True, rank=ranks.rank, world_size=ranks.world_size)

    def __call__(self, features_RD: torch.Tensor, captions: list[str]) -> torch.Tensor:
        """Scalar: the loss of this rank, whose mean over ranks is that of all images.

        Args:
            features_RD: as the image tower returns them, not normalised.
            captions: one of each image.
        """
        tokens = self._clip.tokenizer(captions).to(features_RD.device, non_blocking=True)
        with self._clip.autocast():
            texts_RD = self._encode(tokens)
        images_RD, texts_RD = (F.normalize(features.float(), dim=-1) for features in (features_RD, texts_RD))
        return self._loss(images_RD, texts_RD, self._clip.logit_scale.exp())
