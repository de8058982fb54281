"""An open_clip model with weights that were read here.

open_clip reads a checkpoint and fits it into a model in one function, `load_checkpoint`, which knows nothing of what
training leaves around the weights. Here they come from `pipeline.weights.reading`, and are fitted as there.
"""

import logging
from typing import Any

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed

from pipeline.weights.torchscript import StateDict

_OLD_POSITIONS = "text.transformer.embeddings.position_ids"


def load_open_clip_weights(architecture: str, weights: StateDict) -> tuple[torch.nn.Module, dict[str, Any], None]:
    """The model of a name with these weights, and its open_clip configuration; there are no mask prompts.

    A checkpoint that was trained with a bias of the logits (`open_clip_train --siglip`) becomes a model with one.

    Raises:
        RuntimeError, AttributeError, KeyError: the weights are those of another model.
    """
    model_cfg = open_clip.get_model_config(architecture)
    bias = weights.get("logit_bias")
    added = {"init_logit_bias": float(bias)} if bias is not None and "init_logit_bias" not in model_cfg else {}
    model_cfg |= added
    root = logging.getLogger()
    root.addFilter(_is_true)
    try:
        model = open_clip.create_model(architecture, load_weights=False, pretrained_text=False, **added)
    finally:
        root.removeFilter(_is_true)
    weights = convert_state_dict(model, dict(weights))
    if "positional_embedding" in weights and not hasattr(model, "positional_embedding"):
        weights = convert_to_custom_text_state_dict(weights)
    for name in ("logit_scale", "logit_bias"):  # numbers, or lists of one
        own = getattr(model, name, None)
        if own is not None and name in weights:
            weights[name] = weights[name].reshape(own.shape)
    if getattr(model, "logit_bias", None) is not None and "logit_bias" not in weights:
        weights["logit_bias"] = torch.zeros_like(model.logit_bias)
    if not hasattr(model, _OLD_POSITIONS):
        weights.pop(_OLD_POSITIONS, None)
    resize_pos_embed(weights, model)
    resize_text_pos_embed(weights, model)
    model.load_state_dict(weights)
    return model, model_cfg, None


def _is_true(record: logging.LogRecord) -> bool:
    """open_clip warns that the model is random, which it is for a moment."""
    return "No pretrained weights loaded" not in record.getMessage()
