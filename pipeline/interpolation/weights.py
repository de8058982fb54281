"""Weights between two CLIPs of one architecture.

WiSE-FT (Wortsman et al. 2022) averages the image tower; both towers, as PAINT does (Ilharco et al. 2022).
"""

import copy
from dataclasses import replace

import torch

from pipeline.clip import Clip
from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of


def check_same_architecture(original: Clip, adapted: Clip) -> None:
    """Check that the weights of two CLIPs belong together one by one.

    Raises:
        UserError: they do not; names some that differ.
    """
    before, after = original.model.state_dict(), adapted.model.state_dict()
    if alone := sorted(before.keys() ^ after.keys()):
        raise UserError(
            f"the original CLIP and the adapted one are of different architectures: only one of them has "
            f"{first_of(alone, 3)}"
        )
    for name, tensor in before.items():
        if tensor.shape != after[name].shape:
            raise UserError(
                f"the original CLIP and the adapted one are of different architectures: {name} is "
                f"{list(tensor.shape)} and {list(after[name].shape)}"
            )
    if original.vision.depth not in (0, adapted.vision.depth):
        raise UserError(
            f"the original CLIP has mask prompts of depth {original.vision.depth}, the adapted one of "
            f"{adapted.vision.depth}"
        )


def differs(original: Clip, adapted: Clip) -> bool:
    """Whether any weight of the towers is another; mask prompts do not count."""
    after = adapted.model.state_dict()
    return any(not torch.equal(tensor, after[name]) for name, tensor in original.model.state_dict().items())


@torch.no_grad()
def interpolated(original: Clip, adapted: Clip, alpha: float) -> Clip:
    """θ = (1−α)·θ_original + α·θ_adapted, for every weight of both towers, and the scale and bias of the logits.

    Mask prompts are interpolated if both have them. If only the adapted CLIP has some, there is nothing that they
    could be mixed with: from the second layer on, the original leaves blank patches as they come. So for α above 0
    they are taken as they are, and the original alone, α = 0, has none. Whole images meet no prompt in any case.

    Args:
        original, adapted: of one architecture, on one device; both stay as they are.
        alpha: 0..1.

    Raises:
        UserError: their architectures differ.
    """
    check_same_architecture(original, adapted)
    if alpha in (0.0, 1.0):
        return adapted if alpha else original
    model, vision = copy.deepcopy((adapted.model, adapted.vision))  # together: the tower belongs to both
    source = original.model.state_dict()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.lerp(source[name].to(tensor), tensor, alpha))
    if original.vision.depth:
        vision.prompts.copy_(torch.lerp(original.vision.prompts, vision.prompts, alpha))
    return replace(adapted, model=model, vision=vision)
