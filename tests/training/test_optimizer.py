"""Learning rate and parameter groups against open_clip's own schedule and the published rules."""

import math

import open_clip
import pytest
import torch
from open_clip_train.scheduler import cosine_lr

from pipeline.errors import UserError
from pipeline.training.config import FullConfig, MaskPromptConfig
from pipeline.training.optimizer import learning_rate, make_optimizer, set_learning_rate

LAYERS = 3


@pytest.fixture(scope="module")
def tower() -> dict[str, torch.nn.Parameter]:
    vision_cfg = {"image_size": 16, "patch_size": 8, "layers": LAYERS, "width": 32, "head_width": 16}
    text_cfg = {"context_length": 8, "vocab_size": 32, "width": 16, "heads": 2, "layers": 1}
    model = open_clip.CLIP(8, vision_cfg, text_cfg)
    return dict(model.visual.named_parameters(prefix="visual")) | {"logit_scale": model.logit_scale}


def test_schedule_is_that_of_open_clip():
    config = FullConfig(learning_rate=5e-6, warmup_steps=100)
    steps = 5 * 1727  # 442,117 pairs, batch 256, five epochs
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = cosine_lr(optimizer, config.learning_rate, config.warmup_steps, steps)
    for step in (0, 1, 50, 99, 100, 101, 4000, steps - 1):
        assert learning_rate(step, steps, config) == pytest.approx(reference(step))
    assert learning_rate(0, steps, config) == pytest.approx(5e-8)
    assert learning_rate(100, steps, config) == 5e-6
    assert learning_rate((steps - 100) // 2 + 100, steps, config) == pytest.approx(2.5e-6, rel=1e-3)
    assert 0 < learning_rate(steps - 1, steps, config) < 1e-12


def test_warm_up_longer_than_the_phase_or_none():
    assert learning_rate(3, 4, MaskPromptConfig(learning_rate=1.0, warmup_steps=8)) == 0.5
    assert learning_rate(0, 4, MaskPromptConfig(learning_rate=1.0, warmup_steps=0)) == 1.0


def test_every_parameter_is_in_one_group_and_vectors_do_not_decay(tower):
    optimizer = make_optimizer(tower, FullConfig(weight_decay=0.2))
    seen = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(map(id, seen)) == sorted(map(id, tower.values()))
    for group in optimizer.param_groups:
        assert {parameter.ndim >= 2 for parameter in group["params"]} == {group["weight_decay"] == 0.2}
        assert (group["betas"], group["eps"], group["lr_scale"]) == ((0.9, 0.98), 1e-6, 1.0)


def test_prompts_do_not_decay():
    prompts = torch.nn.Parameter(torch.zeros(3, 4, 8))
    [group] = make_optimizer({"prompts": prompts}, MaskPromptConfig(weight_decay=0.1)).param_groups
    assert group["weight_decay"] == 0.0


def test_layer_decay(tower):
    optimizer = make_optimizer(tower, FullConfig(layer_decay=0.5))
    set_learning_rate(optimizer, 1.0)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, layer in {
        "visual.conv1.weight": 0,
        "visual.class_embedding": 0,
        "visual.positional_embedding": 0,
        "visual.ln_pre.weight": 0,
        "visual.transformer.resblocks.0.attn.in_proj_weight": 1,
        f"visual.transformer.resblocks.{LAYERS - 1}.mlp.c_fc.bias": LAYERS,
        "visual.ln_post.weight": LAYERS + 1,
        "visual.proj": LAYERS + 1,
        "logit_scale": LAYERS + 1,
    }.items():
        assert math.isclose(rates[id(tower[name])], 0.5 ** (LAYERS + 1 - layer)), name


def test_layer_decay_needs_layers():
    with pytest.raises(UserError, match=r"full\.layer_decay"):
        make_optimizer(
            {"visual.layer1.0.conv1.weight": torch.nn.Parameter(torch.zeros(2, 2))}, FullConfig(layer_decay=0.9)
        )
