"""Weight averaging with the original model (WiSE-FT, Wortsman et al. 2022)."""

import torch

from pipeline.clip import Clip


@torch.no_grad()
def average_with_original(tuned: Clip, original: Clip, share: float) -> None:
    """θ ← share·θ_tuned + (1−share)·θ_original for both towers and the temperature, in place; prompts stay.

    Where both are the same, as in a tower that was frozen, they stay so, bit by bit.

    Args:
        share: of the tuned weights, 0..1.
    """
    source = original.model.state_dict()
    for name, tensor in tuned.model.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(source[name], 1 - share)
