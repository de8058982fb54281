"""The vision tower as batches of regions pass through it: in the right context, with weights and kernels for it.

Shape suffixes: B regions, S input side, D embedding width.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from pipeline.clip.compiled import CompiledVision
from pipeline.clip.inference_weights import inference_weights

if TYPE_CHECKING:
    from pipeline.clip.model import Clip

RegionVision = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
"""Pixels float32 [B,3,S,S] and masks bool [B,1,S,S] on CLIP's device → embeddings [B,D], not normalised, in the number
format of the autocast: an inference tensor. Without mask prompts, masks
may be None."""


def region_vision(clip: "Clip") -> RegionVision:
    """Make the function that encodes batches of regions: the features of `clip.vision` under `clip.autocast()`.

    On the CPU it is that tower, bit by bit. On a GPU it has `inference_weights` of its own, as they are now, so it is
    for inference alone. If `clip.compiled_batch` is set it compiles now, with a batch of zeros: a worker that loads its
    models may take minutes, its first image may not, and whoever waits sees why.

    Enters inference mode and autocast itself. Compiled, it copies batches that are no inference tensors, or whose
    pixels are not contiguous (on a GPU: channels-last): torch would compile again for another kind of tensor.
    """
    on_gpu = clip.device.type != "cpu"
    layout = torch.channels_last if on_gpu else torch.contiguous_format
    vision = inference_weights(clip.vision, clip.autocast_dtype) if on_gpu else clip.vision
    forward: RegionVision = CompiledVision(vision) if clip.compiled_batch else vision

    @torch.inference_mode()
    def encode(pixels_B3SS: torch.Tensor, masks_B1SS: torch.Tensor | None) -> torch.Tensor:
        if not clip.vision.depth:
            masks_B1SS = None  # nothing looks at them
        if clip.compiled_batch:
            pixels_B3SS = _laid_out(pixels_B3SS, layout)
            masks_B1SS = None if masks_B1SS is None else _laid_out(masks_B1SS, torch.contiguous_format)
        with clip.autocast():
            return forward(pixels_B3SS, masks_B1SS)

    if clip.compiled_batch:
        size = clip.input.size
        pixels_B3SS = torch.zeros((clip.compiled_batch, 3, size, size), device=clip.device)
        masks_B1SS = torch.ones((clip.compiled_batch, 1, size, size), dtype=torch.bool, device=clip.device)
        encode(pixels_B3SS, masks_B1SS)
    return encode


def _laid_out(tensor: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    """The tensor, or its copy, as an inference tensor in one memory format. To call in inference mode."""
    as_wanted = tensor.is_inference() and tensor.is_contiguous(memory_format=layout)
    return tensor if as_wanted else tensor.clone(memory_format=layout)
