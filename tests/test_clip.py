"""Loading, text embeddings and region encoding, against open_clip itself."""

import json

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES
from safetensors.torch import save_file

from pipeline import masks as rle
from pipeline.clip import RegionEncoder, TextEmbedder, load_clip
from pipeline.clip.templates import TEMPLATES
from pipeline.errors import UserError
from pipeline.regions import RegionsConfig, masked_regions

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    """A small CLIP as a `local-dir:` of open_clip, with its own mean and std."""
    folder = tmp_path_factory.mktemp("tiny-clip")
    torch.manual_seed(3)
    model = open_clip.CLIP(**TINY)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {"size": 32, "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.25, 0.25]}
    config = {"model_cfg": TINY, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def tiny(tiny_folder):
    return load_clip(f"local-dir:{tiny_folder}")


def test_loads_a_local_directory_with_its_own_preprocessing(tiny):
    assert tiny.image_size == 32
    assert tiny.mean == (0.5, 0.4, 0.3)
    assert not tiny.model.training
    assert not any(parameter.requires_grad for parameter in tiny.model.parameters())
    assert tiny.logit_scale.exp().item() == pytest.approx(1 / 0.07, rel=1e-5)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_loads_a_checkpoint_file(tmp_path, suffix):
    torch.manual_seed(5)
    model = open_clip.create_model("ViT-S-32-alt")
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": model.state_dict()}, path)
    else:
        save_file(model.state_dict(), path)
    clip = load_clip("ViT-S-32-alt", str(path))
    pixels = torch.rand(2, 3, 224, 224)
    torch.testing.assert_close(clip.vision(pixels), model.eval().visual(pixels))


def test_hash_follows_the_weights_not_the_file(tiny_folder, tiny):
    again = load_clip(f"local-dir:{tiny_folder}")
    assert again.weights_sha256() == tiny.weights_sha256()
    with torch.no_grad():
        again.vision.conv1.weight[0, 0, 0, 0] += 1e-3
    assert again.weights_sha256() != tiny.weights_sha256()


def test_random_weights_are_the_same_every_time():
    first, second = (load_clip("ViT-S-32-alt", "random") for _ in range(2))
    assert first.weights_sha256() == second.weights_sha256()


@pytest.mark.parametrize(
    ("architecture", "weights", "message"),
    [
        ("ViT-B-61", "openai", r"clip\.architecture 'ViT-B-61' is not.*ViT-B-16"),
        ("ViT-B-16", "opnai", r"clip\.weights 'opnai' is neither a file nor a tag.*openai"),
        ("ViT-B-16", None, r"clip\.weights is empty"),
        ("local-dir:/nowhere", None, r"clip\.architecture 'local-dir:/nowhere'.*not found"),
        ("local-dir:/nowhere", "openai", r"remove clip\.weights"),
    ],
)
def test_wrong_names_name_the_key(architecture, weights, message):
    with pytest.raises(UserError, match=message):
        load_clip(architecture, weights)


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    torch.save(open_clip.create_model("ViT-S-32-alt").state_dict(), tmp_path / "small.pt")
    with pytest.raises(UserError, match=r"clip\.weights .*small\.pt' cannot be loaded"):
        load_clip("ViT-M-32-alt", str(tmp_path / "small.pt"))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_clip("ViT-S-32-alt", str(tmp_path / "bomb.pt"))
    assert not (tmp_path / "ran").exists()


def test_template_sets_have_the_published_sizes():
    assert {name: len(templates) for name, templates in TEMPLATES.items()} == {
        "none": 1, "photo": 1, "vild": 14, "imagenet": 80,
    }  # fmt: skip
    assert sum(not template.endswith(".") for template in TEMPLATES["vild"]) == 4
    assert TEMPLATES["imagenet"][0].format("cat") == OPENAI_IMAGENET_TEMPLATES[0]("cat")
    assert len(set(TEMPLATES["vild"])) == 14
    assert all(template.count("{}") == 1 for set_ in TEMPLATES.values() for template in set_)


@pytest.mark.parametrize("templates", ["photo", "vild"])
def test_text_embeddings_follow_the_formula(tiny, templates):
    nouns = ["fire hydrant", "dog", "fire hydrant"]
    embedded = TextEmbedder(tiny, templates)(nouns)
    for noun, row in zip(nouns, embedded, strict=True):
        tokens = open_clip.tokenize([template.format(noun) for template in TEMPLATES[templates]])
        features = tiny.model.encode_text(tokens)
        features = features / features.norm(dim=1, keepdim=True)
        mean = features.mean(dim=0)
        torch.testing.assert_close(row, mean / mean.norm(), atol=1e-6, rtol=0)
    assert TextEmbedder(tiny, templates)([]).shape == (0, 32)


def random_images(rng, sizes, proposals):
    for (height, width), count in zip(sizes, proposals, strict=True):
        masks = np.zeros((count, height, width), np.uint8)
        for mask in masks:
            y, x = rng.integers(0, height - 4), rng.integers(0, width - 4)
            mask[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = 1
        yield rng.integers(0, 256, (height, width, 3), dtype=np.uint8), masks


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_region_features_equal_one_image_at_a_time(tiny, batch_size):
    rng = np.random.default_rng(1)
    sizes, counts = [(40, 30), (64, 48), (20, 20), (33, 57)], [5, 0, 9, 3]
    images = list(random_images(rng, sizes, counts))
    images[2][1][4] = 0  # an empty mask among the nine
    encoder = RegionEncoder(tiny, RegionsConfig(), batch_size)
    encoded = list(encoder.encode((image, rle.encode(masks)) for image, masks in images))
    assert len(encoded) == 4
    for (image, masks), (features, valid) in zip(images, encoded, strict=True):
        pixels, _, expected_valid, _ = masked_regions(
            torch.from_numpy(image.transpose(2, 0, 1).copy()),
            torch.from_numpy(masks).float(),
            size=32, mean=tiny.mean, std=tiny.std,
        )  # fmt: skip
        assert valid.tolist() == expected_valid.tolist()
        expected = F.normalize(tiny.vision(pixels), dim=-1) if len(pixels) else torch.zeros(0, 32)
        assert len(features) == len(expected)
        if len(expected):
            np.testing.assert_allclose(features, expected.numpy(), atol=1e-5)


def test_batches_are_filled_across_images(tiny):
    sizes = []

    def recorded(module, inputs):
        sizes.append(len(inputs[0]))

    hook = tiny.vision.register_forward_pre_hook(recorded)
    try:
        images = random_images(np.random.default_rng(2), [(40, 40)] * 7, [3] * 7)
        list(RegionEncoder(tiny, RegionsConfig(), 8).encode((i, rle.encode(m)) for i, m in images))
    finally:
        hook.remove()
    assert sizes == [8, 8, 5]
