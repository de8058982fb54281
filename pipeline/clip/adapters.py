"""Training a part of a weight: the rows of some of its parts alone, or a low-rank change of it.

Both are parametrizations (torch.nn.utils.parametrize): whoever reads the weight gets the adapted one, computed from
what is trained. That holds where no layer could be put in the weight's place, because it is handed to a function with
others (torch's attention takes its `in_proj_weight` and the weight of `out_proj`, timm's Eva that of `qkv`).

`peft` was looked at. It puts layers in the place of layers, so of a `qkv` whose weight Eva takes it trains nothing,
without a word; of torch's attention it adapts query, key, value and output, all or none; and there it adds its change
to the weight before each pass and subtracts it after, which leaves the frozen weight another one, by rounding.

Shape suffixes: R rows of a part, C columns, P parts, K rank.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize

from pipeline.clip.projections import Part, Projection


class _Parts(nn.Module):
    """A weight or bias as one tensor for each of its parts."""

    def __init__(self, parts: int):
        super().__init__()
        self._parts = parts

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        return torch.cat(parts)

    def right_inverse(self, whole: torch.Tensor) -> Sequence[torch.Tensor]:
        return [part.clone() for part in whole.chunk(self._parts)]


class _LowRank(nn.Module):
    """W + α/K·B·A for some parts of a weight (LoRA, Hu et al. 2021): A is drawn as a linear layer's weight, B is 0."""

    def __init__(self, weight: torch.Tensor, adapted: Sequence[bool], rank: int, alpha: float):
        """`adapted`: of each part of the weight whether it is changed."""
        super().__init__()
        self._adapted, self._scale = adapted, alpha / rank
        rows, columns = len(weight) // len(adapted), weight.shape[1]
        down = [nn.init.kaiming_uniform_(torch.empty(rank, columns), a=5**0.5) for _ in range(sum(adapted))]
        self.down = nn.ParameterList([matrix.to(weight.device) for matrix in down])
        self.up = nn.ParameterList([torch.zeros(rows, rank, device=weight.device) for _ in down])

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        # In the weight's own precision: what is merged in the end is then what was trained, bit by bit.
        with torch.autocast(weight.device.type, enabled=False):
            changes = iter(zip(self.up, self.down, strict=True))
            parts = weight.chunk(len(self._adapted))
            changed = [
                torch.addmm(part_RC, *next(changes), alpha=self._scale) if is_adapted else part_RC
                for part_RC, is_adapted in zip(parts, self._adapted, strict=True)
            ]
            return torch.cat(changed) if len(changed) > 1 else changed[0]


def train_parts(projection: Projection, parts: Iterable[Part]) -> None:
    """Let gradients reach some parts of a weight or bias, and no other number of it, whatever the optimiser does."""
    module, attribute, count = projection.module, projection.attribute, len(projection.parts)
    wanted = [part in set(parts) for part in projection.parts]
    if all(wanted):
        getattr(module, attribute).requires_grad_(True)
        return
    if not parametrize.is_parametrized(module, attribute):
        parametrize.register_parametrization(module, attribute, _Parts(count))
    for number, is_wanted in enumerate(wanted):
        module.get_parameter(f"parametrizations.{attribute}.original{number}").requires_grad_(is_wanted)


def train_low_rank(projection: Projection, parts: Iterable[Part], rank: int, alpha: float) -> None:
    """Let gradients reach a low-rank change of some parts of a weight, which stays as it is; the change is 0 at first.

    What is random is drawn from torch's global generator of the CPU.
    """
    module, attribute = projection.module, projection.attribute
    if not parametrize.is_parametrized(module, attribute):
        changed = [part in set(parts) for part in projection.parts]
        low_rank = _LowRank(getattr(module, attribute), changed, rank, alpha)
        parametrize.register_parametrization(module, attribute, low_rank)
    adapted = module.get_submodule(f"parametrizations.{attribute}")
    adapted.requires_grad_(True)
    adapted.get_parameter("original").requires_grad_(False)


def has_adapters(model: nn.Module) -> bool:
    """Whether a weight in it is adapted, and not merged yet."""
    return any(parametrize.is_parametrized(module) for module in model.modules())


def merge_adapters(model: nn.Module) -> None:
    """Make plain weights of all adapted ones in a model, in place: exactly those that it computed with."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for attribute in [name for name, _ in module.get_submodule("parametrizations").named_children()]:
                parametrize.remove_parametrizations(module, attribute)
                weight = getattr(module, attribute)
                setattr(module, attribute, nn.Parameter(weight.detach(), requires_grad=False))


def plain_name(name: str) -> str:
    """Of a parameter that an adapted weight is computed from, the weight's name without adapters; else the name."""
    before, found, after = name.partition(".parametrizations.")
    return f"{before}.{after.partition('.')[0]}" if found else name
