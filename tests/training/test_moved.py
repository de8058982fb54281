"""What finetuning moves: exactly the weights that are asked for, of both towers; in a plain CLIP in the end."""

import re

import open_clip
import pytest
import torch

from pipeline.clip import load_clip, save_clip
from pipeline.clip.adapters import has_adapters
from pipeline.errors import UserError
from pipeline.microworld.clip import write_untrained_clip
from pipeline.training.checkpoints import RunState, load_checkpoint, load_tuned, save_checkpoint, tuned_weights
from pipeline.training.config import FullConfig, LoraConfig, TextConfig, TrainConfig
from pipeline.training.moved import moved_weights, train_moved
from pipeline.training.optimizer import state_bytes
from pipeline.training.plan import resolve
from tests.training.moving import CHOICES, STEPS, Finetuning, moving

LAYERS = {"image": 4, "text": 2}
LORA_BLOCK = r"attn\.in_proj_weight|mlp\.c_(?:fc|proj)\.weight"
BLOCK = {
    "attention_qv": r"attn\.in_proj_(?:weight|bias)",
    "attention": r"attn\..*",
    "lora": LORA_BLOCK,
}


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("untrained")
    write_untrained_clip(folder, seed=3)
    return f"local-dir:{folder}"


def expected_names(choice: str, tower: str) -> str:
    """The names of open_clip's weights that a choice moves, as a pattern."""
    image = tower == "image"
    blocks = r"visual\.transformer\.resblocks" if image else r"transformer\.resblocks"
    if choice == "frozen":
        return r"nothing"
    if choice == "all":
        return r"visual\..*|logit_scale" if image else r"(?!visual\.|logit_scale).*"
    if choice == "last_blocks":
        last = rf"{blocks}\.{LAYERS[tower] - 1}\..*"
        return last + (r"|visual\.(?:ln_post\..*|proj)" if image else r"|ln_final\..*|text_projection")
    return rf"{blocks}\.\d+\.(?:{BLOCK[choice]})"


@pytest.mark.parametrize(("full", "text"), [(full, text) for full in CHOICES for text in ("frozen", full)])
def test_exactly_what_is_asked_for_moves(untrained, full, text):
    """Weight decay is on, which would move what only has no gradient."""
    before = {name: tensor.clone() for name, tensor in load_clip(untrained).model.state_dict().items()}
    config = moving(full, text)
    run = Finetuning(untrained, config).run(range(STEPS))
    after = run.merged()
    assert after.keys() == before.keys()
    moved = {name for name, tensor in before.items() if not tensor.equal(after[name])}
    pattern = f"{expected_names(full, 'image')}|{expected_names(text, 'text')}"
    wanted = {name for name in before if re.fullmatch(pattern, name)}
    assert moved == wanted == moved_weights(run.clip, config)
    for name in moved:
        if "in_proj" in name and full in ("attention_qv", "lora"):
            query, key, value = (
                (new != old).float().mean()
                for new, old in zip(after[name].chunk(3), before[name].chunk(3), strict=True)
            )
            assert key == 0, name
            assert min(query, value) > 0.9, name


@pytest.mark.parametrize("choice", CHOICES)
def test_plain_open_clip_loads_what_was_trained(untrained, tmp_path, choice):
    run = Finetuning(untrained, moving(choice, choice)).run(range(STEPS))
    pixels, clip = torch.randn(3, 3, 48, 48), run.clip
    tokens = clip.tokenizer(["a red boat", "grass"])
    clip.model.eval()
    with torch.no_grad():
        adapted = clip.model.encode_image(pixels), clip.model.encode_text(tokens)
    run.merged()
    save_clip(clip, tmp_path)
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    with torch.no_grad():
        loaded = model.eval().encode_image(pixels), model.encode_text(tokens)
        original = load_clip(untrained).model.encode_image(pixels)
    torch.testing.assert_close(loaded, adapted, rtol=0, atol=1e-5)
    assert (loaded[0] - original).abs().max() > 1e-3


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_goes_on_from_its_checkpoint_bit_by_bit(untrained, tmp_path, choice, stop):
    config = moving(choice, choice)
    expected = Finetuning(untrained, config).run(range(STEPS)).merged()
    first = Finetuning(untrained, config).run(range(stop))
    save_checkpoint(tmp_path, tuned_weights(first.clip, config), first.optimizer.state_dict(), RunState(0, stop))
    weights, optimizer, state = load_checkpoint(tmp_path, "full-0000001")
    second = Finetuning(untrained, config, load_tuned(load_clip(untrained), weights, config))
    second.optimizer.load_state_dict(optimizer)
    found = second.run(range(state.step, STEPS)).merged()
    assert found.keys() == expected.keys()
    assert all(found[name].equal(expected[name]) for name in expected)
    # What is kept at the end of the phase has no adapters any more.
    weights = tuned_weights(second.clip, config)
    assert weights.keys() == moved_weights(second.clip, config)
    loaded = load_tuned(load_clip(untrained), weights, config)
    assert not has_adapters(loaded.model)
    assert all(tensor.equal(expected[name]) for name, tensor in loaded.model.state_dict().items())


def test_checkpoints_of_a_few_weights_are_small(untrained):
    sizes = {}
    for choice in ("all", "attention_qv", "lora"):
        run = Finetuning(untrained, moving(choice)).run(range(1))
        weights = tuned_weights(run.clip, run.config)
        sizes[choice] = (sum(tensor.nbytes for tensor in weights.values()), state_bytes(run.optimizer))
        trained = sum(parameter.nbytes for parameter in run.parameters.values())
        # AdamW keeps two moments of every number, and its step.
        assert sizes[choice][1] == 2 * trained + 4 * len(run.parameters)
    assert sizes["attention_qv"][1] < sizes["all"][1] / 4
    assert sizes["lora"][0] < sizes["all"][0] / 4


def test_lora_of_the_default_rank_keeps_a_tenth_of_the_optimisers_memory():
    """Of ViT-B/16, by the numbers that are trained."""
    clip = load_clip("ViT-B-16", "random")
    full = sum(parameter.numel() for parameter in clip.vision.visual.parameters())
    config = TrainConfig(dataset="", output="", full=FullConfig(parameters="lora"))
    trained = sum(parameter.numel() for parameter in train_moved(clip, config).values())
    assert trained == 12 * 2 * 8 * (768 + 768)
    assert trained <= 0.1 * full


def test_the_text_tower_has_a_rate_of_its_own(untrained):
    config = moving("attention_qv", "lora")
    config.text.learning_rate = 5e-2
    run = Finetuning(untrained, config)
    names = {id(parameter): name for name, parameter in run.parameters.items()}
    for group in run.optimizer.param_groups:
        for parameter in group["params"]:
            image = names[id(parameter)].startswith("visual.")
            assert group["lr_scale"] == pytest.approx(1.0 if image else 5.0)


def test_layer_decay_is_of_the_image_tower(untrained):
    config = moving("attention", "attention")
    config.full.layer_decay = 0.5
    run = Finetuning(untrained, config)
    names = {id(parameter): name for name, parameter in run.parameters.items()}
    for group in run.optimizer.param_groups:
        for parameter in group["params"]:
            block = re.match(r"visual\.transformer\.resblocks\.(\d)", names[id(parameter)])
            assert group["lr_scale"] == (0.5 ** (LAYERS["image"] - int(block[1])) if block else 1.0)


REFUSED = {
    "rank above the width": (
        {"full": FullConfig(parameters="lora", lora=LoraConfig(rank=97))},
        r"full\.lora\.rank is 97, .* image tower has rank 96 at most",
    ),
    "too many blocks": (
        {"full": FullConfig(parameters="last_blocks", last_blocks=5)},
        r"full\.last_blocks is 5, .* image tower has 4 blocks",
    ),
    "too many blocks of text": (
        {"text": TextConfig(parameters="last_blocks", last_blocks=3)},
        r"text\.last_blocks is 3, .* text tower has 2 blocks",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_the_towers_is_refused(untrained, case):
    changes, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        moved_weights(load_clip(untrained), TrainConfig(dataset="", output="", **changes))


@pytest.mark.parametrize("choice", ["attention_qv", "attention", "lora", "last_blocks"])
def test_a_tower_without_such_matrices_is_named(choice):
    clip = load_clip("RN50", "random")
    with pytest.raises(UserError, match=rf"full\.parameters is {choice}, .* image tower \(ModifiedResNet\) is no seq"):
        moved_weights(clip, moving(choice))
    assert moved_weights(clip, moving("all", choice)) >= {"visual.conv1.weight"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"full": FullConfig(lora=LoraConfig(rank=0))}, r"full\.lora\.rank"),
        ({"full": FullConfig(parameters="lora", lora=LoraConfig(matrices=[]))}, r"full\.lora\.matrices is empty"),
        (
            {"mode": "mask_prompt", "text": TextConfig(parameters="lora")},
            r"text\.parameters does not apply to mode mask",
        ),
        (
            {"mode": "pretrain", "text": TextConfig(parameters="all")},
            r"text\.parameters does not apply to mode pretrain",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        resolve(TrainConfig(dataset="mined", output="adapted", **changes))
