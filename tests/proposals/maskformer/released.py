"""Names and shapes of the released OVSeg checkpoints, by the rules that their public configurations and modules give.

ovseg_swinbase_vitL14 and ovseg_R101c_vitB16: facebookresearch/ov-seg, configs/*.yaml.
"""

Shapes = dict[str, tuple[int, ...]]

_UNUSED: Shapes = {
    "criterion.empty_weight": (172,),
    "clip_adapter.pixel_mean": (1, 3, 1, 1),
    "clip_adapter.pixel_std": (1, 3, 1, 1),
}


def swin_base_vit_l() -> Shapes:
    channels = [128, 256, 512, 1024]
    clip = _clip(vision=1024, blocks=24, patch=14, text=768)
    return _swin(channels, (2, 2, 18, 2), (4, 8, 16, 32), 12) | _heads(channels, 768) | clip | _UNUSED


def r101c_vit_b() -> Shapes:
    channels = [256, 512, 1024, 2048]
    clip = _clip(vision=768, blocks=12, patch=16, text=512)
    return _r101c() | _heads(channels, 512) | clip | _UNUSED


def _linear(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, channels: int) -> Shapes:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def _swin(channels: list[int], depths: tuple[int, ...], heads: tuple[int, ...], window: int) -> Shapes:
    shapes = {"backbone.patch_embed.proj.weight": (channels[0], 3, 4, 4), "backbone.patch_embed.proj.bias": (128,)}
    shapes |= _norm("backbone.patch_embed.norm", channels[0])
    for stage, width in enumerate(channels):
        shapes |= _norm(f"backbone.norm{stage}", width)
        for block in range(depths[stage]):
            name = f"backbone.layers.{stage}.blocks.{block}"
            shapes |= _norm(f"{name}.norm1", width) | _norm(f"{name}.norm2", width)
            shapes[f"{name}.attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, heads[stage])
            shapes[f"{name}.attn.relative_position_index"] = (window**2, window**2)
            shapes |= _linear(f"{name}.attn.qkv", 3 * width, width) | _linear(f"{name}.attn.proj", width, width)
            shapes |= _linear(f"{name}.mlp.fc1", 4 * width, width) | _linear(f"{name}.mlp.fc2", width, 4 * width)
        if stage < 3:
            shapes[f"backbone.layers.{stage}.downsample.reduction.weight"] = (2 * width, 4 * width)
            shapes |= _norm(f"backbone.layers.{stage}.downsample.norm", 4 * width)
    return shapes


def _frozen_convolution(name: str, outputs: int, inputs: int, kernel: int) -> Shapes:
    statistics = {f"{name}.norm.running_{kind}": (outputs,) for kind in ("mean", "var")}
    return {f"{name}.weight": (outputs, inputs, kernel, kernel)} | _norm(f"{name}.norm", outputs) | statistics


def _r101c() -> Shapes:
    stem = "backbone.stem.conv"
    shapes = _frozen_convolution(f"{stem}1", 64, 3, 3) | _frozen_convolution(f"{stem}2", 64, 64, 3)
    shapes |= _frozen_convolution(f"{stem}3", 128, 64, 3)
    inputs = 128
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (23, 256), (3, 512)), start=2):
        for block in range(blocks):
            name = f"backbone.res{stage}.{block}"
            if block == 0:
                shapes |= _frozen_convolution(f"{name}.shortcut", 4 * width, inputs, 1)
            shapes |= _frozen_convolution(f"{name}.conv1", width, inputs, 1)
            shapes |= _frozen_convolution(f"{name}.conv2", width, width, 3)
            shapes |= _frozen_convolution(f"{name}.conv3", 4 * width, width, 1)
            inputs = 4 * width
    return shapes


def _heads(channels: list[int], embedding: int) -> Shapes:
    shapes: Shapes = {}
    decoder = "sem_seg_head.pixel_decoder"
    for level, inputs in enumerate(channels, start=1):
        last = level == len(channels)
        shapes[f"{decoder}.layer_{level}.weight"] = (256, inputs if last else 256, 3, 3)
        shapes |= _norm(f"{decoder}.layer_{level}.norm", 256)
        if not last:
            shapes[f"{decoder}.adapter_{level}.weight"] = (256, inputs, 1, 1)
            shapes |= _norm(f"{decoder}.adapter_{level}.norm", 256)
    shapes |= {f"{decoder}.mask_features.weight": (256, 256, 3, 3), f"{decoder}.mask_features.bias": (256,)}
    predictor = "sem_seg_head.predictor"
    shapes[f"{predictor}.query_embed.weight"] = (100, 256)
    shapes |= {f"{predictor}.input_proj.weight": (256, channels[-1], 1, 1), f"{predictor}.input_proj.bias": (256,)}
    for layer in range(6):
        name = f"{predictor}.transformer.decoder.layers.{layer}"
        for attention in ("self_attn", "multihead_attn"):
            shapes |= {f"{name}.{attention}.in_proj_weight": (768, 256), f"{name}.{attention}.in_proj_bias": (768,)}
            shapes |= _linear(f"{name}.{attention}.out_proj", 256, 256)
        shapes |= _linear(f"{name}.linear1", 2048, 256) | _linear(f"{name}.linear2", 256, 2048)
        for norm in (1, 2, 3):
            shapes |= _norm(f"{name}.norm{norm}", 256)
    shapes |= _norm(f"{predictor}.transformer.decoder.norm", 256)
    for layer in range(3):
        shapes |= _linear(f"{predictor}.mask_embed.layers.{layer}", 256, 256)
    shapes |= _linear(f"{predictor}.class_embed.layers.0", 1024, 256)
    shapes |= _linear(f"{predictor}.class_embed.layers.1", embedding, 1024)
    return shapes | {"clip_adapter.non_object_embedding": (1, embedding)}


def _clip(vision: int, blocks: int, patch: int, text: int) -> Shapes:
    clip = "clip_adapter.clip_model"
    patches = (224 // patch) ** 2
    shapes = {
        f"{clip}.positional_embedding": (77, text),
        f"{clip}.text_projection": (text, text),
        f"{clip}.logit_scale": (),
        f"{clip}.token_embedding.weight": (49408, text),
        f"{clip}.visual.class_embedding": (vision,),
        f"{clip}.visual.positional_embedding": (patches + 1, vision),
        f"{clip}.visual.proj": (vision, text),
        f"{clip}.visual.mask_embedding": (3, patches, vision),
        f"{clip}.visual.conv1.weight": (vision, 3, patch, patch),
    }
    for norm, width in (("ln_final", text), ("visual.ln_pre", vision), ("visual.ln_post", vision)):
        shapes |= _norm(f"{clip}.{norm}", width)
    for tower, width, count in (("visual.transformer", vision, blocks), ("transformer", text, 12)):
        for block in range(count):
            name = f"{clip}.{tower}.resblocks.{block}"
            shapes |= {f"{name}.attn.in_proj_weight": (3 * width, width), f"{name}.attn.in_proj_bias": (3 * width,)}
            shapes |= _linear(f"{name}.attn.out_proj", width, width)
            shapes |= _linear(f"{name}.mlp.c_fc", 4 * width, width) | _linear(f"{name}.mlp.c_proj", width, 4 * width)
            shapes |= _norm(f"{name}.ln_1", width) | _norm(f"{name}.ln_2", width)
    return shapes
