"""The network that a checkpoint in detectron2's layout belongs to: its sizes follow from the shapes of the weights.

What no shape tells is the same in every configuration of MaskFormer and OVSeg: 8 heads in the transformer decoder,
layer norm after each of its sublayers, 32 groups in the pixel decoder's group norms.
"""

import math

import torch
from torch import nn
from transformers import DetrConfig, MaskFormerConfig, MaskFormerSwinBackbone, MaskFormerSwinConfig
from transformers.models.maskformer.modeling_maskformer import (
    MaskformerMLPPredictionHead,
    MaskFormerPixelDecoder,
    MaskFormerTransformerModule,
)

from pipeline.clip.checkpoint_layouts import count_blocks
from pipeline.proposals.maskformer.network import MaskFormerNetwork
from pipeline.proposals.maskformer.resnet import ResNetBackbone
from pipeline.weights.reading import StateDict

_DECODER_HEADS = 8
_PREDICTOR = "sem_seg_head.predictor."


def build_network(weights: StateDict) -> MaskFormerNetwork:
    """The network of a state dict, without values: on the meta device.

    Raises:
        KeyError: the state dict lacks a weight that every MaskFormer has.
        ValueError: sizes of the weights do not go together.
    """
    with torch.device("meta"):
        backbone = _swin(weights) if "backbone.patch_embed.proj.weight" in weights else _resnet(weights)
        mask_features, features = weights["sem_seg_head.pixel_decoder.mask_features.weight"].shape[:2]
        queries, width = weights[f"{_PREDICTOR}query_embed.weight"].shape
        class_head, embedding_width = _class_head(weights, width)
        decoder = f"{_PREDICTOR}transformer.decoder.layers."
        config = DetrConfig(
            d_model=width,
            num_queries=queries,
            decoder_layers=count_blocks(weights, decoder),
            decoder_ffn_dim=len(weights[f"{decoder}0.linear1.weight"]),
            decoder_attention_heads=_DECODER_HEADS,
        )
        return MaskFormerNetwork(
            backbone=backbone,
            pixel_decoder=MaskFormerPixelDecoder(
                in_features=backbone.channels[-1],
                lateral_widths=backbone.channels[:-1],
                feature_size=features,
                mask_feature_size=mask_features,
            ),
            transformer=MaskFormerTransformerModule(backbone.channels[-1], MaskFormerConfig(decoder_config=config)),
            mask_embedder=_perceptron(weights, f"{_PREDICTOR}mask_embed.layers."),
            class_head=class_head,
            embedding_width=embedding_width,
        )


def _class_head(weights: StateDict, width: int) -> tuple[nn.Module, int | None]:
    """The class head, and the width of its embeddings if it is open to any texts."""
    fixed = weights.get(f"{_PREDICTOR}class_embed.weight")
    if fixed is not None:
        return nn.Linear(width, len(fixed)), None
    head = _perceptron(weights, f"{_PREDICTOR}class_embed.layers.")
    return head, head.layers[-1].layers[0].out_features


def _perceptron(weights: StateDict, prefix: str) -> MaskformerMLPPredictionHead:
    layers = count_blocks(weights, prefix)
    hidden, inputs = weights[f"{prefix}0.weight"].shape
    return MaskformerMLPPredictionHead(inputs, hidden, len(weights[f"{prefix}{layers - 1}.weight"]), layers)


def _swin(weights: StateDict) -> MaskFormerSwinBackbone:
    width, _, _, patch = weights["backbone.patch_embed.proj.weight"].shape
    stages = range(count_blocks(weights, "backbone.layers."))
    blocks = [f"backbone.layers.{stage}.blocks." for stage in stages]
    tables = [weights[f"{prefix}0.attn.relative_position_bias_table"] for prefix in blocks]
    backbone = MaskFormerSwinBackbone(
        MaskFormerSwinConfig(
            patch_size=patch,
            embed_dim=width,
            depths=[count_blocks(weights, prefix) for prefix in blocks],
            num_heads=[table.shape[1] for table in tables],
            window_size=(math.isqrt(len(tables[0])) + 1) // 2,  # a row for each offset, 2 · window − 1 per axis
            mlp_ratio=len(weights[f"{blocks[0]}0.mlp.fc1.weight"]) / width,
            qkv_bias=f"{blocks[0]}0.attn.qkv.bias" in weights,
            drop_path_rate=0.0,
            out_features=[f"stage{stage + 1}" for stage in stages],
        )
    )
    backbone.model.layernorm = nn.Identity()  # of the last hidden state, which MaskFormer does not use
    return backbone


def _resnet(weights: StateDict) -> ResNetBackbone:
    stages = [f"backbone.res{stage}." for stage in (2, 3, 4, 5)]
    return ResNetBackbone(
        blocks=[count_blocks(weights, prefix) for prefix in stages],
        widths=[len(weights[f"{prefix}0.conv2.weight"]) for prefix in stages],
        deep_stem_width=len(weights["backbone.stem.conv1.weight"]) if "backbone.stem.conv2.weight" in weights else None,
    )
