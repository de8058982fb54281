"""Weight averaging with the original model (WiSE-FT, Wortsman et al. 2022)."""

import torch

from pipeline.clip import Clip


@torch.no_grad()
def average_with_original(tuned: Clip, original: Clip, share: float) -> None:
    """θ ← share·θ_tuned + (1−share)·θ_original for the image tower and the temperature, in place.

    Args:
        share: of the tuned weights, 0..1.
    """
    source = original.vision.visual.state_dict() | {"logit_scale": original.logit_scale}
    for name, tensor in (tuned.vision.visual.state_dict() | {"logit_scale": tuned.logit_scale}).items():
        if tensor.is_floating_point():
            tensor.lerp_(source[name], 1 - share)
