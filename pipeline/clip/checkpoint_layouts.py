"""Checkpoints in OpenAI's layout, and in that of OVSeg's CLIPs, which adds the mask prompts.

Both are state dicts of one kind of model: its sizes follow from the shapes; heads of 64 channels, QuickGELU and all
else are fixed.

Shape suffixes: N patches, W width.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg, set_model_preprocess_cfg
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transform import PreprocessCfg
from open_clip.transformer import VisionTransformer

from pipeline.clip.config import CheckpointLayout
from pipeline.clip.model import Clip
from pipeline.errors import UserError
from pipeline.storage.local_files import replacing
from pipeline.weights.reading import StateDict, read_tensors

PROMPTS_KEY = "visual.mask_embedding"
CLIP_IN_OVSEG = "clip_adapter.clip_model."
"""What the names of CLIP's weights begin with in a checkpoint of the whole OVSeg."""

_PREFIXES = ("model.", "clip.", "clip_model.")
_HEAD_WIDTH = 64
_RESNET_STRIDE = 32
# Settings of the towers that no weight depends on.
_TRAINING_ONLY = ("patch_dropout", "output_tokens")
# Numbers that OpenAI's archives hold beside the weights.
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")


def read_state_dict(path: Path) -> StateDict:
    """The weights of a CLIP, which may be inside a checkpoint of the whole OVSeg; see `read_tensors`.

    Raises:
        UserError: as `read_tensors`.
    """
    weights = _clip_in_module(read_tensors(path))
    return {name: tensor for name, tensor in (clip_in_ovseg(weights) or weights).items() if name not in _NOT_WEIGHTS}


def _clip_in_module(weights: StateDict) -> StateDict:
    """The weights of the CLIP in a checkpoint of a module that trains one (Lightning's and others), else all."""
    if not any(name.startswith("visual.") for name in weights):
        for prefix in _PREFIXES:
            if any(name.startswith(f"{prefix}visual.") for name in weights):
                return {name.removeprefix(prefix): weights[name] for name in weights if name.startswith(prefix)}
    return weights


def clip_in_ovseg(weights: StateDict) -> StateDict:
    """The weights of the CLIP in a checkpoint of the whole OVSeg, under the names of OVSeg's CLIPs; {} without one.

    Mask prompts that are all 0 are left out: so OVSeg creates them, used or not, and only training changes them.
    """
    prefixed = ((name, tensor) for name, tensor in weights.items() if name.startswith(CLIP_IN_OVSEG))
    clip = {name.removeprefix(CLIP_IN_OVSEG): tensor for name, tensor in prefixed}
    if PROMPTS_KEY in clip and not clip[PROMPTS_KEY].any():
        del clip[PROMPTS_KEY]
    return clip


def openai_model_cfg(weights: StateDict) -> dict[str, Any]:
    """The open_clip configuration of the model that a state dict in OpenAI's layout holds.

    Raises:
        KeyError: the state dict lacks a weight that every model of this layout has.
    """
    embed_dim = weights["text_projection"].shape[1]
    context_length, text_width = weights["positional_embedding"].shape
    if "visual.proj" in weights:
        patch_size = weights["visual.conv1.weight"].shape[-1]
        positions, width = weights["visual.positional_embedding"].shape
        vision_cfg = {
            "image_size": patch_size * round((positions - 1) ** 0.5),
            "layers": count_blocks(weights, "visual.transformer.resblocks."),
            "width": width,
            "head_width": _HEAD_WIDTH,
            "patch_size": patch_size,
        }
    else:
        positions = weights["visual.attnpool.positional_embedding"].shape[0]
        vision_cfg = {
            "image_size": _RESNET_STRIDE * round((positions - 1) ** 0.5),
            "layers": [count_blocks(weights, f"visual.layer{stage}.") for stage in (1, 2, 3, 4)],
            "width": weights["visual.layer1.0.conv1.weight"].shape[0],
            "head_width": _HEAD_WIDTH,
            "patch_size": None,
        }
    return {
        "embed_dim": embed_dim,
        "quick_gelu": True,
        "vision_cfg": vision_cfg,
        "text_cfg": {
            "context_length": context_length,
            "vocab_size": weights["token_embedding.weight"].shape[0],
            "width": text_width,
            "heads": text_width // _HEAD_WIDTH,
            "layers": count_blocks(weights, "transformer.resblocks."),
        },
    }


def count_blocks(weights: StateDict, prefix: str) -> int:
    """How many numbered blocks there are under a prefix."""
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})


def build_openai_model(weights: StateDict) -> tuple[open_clip.CLIP, dict[str, Any], torch.Tensor | None]:
    """The model of a state dict in OpenAI's or OVSeg's layout, its open_clip configuration, and the mask prompts.

    Weights of any precision become float32.

    Returns:
        the prompts are [depth,N,W], or [depth,1,W] if patches share them, or None.

    Raises:
        KeyError, RuntimeError: the state dict has another layout.
    """
    weights = dict(weights)
    prompts = weights.pop(PROMPTS_KEY, None)
    model_cfg = openai_model_cfg(weights)
    model = open_clip.CLIP(**model_cfg)
    model.load_state_dict(weights)
    set_model_preprocess_cfg(model, asdict(PreprocessCfg(size=model.visual.image_size)))
    return model, model_cfg, prompts


def to_openai_state_dict(clip: Clip) -> StateDict:
    """The weights in OpenAI's layout, float32 (OpenAI's own files are float16) on the CPU.

    Raises:
        UserError: the model is of a kind that the layout cannot express, or has mask prompts.
    """
    if clip.vision.depth:
        raise UserError(
            f"OpenAI's layout has no place for the {clip.vision.depth} mask prompts of this CLIP: use --layout ovseg"
        )
    return _openai_weights(clip)


def to_ovseg_state_dict(clip: Clip) -> StateDict:
    """The weights in OpenAI's layout with the mask prompts, if any, as `visual.mask_embedding` [depth,N,W].

    Raises:
        UserError: the model is of a kind that the layout cannot express.
    """
    weights = _openai_weights(clip)
    if clip.vision.depth:
        weights[PROMPTS_KEY] = clip.vision.prompts.detach().cpu().clone()
    return weights


def export_clip(clip: Clip, layout: CheckpointLayout, path: Path) -> None:
    """Write a checkpoint that `torch.load(weights_only=True)` reads, in a folder that is made if need be.

    OpenAI's layout is the bare state dict, as `clip.load` takes it. OVSeg's is wrapped as its training wrote it
    (`state_dict`, names with `module.`), because its loader and its merge tool both take that.

    Raises:
        UserError: see `to_openai_state_dict` and `to_ovseg_state_dict`.
        OSError: it cannot be written; nothing was.
    """
    if layout == "openai":
        content: StateDict | dict[str, StateDict] = to_openai_state_dict(clip)
    else:
        weights = to_ovseg_state_dict(clip)
        content = {"state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}}
    with replacing(os.fspath(path)) as file:  # a path would make torch raise a RuntimeError of a full disk
        torch.save(content, file)


def _openai_weights(clip: Clip) -> StateDict:
    reasons = _inexpressible(clip)
    if reasons:
        raise UserError(f"this CLIP cannot be written in OpenAI's layout: {'; '.join(reasons)}")
    weights = {name: tensor.detach().cpu().clone() for name, tensor in clip.model.state_dict().items()}
    weights["logit_scale"] = weights["logit_scale"].reshape(())
    return weights


def _inexpressible(clip: Clip) -> list[str]:
    """What keeps a reader of OpenAI's layout from building this very model."""
    model, cfg = clip.model, clip.model_cfg
    if type(model) is not open_clip.CLIP:
        return [f"it is a {type(model).__name__}, whose text tower has other weights"]
    if not isinstance(model.visual, VisionTransformer | ModifiedResNet):
        return [f"its vision tower is a {type(model.visual).__name__}"]
    reasons = [] if cfg.get("quick_gelu") else ["it was trained with GELU, and the layout means QuickGELU"]
    if model.logit_bias is not None:
        reasons.append("it has a logit bias")
    readers = openai_model_cfg(model.state_dict())
    for part, settings in (("vision_cfg", CLIPVisionCfg), ("text_cfg", CLIPTextCfg)):
        found, expected = (asdict(settings(**c[part])) for c in (cfg, readers))
        reasons.extend(
            f"its {part}.{key} is {found[key]}, and the layout means {expected[key]}"
            for key in found.keys() - _TRAINING_ONLY
            if _plain(found[key]) != _plain(expected[key])
        )
    return sorted(reasons)


def _plain(setting: Any) -> Any:
    """Lists as tuples, and a square size as its side."""
    if not isinstance(setting, list | tuple):
        return setting
    return setting[0] if len(setting) == 2 and setting[0] == setting[1] else tuple(setting)
