"""Names of MaskFormer's and OVSeg's weights in detectron2's layout, and filling a network with them."""

import re
from pathlib import Path

import torch

from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.proposals.maskformer.network import MaskFormerNetwork
from pipeline.proposals.maskformer.resnet import ResNetBackbone
from pipeline.weights.reading import StateDict

# Numbers of training, constants of pre-processing, and counters that evaluation does not need.
_NAMED = 3
_UNUSED = re.compile(r"criterion\.empty_weight|(clip_adapter\.)?pixel_(mean|std)|.*\.num_batches_tracked")
_COUNTER = "num_batches_tracked"
# Query, key and value are one matrix in detectron2's layout.
_FUSED = re.compile(r"(query|key|value)\.|([qkv])_proj\.")
_PARTS = ("query", "key", "value", "q", "k", "v")

_SWIN = (
    (r"model\.embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"model\.embeddings\.norm", "patch_embed.norm"),
    (r"model\.encoder\.", ""),
    (r"hidden_states_norms\.", "norm"),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"attention\.self\.(query|key|value)", "attn.qkv"),
    (r"attention\.self", "attn"),
    (r"attention\.output\.dense", "attn.proj"),
    (r"intermediate\.dense", "mlp.fc1"),
    (r"output\.dense", "mlp.fc2"),
)
_RESNET = (
    (r"(layer\d\.\d+)\.bn(\d)", r"\1.conv\2.norm"),
    (r"downsample\.0", "shortcut"),
    (r"downsample\.1", "shortcut.norm"),
    *((f"layer{stage}", f"res{stage + 1}") for stage in (1, 2, 3, 4)),
)
_STEM = ((r"^conv1", "stem.conv1"), (r"^bn1", "stem.conv1.norm"))
_DEEP_STEM = (
    (r"^conv1\.0", "stem.conv1"),
    (r"^conv1\.1", "stem.conv1.norm"),
    (r"^conv1\.3", "stem.conv2"),
    (r"^conv1\.4", "stem.conv2.norm"),
    (r"^conv1\.6", "stem.conv3"),
    (r"^bn1", "stem.conv3.norm"),
)
_TRANSFORMER = (
    (r"^queries_embedder", "query_embed"),
    (r"^input_projection", "input_proj"),
    (r"^decoder", "transformer.decoder"),
    (r"layernorm", "norm"),
    (r"self_attn_layer_norm", "norm1"),
    (r"encoder_attn_layer_norm", "norm2"),
    (r"final_layer_norm", "norm3"),
    (r"encoder_attn", "multihead_attn"),
    (r"[qkv]_proj\.", "in_proj_"),
    (r"o_proj", "out_proj"),
    (r"mlp\.fc(\d)", r"linear\1"),
)


def original_names(network: MaskFormerNetwork) -> dict[str, tuple[str, int | None]]:
    """The name in detectron2's layout of every weight of the network; and, where that layout has query, key and value
    in one tensor, which third of its rows it is.
    """
    deep = isinstance(network.backbone, ResNetBackbone) and network.backbone.deep_stem
    backbone = (*(_DEEP_STEM if deep else _STEM), *_RESNET) if isinstance(network.backbone, ResNetBackbone) else _SWIN
    # Laterals; detectron2 counts them from the finest, from 1 on.
    levels = len(list(network.pixel_decoder.get_submodule("fpn.layers").children()))
    pixel_decoder = (
        (r"\.0\.(weight|bias)$", r".\1"),
        (r"\.1\.(weight|bias)$", r".norm.\1"),
        (r"^fpn\.stem", f"layer_{levels + 1}"),
        *((rf"^fpn\.layers\.{index}\.proj", f"adapter_{levels - index}") for index in range(levels)),
        *((rf"^fpn\.layers\.{index}\.block", f"layer_{levels - index}") for index in range(levels)),
        (r"^mask_projection", "mask_features"),
    )
    perceptron = ((r"^(\d+)\.0", r"layers.\1"),)
    parts = {
        "backbone": ("backbone.", backbone),
        "pixel_decoder": ("sem_seg_head.pixel_decoder.", pixel_decoder),
        "transformer": ("sem_seg_head.predictor.", _TRANSFORMER),
        "mask_embedder": ("sem_seg_head.predictor.mask_embed.", perceptron),
        "class_head": ("sem_seg_head.predictor.class_embed.", perceptron),
        "non_object_embedding": ("clip_adapter.non_object_embedding", ()),
    }
    result = {}
    for name in network.state_dict():
        part, _, original = name.partition(".")
        prefix, changes = parts[part]
        for pattern, replacement in changes:
            original = re.sub(pattern, replacement, original)
        fused = _FUSED.search(name)
        third = _PARTS.index(fused[1] or fused[2]) % 3 if fused else None
        result[name] = prefix + original, third
    return result


def fill_network(network: MaskFormerNetwork, weights: StateDict, path: Path) -> list[str]:
    """Set the network's weights, in place, to the values of a state dict in detectron2's layout, as float32.

    Args:
        weights: without those of the CLIP inside an OVSeg checkpoint.
        path: where they are from, for messages.

    Returns:
        the names in `weights` that the network has no use for; all are known.

    Raises:
        UserError: weights are absent, unknown, or of other shapes.
    """
    expected = network.state_dict()
    filled, used, absent, unfit = {}, set(), [], []
    for name, (original, third) in original_names(network).items():
        if name.endswith(_COUNTER):
            filled[name] = torch.zeros((), dtype=torch.long)
            continue
        used.add(original)
        if original not in weights:
            absent.append(original)
            continue
        found = weights[original]
        wanted = list(expected[name].shape)
        if third is not None:
            wanted[0] *= 3
        if list(found.shape) != wanted:
            unfit.append(f"{original} ({list(found.shape)}, expected {wanted})")
            continue
        tensor = found if third is None else found.chunk(3)[third]
        filled[name] = tensor.to(expected[name].dtype)
    left = weights.keys() - used
    unknown = [f"{name} ({list(weights[name].shape)})" for name in left if not _UNUSED.fullmatch(name)]
    problems = [("it lacks ", absent), ("of another shape: ", unfit), ("unknown: ", unknown)]
    if any(names for _, names in problems):
        text = "; ".join(start + first_of(sorted(set(names)), _NAMED) for start, names in problems if names)
        raise UserError(f"checkpoint {path} is of another model than MaskFormer or OVSeg: {text}")
    network.load_state_dict(filled, assign=True)
    return sorted(left)
