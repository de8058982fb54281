"""A loaded CLIP: its two towers and what belongs to them."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch

from pipeline.clip.mask_prompts import MaskPromptedVision
from pipeline.clip.region_vision import RegionVision, region_vision
from pipeline.regions.clip_input import ClipInput


@dataclass(frozen=True)
class Clip:
    """A CLIP in evaluation mode, nothing of it requiring gradients.

    `vision` takes pixels [B,3,S,S] and, if it has mask prompts, masks [B,1,S,S]; `text` takes token ids [B,L];
    both return embeddings [B,D], not normalized.
    """

    model: torch.nn.Module
    """open_clip's model; its `visual` is the tower inside `vision`."""
    vision: MaskPromptedVision
    model_cfg: dict[str, Any]
    """What open_clip builds `model` from."""
    tokenizer: Callable[[list[str]], torch.Tensor]
    preprocess: Callable[[Any], torch.Tensor]
    device: torch.device
    autocast_dtype: torch.dtype | None
    input: ClipInput
    """What `vision` takes for pixels."""
    compiled_batch: int | None = None
    """Regions of every batch that `region_vision` is given, which then runs in compiled kernels; None: any number."""

    @cached_property
    def region_vision(self) -> RegionVision:
        """The vision tower as batches of regions pass through it, for inference: see `region_vision.region_vision`.

        Made at the first use, from the weights as they are then. That can take minutes if `compiled_batch` is set.
        """
        return region_vision(self)

    @property
    def text(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The text tower: token ids int64 [B,L] → embeddings [B,D], not normalized."""
        return cast("Callable[[torch.Tensor], torch.Tensor]", self.model.encode_text)  # open_clip has no types

    @property
    def logit_scale(self) -> torch.nn.Parameter:
        """Natural logarithm of what cosines are multiplied by to become logits; a scalar."""
        return self.model.get_parameter("logit_scale")

    def autocast(self) -> contextlib.AbstractContextManager:
        """The context in which both towers run."""
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.autocast_dtype)

    def weights_sha256(self) -> str:
        """Hash over the names, shapes and bytes of all weights, whatever file they came from."""
        tensors = sorted(self.model.state_dict().items())
        if self.vision.depth:
            tensors.append(("mask_prompts", self.vision.prompts))
        return _sha256(tensors)

    def vision_weights_sha256(self) -> str:
        """Hash over the weights of the vision tower and its mask prompts, which decide the embedding of a region."""
        tensors = sorted(item for item in self.model.state_dict().items() if item[0].startswith("visual."))
        if self.vision.depth:
            tensors.append(("mask_prompts", self.vision.prompts))
        return _sha256(tensors)

    def text_weights_sha256(self) -> str:
        """Hash over all weights but those of the vision tower and the scale and bias of the logits."""
        weights = self.model.state_dict().items()
        return _sha256(sorted(item for item in weights if not item[0].startswith(("visual.", "logit_"))))


def _sha256(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
