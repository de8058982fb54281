"""Small random MaskFormers of `transformers`, and their weights under the names that detectron2 gives them.

The names are written out from facebookresearch/MaskFormer's modules, without a look at how the package translates them.
"""

from collections.abc import Sequence

import torch
from transformers import DetrConfig, MaskFormerConfig, MaskFormerForInstanceSegmentation, ResNetConfig, SwinConfig

from tests.clip.openai_weights import EMBED_DIM, mask_prompts, openai_weights

DEPTHS = (2, 1, 2, 1)
DECODER_LAYERS = 2
WIDTH = 32
CLASSES = 7

Weights = dict[str, torch.Tensor]


def swin_config() -> SwinConfig:
    return SwinConfig(
        image_size=64,
        patch_size=4,
        embed_dim=16,
        depths=list(DEPTHS),
        num_heads=[1, 2, 4, 8],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def resnet_config() -> ResNetConfig:
    return ResNetConfig(
        embedding_size=64,
        hidden_sizes=[32, 64, 96, 128],
        depths=[2, 1, 1, 3],
        layer_type="bottleneck",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def random_maskformer(backbone: SwinConfig | ResNetConfig) -> MaskFormerForInstanceSegmentation:
    """Queries 10, classes 7, 2 decoder layers, 32 channels; every weight, also of the norms, has something to say."""
    config = MaskFormerConfig(
        backbone_config=backbone,
        decoder_config=DetrConfig(
            d_model=WIDTH,
            num_queries=10,
            decoder_layers=DECODER_LAYERS,
            decoder_ffn_dim=40,
            decoder_attention_heads=8,
            encoder_attention_heads=8,
        ),
        fpn_feature_size=WIDTH,
        mask_feature_size=64,
        num_labels=CLASSES,
    )
    torch.manual_seed(0)
    model = MaskFormerForInstanceSegmentation(config).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point():
                # More of it where queries become masks and classes, which would hardly differ from each other.
                tensor += (0.1 if "pixel_level" in name else 0.25) * torch.randn_like(tensor)
    return model


class _Names:
    """Collects weights under new names, and knows which are left."""

    def __init__(self, source: Weights):
        self.left = dict(source)
        self.result: Weights = {}

    def copy(self, theirs: str, ours: str) -> None:
        """All tensors directly in one module."""
        found = [name for name in self.left if name.rpartition(".")[0] == ours]
        assert found, ours
        for name in found:
            self.result[f"{theirs}.{name.rpartition('.')[2]}"] = self.left.pop(name)

    def fuse(self, theirs: str, ours: Sequence[str]) -> None:
        """Weights and biases of query, key and value into one each."""
        for kind in ("weight", "bias"):
            self.result[theirs + kind] = torch.cat([self.left.pop(f"{module}.{kind}") for module in ours])


def to_detectron2(model: MaskFormerForInstanceSegmentation) -> Weights:
    """The weights in the layout of facebookresearch/MaskFormer."""
    names = _Names(model.state_dict())
    if model.config.backbone_config.model_type == "resnet":
        _resnet(names, model.config.backbone_config.depths)
    else:
        _swin(names)
    _heads(names)
    left = {name for name in names.left if not name.startswith("model.pixel_level_module.encoder.model.layernorm.")}
    assert left <= {"criterion.empty_weight"} | {name for name in left if name.endswith("num_batches_tracked")}
    return names.result | {"criterion.empty_weight": torch.ones(CLASSES + 1)}


def _swin(names: _Names) -> None:
    ours = "model.pixel_level_module.encoder"
    names.copy("backbone.patch_embed.proj", f"{ours}.model.embeddings.patch_embeddings.projection")
    names.copy("backbone.patch_embed.norm", f"{ours}.model.embeddings.norm")
    for stage, depth in enumerate(DEPTHS):
        names.copy(f"backbone.norm{stage}", f"{ours}.hidden_states_norms.{stage}")
        for block in range(depth):
            theirs, old = (
                f"backbone.layers.{stage}.blocks.{block}",
                f"{ours}.model.encoder.layers.{stage}.blocks.{block}",
            )
            attention = f"{old}.attention.self"
            names.copy(f"{theirs}.norm1", f"{old}.layernorm_before")
            names.copy(f"{theirs}.attn", attention)  # the table of biases, and its index
            names.fuse(f"{theirs}.attn.qkv.", [f"{attention}.{part}" for part in ("query", "key", "value")])
            names.copy(f"{theirs}.attn.proj", f"{old}.attention.output.dense")
            names.copy(f"{theirs}.norm2", f"{old}.layernorm_after")
            names.copy(f"{theirs}.mlp.fc1", f"{old}.intermediate.dense")
            names.copy(f"{theirs}.mlp.fc2", f"{old}.output.dense")
        if stage < len(DEPTHS) - 1:
            for part in ("reduction", "norm"):
                names.copy(
                    f"backbone.layers.{stage}.downsample.{part}",
                    f"{ours}.model.encoder.layers.{stage}.downsample.{part}",
                )


def _resnet(names: _Names, depths: Sequence[int]) -> None:
    ours = "model.pixel_level_module.encoder"
    names.copy("backbone.stem.conv1", f"{ours}.embedder.embedder.convolution")
    names.copy("backbone.stem.conv1.norm", f"{ours}.embedder.embedder.normalization")
    for stage, depth in enumerate(depths):
        for block in range(depth):
            theirs, old = f"backbone.res{stage + 2}.{block}", f"{ours}.encoder.stages.{stage}.layers.{block}"
            for convolution in (0, 1, 2):
                names.copy(f"{theirs}.conv{convolution + 1}", f"{old}.layer.{convolution}.convolution")
                names.copy(f"{theirs}.conv{convolution + 1}.norm", f"{old}.layer.{convolution}.normalization")
            if block == 0:
                names.copy(f"{theirs}.shortcut", f"{old}.shortcut.convolution")
                names.copy(f"{theirs}.shortcut.norm", f"{old}.shortcut.normalization")


def _heads(names: _Names) -> None:
    theirs, ours = "sem_seg_head.pixel_decoder", "model.pixel_level_module.decoder"
    names.copy(f"{theirs}.layer_4", f"{ours}.fpn.stem.0")
    names.copy(f"{theirs}.layer_4.norm", f"{ours}.fpn.stem.1")
    for level, place in ((3, 0), (2, 1), (1, 2)):
        for part, kind in (("proj", "adapter"), ("block", "layer")):
            names.copy(f"{theirs}.{kind}_{level}", f"{ours}.fpn.layers.{place}.{part}.0")
            names.copy(f"{theirs}.{kind}_{level}.norm", f"{ours}.fpn.layers.{place}.{part}.1")
    names.copy(f"{theirs}.mask_features", f"{ours}.mask_projection")

    theirs, ours = "sem_seg_head.predictor", "model.transformer_module"
    names.copy(f"{theirs}.query_embed", f"{ours}.queries_embedder")
    names.copy(f"{theirs}.input_proj", f"{ours}.input_projection")
    names.copy(f"{theirs}.transformer.decoder.norm", f"{ours}.decoder.layernorm")
    for layer in range(DECODER_LAYERS):
        new, old = f"{theirs}.transformer.decoder.layers.{layer}", f"{ours}.decoder.layers.{layer}"
        for attention, its in (("self_attn", "self_attn"), ("multihead_attn", "encoder_attn")):
            names.fuse(f"{new}.{attention}.in_proj_", [f"{old}.{its}.{part}_proj" for part in "qkv"])
            names.copy(f"{new}.{attention}.out_proj", f"{old}.{its}.o_proj")
        for number, norm in enumerate(("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"), start=1):
            names.copy(f"{new}.norm{number}", f"{old}.{norm}")
        for number in (1, 2):
            names.copy(f"{new}.linear{number}", f"{old}.mlp.fc{number}")
    for layer in (0, 1, 2):
        names.copy(f"{theirs}.mask_embed.layers.{layer}", f"mask_embedder.{layer}.0")
    names.copy(f"{theirs}.class_embed", "class_predictor")


def to_ovseg(maskformer: Weights) -> Weights:
    """The same with OVSeg's head, D = 32, and a CLIP inside; the classes of MaskFormer's own head are gone."""
    generator = torch.Generator().manual_seed(5)
    head = "sem_seg_head.predictor.class_embed"
    weights = {name: tensor for name, tensor in maskformer.items() if not name.startswith(f"{head}.")}
    for name, shape in {
        f"{head}.layers.0.weight": (48, WIDTH),
        f"{head}.layers.0.bias": (48,),
        f"{head}.layers.1.weight": (EMBED_DIM, 48),
        f"{head}.layers.1.bias": (EMBED_DIM,),
        "clip_adapter.non_object_embedding": (1, EMBED_DIM),
    }.items():
        weights[name] = torch.randn(shape, generator=generator)
    weights["clip_adapter.pixel_mean"] = weights["clip_adapter.pixel_std"] = torch.ones(1, 3, 1, 1)
    clip = openai_weights() | {"visual.mask_embedding": mask_prompts(2)}
    return weights | {f"clip_adapter.clip_model.{name}": tensor for name, tensor in clip.items()}


def class_embeddings(weights: Weights, queries: torch.Tensor) -> torch.Tensor:
    """What OVSeg's head makes of queries [..,32]: two layers with a ReLU between them."""
    head = "sem_seg_head.predictor.class_embed.layers"
    hidden = torch.relu(queries @ weights[f"{head}.0.weight"].T + weights[f"{head}.0.bias"])
    return hidden @ weights[f"{head}.1.weight"].T + weights[f"{head}.1.bias"]
