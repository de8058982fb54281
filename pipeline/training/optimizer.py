"""AdamW over parameter groups, and the learning rate as a function of the step."""

import math
import re
from collections import defaultdict

import torch

from pipeline.errors import UserError
from pipeline.training.config import FullConfig, PhaseConfig
from pipeline.training.moved import is_of_text

# CLIP's own (Radford et al. 2021, table 18), which OVSeg keeps.
_BETAS, _EPS = (0.9, 0.98), 1e-6


def learning_rate(step: int, steps: int, config: PhaseConfig) -> float:
    """Linear warm-up, then half a cosine to 0 (as open_clip): at step s < w, peak·(s+1)/w.

    Args:
        step: from 0.
        steps: of the whole phase.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    passed = (step - config.warmup_steps) / (steps - config.warmup_steps)
    return config.learning_rate * (1 + math.cos(math.pi * passed)) / 2


def make_optimizer(
    parameters: dict[str, torch.nn.Parameter], config: PhaseConfig, text_rate: float | None = None
) -> torch.optim.AdamW:
    """AdamW; each parameter group carries `lr_scale`, its factor on the learning rate.

    Vectors and scalars (biases, norms, class embedding, temperature) and prompts have no weight decay, as in the
    reference implementation. With `layer_decay` γ, layer l of L+1 of the image tower has the factor γ^(L+1−l) (Clark et
    al. 2020; BEiT).

    Args:
        parameters: the trainable ones, by name.
        text_rate: peak learning rate of the text tower; None: that of `config`.

    Raises:
        UserError: layer decay for a tower without a sequence of blocks.
    """
    decay = config.layer_decay if isinstance(config, FullConfig) else 1.0
    layers = {name: _layer(name) for name in parameters if isinstance(config, FullConfig) and not is_of_text(name)}
    blocks = [layer for layer in layers.values() if layer]
    if decay != 1 and not blocks:
        raise UserError("full.layer_decay: this image tower is no sequence of blocks (ViT); leave it at 1")
    top = max(blocks, default=0) + 1
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = defaultdict(list)
    for name, parameter in parameters.items():
        decayed = parameter.ndim >= 2 and name != "prompts"
        layer = layers.get(name)
        scale = 1.0 if layer is None else decay ** (top - layer)
        if text_rate is not None and is_of_text(name):
            scale = text_rate / config.learning_rate
        groups[config.weight_decay if decayed else 0.0, scale].append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "weight_decay": weight_decay, "lr_scale": lr_scale}
            for (weight_decay, lr_scale), members in groups.items()
        ],
        lr=config.learning_rate,
        betas=_BETAS,
        eps=_EPS,
    )


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """What the optimiser keeps of all parameters, beside their gradients."""
    kept = (value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value))
    return sum(value.nbytes for value in kept)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group, scaled by its `lr_scale`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]


def _layer(name: str) -> int | None:
    """Depth of a parameter of a ViT: 0 for the embeddings, 1… for the blocks, None for what follows them."""
    block = re.search(r"(?:transformer\.resblocks|trunk\.blocks)\.(\d+)\.", name)
    if block:
        return int(block[1]) + 1
    embeddings = r"conv1|class_embedding|positional_embedding|ln_pre|patch_embed|pos_embed|cls_token|norm_pre"
    return 0 if re.search(rf"\.(?:{embeddings})\b", name) else None
