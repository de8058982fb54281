"""Cross-fitted matching: every image by the CLIP of its fold, and none that speaks of nouns in another space."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.clip import RegionEncoder, load_clip, save_clip
from pipeline.configuration import fingerprint
from pipeline.configuration.markers import absent_keys
from pipeline.dataset.folds import fold_of
from pipeline.dataset.vocabulary import Vocabulary, vocabulary_table
from pipeline.errors import UserError
from pipeline.mining.config import MatchingConfig, MineConfig
from pipeline.mining.plan import check_models, resolve
from pipeline.mining.stages import matching_clips
from pipeline.mining.steps.match_regions import MatchRegions
from pipeline.proposals import load_proposer
from pipeline.regions import RegionsConfig
from tests.mining.configs import mine_config
from tests.mining.test_match_regions import matched, shard


@pytest.fixture
def other(tiny_folder):
    """A CLIP with another vision tower and the same text tower."""
    changed = load_clip(f"local-dir:{tiny_folder}")
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weights in changed.model.visual.parameters():
            weights.add_(0.3 * torch.randn(weights.shape, generator=generator))
    return changed


def step(*clips) -> MatchRegions:
    vocabulary = Vocabulary(vocabulary_table(["cat", "dog"], [2, 1], np.eye(2, 32, dtype=np.float32)))
    return MatchRegions(
        [RegionEncoder(clip, RegionsConfig(), 4) for clip in clips], MatchingConfig(candidates=2), vocabulary
    )


@pytest.mark.parametrize("ahead", [True, False])
def test_every_image_is_matched_by_the_clip_of_its_fold(tiny, other, ahead):
    announced = []
    found = matched(step(tiny, other)(shard(), announced.append, ahead=ahead))
    assert sorted(announced) == [0, 1, 2, 3, 4]
    folds = {name: fold_of(name, 2) for name in found}
    assert set(folds.values()) == {0, 1}
    alone = [matched(step(clip)(shard(), lambda _: None)) for clip in (tiny, other)]
    assert alone[0] != alone[1]
    for name, nouns in found.items():
        for best, expected in zip(nouns, alone[folds[name]][name], strict=True):
            assert [region for region, _ in best] == [region for region, _ in expected]
            np.testing.assert_allclose([score for _, score in best], [score for _, score in expected], atol=1e-5)


def test_the_same_shard_has_the_same_bits(tiny, other):
    one, two = (matched(step(tiny, other)(shard(), lambda _: None, ahead=ahead)) for ahead in (True, False))
    assert one == two


def saved(clip, folder: Path) -> str:
    folder.mkdir()
    save_clip(clip, folder)
    return f"local-dir:{folder}"


def test_all_clips_are_named_with_their_hashes_and_another_text_tower_is_refused(world, small_clip, tmp_path):
    clip = load_clip(small_clip)
    with torch.no_grad():
        clip.model.visual.proj.add_(0.1)
    adapted = saved(clip, tmp_path / "adapted")
    config = resolve(mine_config(world, small_clip, tmp_path / "mined", cross_fit=[adapted, small_clip]))
    proposer = load_proposer(config.proposals)
    models = check_models(config, proposer).described()
    assert [found["architecture"] for found in models["cross_fit"]] == [adapted, small_clip]
    assert [found["sha256"] for found in models["cross_fit"]] == [clip.weights_sha256(), models["clip"]["sha256"]]
    assert [used.architecture for used in matching_clips(config)] == [adapted, small_clip]
    with torch.no_grad():
        clip.model.positional_embedding.add_(0.1)
    foreign = saved(clip, tmp_path / "foreign")
    with pytest.raises(UserError, match=r"^cross_fit\[1\]: .*foreign has another text tower"):
        check_models(dataclasses.replace(config, cross_fit=[adapted, foreign]), proposer)
    with pytest.raises(UserError, match=r"^cross_fit: one CLIP"):
        check_models(dataclasses.replace(config, cross_fit=[adapted]), proposer)


def test_without_it_nothing_changes(world, small_clip, tmp_path):
    config = resolve(mine_config(world, small_clip, tmp_path))
    assert matching_clips(config) == [config.clip]
    assert "cross_fit" not in check_models(config, load_proposer(config.proposals)).described()
    assert absent_keys(MineConfig).items() >= {"cross_fit": [], "keep_proposals": False}.items()
    before = dataclasses.asdict(config)
    after = fingerprint.describe("mine", MineConfig, before)["fingerprint"]
    del before["cross_fit"], before["keep_proposals"]
    assert fingerprint.describe("mine", MineConfig, before)["fingerprint"] == after


def test_paths_become_absolute_and_secrets_are_refused(world, small_clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = mine_config(world, small_clip, tmp_path, cross_fit=["local-dir:a", "local-dir:b"])
    assert resolve(config).cross_fit == [f"local-dir:{tmp_path}/a", f"local-dir:{tmp_path}/b"]
    secret = "local-dir:s3://user:word@bucket/model"
    with pytest.raises(UserError, match=r"cross_fit\[1\] contains a secret"):
        resolve(dataclasses.replace(config, cross_fit=["local-dir:a", secret]))
