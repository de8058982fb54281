"""A vision tower's weights as a GPU takes them: cast to its number format once, convolutions channels-last."""

import copy

import torch
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from pipeline.clip.mask_prompts import MaskPromptedVision

# Autocast casts all parameters of these modules, and nothing else is computed with them. Only the classes themselves:
# subclasses may first compute with their weights, as those that standardize them do.
_CAST = (nn.Conv2d, nn.Linear, NonDynamicallyQuantizableLinear, nn.MultiheadAttention)


def inference_weights(vision: MaskPromptedVision, dtype: torch.dtype | None) -> MaskPromptedVision:
    """The same tower for inference on a GPU: the same features, fewer operations.

    Autocast casts every weight in every forward pass, since it keeps casts only of weights that are trained: a third of
    the operations of a ViT-B. Here those of convolutions, linear layers and attention are cast once; norms, position
    embeddings and mask prompts stay as they are. Under autocast to `dtype` the features are those of `vision`, bit by
    bit. Weights of convolutions are laid out channels-last, which tensor cores take without a copy; that can move
    the last bits on a GPU.

    Args:
        vision: stays as it is; parameters that are not cast are shared with it.
        dtype: what autocast casts to; None: weights stay float32.

    Returns:
        a tower for `torch.autocast` to `dtype`, nothing of it requiring gradients.
    """
    replaced: dict[int, nn.Parameter] = {}
    for module in vision.modules():
        for parameter in module.parameters(recurse=False):
            weight = parameter.detach()
            if dtype is not None and type(module) in _CAST:
                weight = weight.to(dtype)
            if type(module) is nn.Conv2d and weight.ndim == 4:
                weight = weight.contiguous(memory_format=torch.channels_last)
            replaced[id(parameter)] = nn.Parameter(weight, requires_grad=False)
    # The copy takes for each parameter what the memo holds for it, so the float32 weights are not copied first.
    return copy.deepcopy(vision, replaced)
