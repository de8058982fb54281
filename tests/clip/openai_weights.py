"""Random weights under the names that OpenAI published, written out by hand."""

import torch

VISION_WIDTH, TEXT_WIDTH, EMBED_DIM = 128, 64, 32
PATCH, GRID = 8, 4
VISION_LAYERS, TEXT_LAYERS = 3, 2
CONTEXT_LENGTH, VOCABULARY = 77, 49408


def openai_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """A ViT of 3 layers, 2 heads, 32 px; every value is one that float16 can hold, as in OpenAI's files."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, std=0.1, mean=0.0):
        return (torch.randn(shape, generator=generator) * std + mean).half().float()

    weights = {
        "positional_embedding": normal(CONTEXT_LENGTH, TEXT_WIDTH),
        "text_projection": normal(TEXT_WIDTH, EMBED_DIM),
        "logit_scale": torch.tensor(2.5),
        "visual.class_embedding": normal(VISION_WIDTH),
        "visual.positional_embedding": normal(GRID**2 + 1, VISION_WIDTH),
        "visual.proj": normal(VISION_WIDTH, EMBED_DIM),
        "visual.conv1.weight": normal(VISION_WIDTH, 3, PATCH, PATCH),
        "token_embedding.weight": normal(VOCABULARY, TEXT_WIDTH),
    }

    def layer_norm(name, width):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = normal(width, mean=1.0), normal(width)

    def linear(weight, bias, outputs, inputs):
        weights[weight], weights[bias] = normal(outputs, inputs), normal(outputs)

    for prefix, width, layers in (("visual.", VISION_WIDTH, VISION_LAYERS), ("", TEXT_WIDTH, TEXT_LAYERS)):
        for index in range(layers):
            block = f"{prefix}transformer.resblocks.{index}"
            linear(f"{block}.attn.in_proj_weight", f"{block}.attn.in_proj_bias", 3 * width, width)
            linear(f"{block}.attn.out_proj.weight", f"{block}.attn.out_proj.bias", width, width)
            linear(f"{block}.mlp.c_fc.weight", f"{block}.mlp.c_fc.bias", 4 * width, width)
            linear(f"{block}.mlp.c_proj.weight", f"{block}.mlp.c_proj.bias", width, 4 * width)
            layer_norm(f"{block}.ln_1", width)
            layer_norm(f"{block}.ln_2", width)
    layer_norm("visual.ln_pre", VISION_WIDTH)
    layer_norm("visual.ln_post", VISION_WIDTH)
    layer_norm("ln_final", TEXT_WIDTH)
    return weights


def mask_prompts(depth: int, patches: int = GRID**2) -> torch.Tensor:
    return torch.randn(depth, patches, VISION_WIDTH, generator=torch.Generator().manual_seed(9))


def as_torchscript(weights, path):
    """An archive like OpenAI's: parameters under their names, and three numbers beside them."""
    root = torch.nn.Module()
    for name, tensor in weights.items():
        *modules, leaf = name.split(".")
        module = root
        for child in modules:
            if child not in dict(module.named_children()):
                module.add_module(child, torch.nn.Module())
            module = getattr(module, child)
        module.register_parameter(leaf, torch.nn.Parameter(tensor.half()))
    for name, number in (("input_resolution", 32), ("context_length", 77), ("vocab_size", 49408)):
        root.register_buffer(name, torch.tensor(number))
    torch.jit.save(torch.jit.script(root), path)
