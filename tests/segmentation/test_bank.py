"""A bank beside CLIP in the segmenter: whose regions vote, and for what."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.bank import BankConfig
from pipeline.clip import ClipConfig, RegionEncoder, TextEmbedder
from pipeline.errors import UserError
from pipeline.proposals import ProposalsConfig
from pipeline.regions import RegionsConfig
from pipeline.segmentation import SegmentationConfig
from pipeline.segmentation.job_config import ModelsConfig
from pipeline.segmentation.loading import check_models, load_segmenter
from tests.bank.banks import CLIP, unit, write_bank
from tests.clip.conftest import tiny, tiny_folder
from tests.segmentation.colours import ColourProposer, fields

__all__ = ["tiny", "tiny_folder"]

CLASSES = [("red thing",), ("grass", "lawn"), ("sea",)]
SHA256 = "sha-0"


@pytest.fixture
def features(tiny):
    """Embeddings of the five regions of `fields()`."""
    [proposals] = ColourProposer().propose([fields()], [""])
    [(_, features_VD, _)] = RegionEncoder(tiny, RegionsConfig(), 8).encode([(fields(), proposals.masks, None)])
    return features_VD


@pytest.fixture
def configuration(tiny, tiny_folder, features, tmp_path):
    """A bank of the first two regions of the image itself, which are called lawn, and of two others."""
    clip = replace(CLIP, vision_sha256=tiny.vision_weights_sha256(), text_sha256=tiny.text_weights_sha256())
    nouns = TextEmbedder(tiny, "vild")(["lawn", "red thing", "sea"]).numpy()
    others = unit(np.random.default_rng(0).normal(size=(2, 32)))
    entries = np.concatenate([features[:2], others])
    write_bank(tmp_path / "bank", entries, ["lawn", "lawn", "sea", "red thing"], clip=clip, noun_embeddings=nouns)
    bank = BankConfig(path=str(tmp_path / "bank"), neighbours=1, min_similarity=0.9999, weight=1.0)
    return ModelsConfig(
        clip=ClipConfig(architecture=f"local-dir:{tiny_folder}", weights=None, batch_size=4),
        proposals=ProposalsConfig("tests.segmentation.colours:ColourProposer"),
        segmentation=SegmentationConfig(templates="none", bank=bank),
    )


def with_bank(config: ModelsConfig, **changes) -> ModelsConfig:
    bank = replace(config.segmentation.bank, **changes)
    return replace(config, segmentation=replace(config.segmentation, bank=bank))


def predict(config: ModelsConfig, image=()):
    segmenter = load_segmenter(config, CLASSES, gpu=False)
    found = ((fields(), masks, 0.5, None) for _, _, masks in segmenter.propose_each([(fields(), "", None)]))
    [(_, prediction)] = segmenter.classify(found, lambda _: image)
    return prediction


def test_mined_regions_vote_for_the_class_of_their_noun(configuration):
    alone = predict(with_bank(configuration, path=None))
    assert alone.neighbours is None
    both = predict(configuration)
    assert both.region_logits[:2].argmax(axis=1).tolist() == [1, 1]
    np.testing.assert_allclose(np.exp(both.region_logits[:2, 1]), 1, atol=1e-5)
    assert both.neighbours.rows[:2].ravel().tolist() == [0, 1]
    far = both.neighbours.similarities[:, 0] < 0.9999
    assert far.any()
    shifted = alone.region_logits[far] - alone.region_logits[far].max(axis=1, keepdims=True)
    expected = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(both.region_logits[far], expected, atol=1e-4)


@pytest.mark.parametrize("image", [(SHA256, None), (None, "/images/0.jpg")])
def test_regions_of_the_image_itself_do_not_vote_unless_they_may(configuration, image):
    alone, excluded = predict(with_bank(configuration, path=None)), predict(configuration, image)
    assert not set(excluded.neighbours.rows.ravel()) & {0, 1}
    assert (excluded.label_map(1.0) == alone.label_map(1.0)).all()
    allowed = predict(with_bank(configuration, same_image="allow"), image)
    assert allowed.neighbours.rows[:2].ravel().tolist() == [0, 1]


def test_the_bank_is_part_of_what_identifies_the_models(configuration, tmp_path):
    before = check_models(configuration, CLASSES)
    assert "bank" not in check_models(with_bank(configuration, path=None), CLASSES)
    [file] = (tmp_path / "bank" / "segments").glob("*/000000-*")
    data = bytearray(file.read_bytes())
    data[-600] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match="differs from its checksum"):
        check_models(configuration, CLASSES)
    content = (tmp_path / "bank" / "bank.json").read_text().replace("/mined/", "/moved/")
    (tmp_path / "bank" / "bank.json").write_text(content)
    data[-600] ^= 1
    file.write_bytes(data)
    assert check_models(configuration, CLASSES)["bank"] != before["bank"]


def test_a_bank_of_other_regions_is_refused(configuration):
    with pytest.raises(UserError, match=r"regions\.fill is 'zero' here and 'mean' in the bank"):
        load_segmenter(replace(configuration, regions=RegionsConfig(fill="zero")), CLASSES, gpu=False)
