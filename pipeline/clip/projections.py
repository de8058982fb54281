"""Where a transformer keeps the matrices of its blocks, whatever library built it.

open_clip, torch and CoCa keep query, key and value in one `in_proj_weight`, timm in one `qkv`, Eva in that or in three,
Hugging Face in three. A `Projection` is one such parameter, with the parts that its rows are of.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

Part = Literal["q", "k", "v", "out", "mlp"]
"""Query, key and value of an attention, its output projection, and the matrices of the layers after it."""

_QKV: tuple[Part, ...] = ("q", "k", "v")
# Three matrices: of Eva and Hugging Face's ViTs and decoders, of BERT and its kin, of T5.
_SEPARATE = (("q_proj", "k_proj", "v_proj"), ("query", "key", "value"), ("q", "k", "v"))
_OUT = ("out_proj", "proj", "o_proj", "o")


@dataclass(frozen=True)
class Projection:
    """A weight [P·R,C] or bias [P·R] of a block: one part of R rows after the other."""

    module: nn.Module
    attribute: str
    """Its name in the module."""
    parts: tuple[Part, ...]

    @property
    def is_matrix(self) -> bool:
        """Whether it is a weight; else it is a bias."""
        return getattr(self.module, self.attribute).ndim == 2


def transformer_blocks(tower: nn.Module) -> list[nn.Module]:
    """The blocks of a transformer, first to last; none of a tower that is no plain sequence of blocks with attention.

    So a ResNet or a ConvNeXt has none, nor has a Swin, whose blocks stand in stages of different widths.
    """
    lists = {
        name: list(module)
        for name, module in tower.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
        and len(module)
        and all(len(list(_attentions(block))) == 1 for block in module)
    }
    outermost = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    return lists[outermost[0]] if len(outermost) == 1 else []


def projections(block: nn.Module) -> list[Projection]:
    """All of a block: weights and biases of its attention, and the weights of its other linear layers, as `mlp`."""
    found: list[Projection] = []
    inside = set()
    for attention, of_attention in _attentions(block):
        found += of_attention
        inside |= {id(module) for module in attention.modules()}
    others = (module for module in block.modules() if isinstance(module, nn.Linear) and id(module) not in inside)
    return found + [Projection(linear, "weight", ("mlp",)) for linear in others]


def _attentions(block: nn.Module) -> Iterator[tuple[nn.Module, list[Projection]]]:
    """The attentions in a block that are of a known kind, with their projections."""
    inside = set()
    for module in block.modules():
        if id(module) in inside:
            continue
        found = []
        if qkv := _query_key_value(module):
            found = qkv + _output(module)
        elif (pair := _self_and_output(module)) and (qkv := _query_key_value(pair[0])):
            found = qkv + _linear(pair[1], ("out",))
        if found:
            inside |= {id(part) for part in module.modules()}
            yield module, found


def _query_key_value(module: nn.Module) -> list[Projection]:
    if isinstance(module, nn.MultiheadAttention) and not module._qkv_same_embed_dim:
        weights = [Projection(module, f"{part}_proj_weight", (part,)) for part in _QKV]
        return weights + _present(module, "in_proj_bias", _QKV)
    if getattr(module, "in_proj_weight", None) is not None:
        return _present(module, "in_proj_weight", _QKV) + _present(module, "in_proj_bias", _QKV)
    if isinstance(fused := getattr(module, "qkv", None), nn.Linear):  # Eva adds biases of its own
        return _linear(fused, _QKV) + _present(module, "q_bias", ("q",)) + _present(module, "v_bias", ("v",))
    for names in _SEPARATE:
        linears = [linear for name in names if isinstance(linear := getattr(module, name, None), nn.Linear)]
        if len(linears) == len(_QKV):
            return [found for linear, part in zip(linears, _QKV, strict=True) for found in _linear(linear, (part,))]
    return []


def _output(module: nn.Module) -> list[Projection]:
    linears = (linear for name in _OUT if isinstance(linear := getattr(module, name, None), nn.Linear))
    return next((_linear(linear, ("out",)) for linear in linears), [])


def _self_and_output(module: nn.Module) -> tuple[nn.Module, nn.Linear] | None:
    """The two halves of an attention of BERT's kind, if it is one."""
    parts = dict(module.named_children())
    output = getattr(parts.get("output"), "dense", None)
    return (parts["self"], output) if "self" in parts and isinstance(output, nn.Linear) else None


def _linear(linear: nn.Linear, parts: tuple[Part, ...]) -> list[Projection]:
    return [Projection(linear, "weight", parts), *_present(linear, "bias", parts)]


def _present(module: nn.Module, attribute: str, parts: tuple[Part, ...]) -> list[Projection]:
    return [Projection(module, attribute, parts)] if getattr(module, attribute, None) is not None else []
