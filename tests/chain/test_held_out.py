"""What a CLIP does on held-out images, against the same by open_clip itself."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image

from pipeline.chain.held_out import HeldOut, measure_held_out
from pipeline.clip import TextEmbedder, load_clip
from pipeline.dataset.opening import open_mined_dataset
from pipeline.images import ImagesConfig
from pipeline.training.samples import select_samples
from tests.training.configs import train_config

SHARE = 0.5


@pytest.fixture
def held_out(mined: Path, small_clip: str) -> HeldOut:
    config = train_config(mined, small_clip, "/nowhere")
    return HeldOut(replace(config, data=replace(config.data, held_out_share=SHARE)), ImagesConfig(), max_images=100)


def nearest(clip, nouns: list[str], images: list[Image.Image]) -> list[str]:
    """Their nearest nouns, by open_clip's own preprocessing; scenes are square."""
    nouns_ND = TextEmbedder(clip)(nouns)
    with torch.inference_mode():
        features_BD = F.normalize(clip.model.encode_image(torch.stack([clip.preprocess(image) for image in images])))
    return [nouns[row] for row in (features_BD @ nouns_ND.T).argmax(dim=1).tolist()]


@pytest.mark.slow
def test_retention_is_the_share_of_whole_images_that_are_nearest_to_a_noun_of_their_captions(
    held_out, mined, small_clip, tmp_path
):
    rows = [row for manifest in open_mined_dataset(str(mined)).manifests() for row in manifest.table.to_pylist()]
    samples = select_samples(str(mined), held_out.train.data)
    keys = set(samples.table["key"].take(samples.held_out).to_pylist())
    named: dict[str, set[str]] = {}
    for row in rows:
        if row["key"] in keys:
            named.setdefault(row["image_uri"], set()).add(row["noun"])
    vocabulary = sorted({row["noun"] for row in rows})
    clip = load_clip(small_clip)
    found = nearest(clip, vocabulary, [Image.open(uri).convert("RGB") for uri in named])
    right = np.mean([noun in nouns for noun, nouns in zip(found, named.values(), strict=True)])

    kept = tmp_path / "held-out" / "0.json"
    measured = measure_held_out(held_out, small_clip, None, str(kept), gpu=False)
    assert (measured.images, measured.unread, measured.regions) == (len(named), 0, len(keys))
    # Pictures are scaled by another filter: one may have another nearest noun.
    assert measured.retention == pytest.approx(right, abs=1.01 / len(named))

    # What is measured is not measured again, and belongs to these regions and this CLIP.
    before = kept.read_bytes()
    content = json.loads(before) | {"accuracy": 0.123}
    kept.write_text(json.dumps(content))
    assert measure_held_out(held_out, small_clip, None, str(kept), gpu=False).accuracy == 0.123
    fewer = replace(held_out, max_images=3)
    assert measure_held_out(fewer, small_clip, None, str(kept), gpu=False).images == 3
    assert measure_held_out(held_out, small_clip, None, str(kept), gpu=False) == measured
    assert kept.read_bytes() == before
