"""Verifiers of a mining job: while it mines, afterwards, and after interruptions; and those that are refused."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from jobs import mine as mine_job
from pipeline.clip import TextEmbedder, load_clip
from pipeline.errors import UserError
from pipeline.inspection.status import print_status, read_status
from pipeline.inspection.verify import repair, verify
from pipeline.masks import rle
from pipeline.mining.config import MineConfig, VerifierConfig
from pipeline.mining.run import mine
from pipeline.mining.verifiers import check_names, check_verifiers
from pipeline.mining.verifying import verify_only
from pipeline.regions import RegionsConfig, masked_regions
from tests.mining.configs import dataset_bytes, mine_config
from tests.report.made_dataset import make_dataset


def verifier(architecture: str, name: str = "second", **keys) -> VerifierConfig:
    return VerifierConfig(architecture, None, **keys, name=name)


def opinions(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "verified").iterdir())}


def score_in_surroundings(candidate: dict, architecture: str, expand: float) -> float:
    """Similarity of the noun of a row to its box, scaled, with nothing blanked."""
    clip = load_clip(architecture)
    pixels_HW3 = np.array(PIL.Image.open(candidate["image_uri"]).convert("RGB"))
    [mask_HW] = rle.decode([candidate["mask_rle"].encode()], *pixels_HW3.shape[:2])
    region, *_ = masked_regions(
        torch.from_numpy(pixels_HW3).permute(2, 0, 1), torch.from_numpy(mask_HW)[None].bool(),
        clip_input=clip.input, fill="none", expand=expand,
    )  # fmt: skip
    with torch.no_grad():
        feature_D = F.normalize(clip.model.encode_image(region)[0], dim=0)
    return float(feature_D @ TextEmbedder(clip, "vild")([candidate["noun"]])[0])


@pytest.mark.slow
def test_while_mining_afterwards_and_after_interruptions(world, small_clip, second_clip, mined, tmp_path, capsys):
    around = verifier(small_clip, "around", regions=RegionsConfig("none", 1.5))
    config = mine_config(world, small_clip, tmp_path / "at-once", verify=[verifier(second_clip, batch_size=8), around])
    mine(config)
    at_once = opinions(tmp_path / "at-once")
    assert len(at_once) == 4
    # The dataset is what it is without.
    assert dataset_bytes(tmp_path / "at-once") == dataset_bytes(mined)
    for name in at_once:
        table = pq.read_table(tmp_path / "at-once" / "verified" / name)
        assert len(table) == len(pq.read_table(tmp_path / "at-once" / "candidates" / name))
        assert table["second_score"].null_count == 0
        rows = pq.read_table(tmp_path / "at-once" / "candidates" / name).slice(0, 3).to_pylist()
        for row, score in zip(rows, table["around_score"].to_pylist(), strict=False):
            assert score == pytest.approx(score_in_surroundings(row, small_clip, 1.5), abs=1e-5)

    later = replace(config, output=str(shutil.copytree(mined, tmp_path / "later")))
    done = verify_only(later)
    assert (done.shards, done.problems.total()) == (4, 0)
    assert opinions(tmp_path / "later") == at_once
    assert verify(later.output) == []
    assert not (tmp_path / "later" / "attempts").exists()
    print_status(later.output)
    printed = capsys.readouterr().out
    assert re.search(r"verified by around +│ 4 of 4 shards", printed)
    assert re.search(r"verified by second +│ 4 of 4 shards", printed)

    # One is gone, one is damaged, one is of a shard that is due again.
    folder = tmp_path / "at-once" / "verified"
    (folder / "000000.parquet").unlink()
    (folder / "000001.parquet").write_bytes(b"PAR1")
    (tmp_path / "at-once" / "shards" / "000002.tar").unlink()
    assert repair(config.output, verify(config.output)) == [2]
    assert read_status(config.output).verified == {"around": 1, "second": 1}
    mine(config)
    assert opinions(tmp_path / "at-once") == at_once
    assert dataset_bytes(tmp_path / "at-once") == dataset_bytes(mined)


def test_names_are_columns_of_their_own():
    check_names([verifier("x", "so400m"), verifier("x", "b16"), verifier("x", "a_noun")])
    for name in ("", "So400m", "so-400m", "4x", "ä", "a" * 41, "a.b"):
        with pytest.raises(UserError, match=r"verify\[0\]\.name is .* identifier"):
            check_names([verifier("x", name)])
    for name in ("clip", "proposal", "prompt"):
        with pytest.raises(UserError, match=rf"verify\[0\]\.name: {name} would have the column {name}_score"):
            check_names([verifier("x", name)])
    with pytest.raises(UserError, match=r"verify\[1\]\.name: b16 is the name of two verifiers"):
        check_names([verifier("x", "b16"), verifier("y", "b16")])


def test_the_same_model_is_no_second_opinion(world, small_clip, second_clip, tmp_path):
    config = mine_config(world, small_clip, tmp_path, verify=[verifier(second_clip), verifier(small_clip, "again")])
    models = {"clip": {"sha256": load_clip(small_clip).weights_sha256()}}
    with pytest.raises(UserError, match=r"verify\[1\]: again is the same model as clip .* no second opinion"):
        check_verifiers(config, models)
    models = {
        "clip": {"sha256": "0"},
        "cross_fit": [{"sha256": "1"}, {"sha256": load_clip(second_clip).weights_sha256()}],
    }
    with pytest.raises(UserError, match=r"verify\[0\]: second is the same model as cross_fit\[1\]"):
        check_verifiers(config, models)
    # Shown regions in another way, it is one; the same way said twice is not.
    around = replace(config, verify=[verifier(small_clip, "around", regions=RegionsConfig("none", 1.5))])
    models = {"clip": {"sha256": load_clip(small_clip).weights_sha256()}}
    assert check_verifiers(around, models)["around"]["regions"] == {"fill": "none", "expand": 1.5}
    same = replace(config, verify=[verifier(small_clip, "same", regions=RegionsConfig())])
    with pytest.raises(UserError, match=r"verify\[0\]: same is the same model .* another way by verify\[0\]\.regions"):
        check_verifiers(same, models)
    found = check_verifiers(config, {"clip": {"sha256": "0"}})
    assert list(found) == ["second", "again"]
    assert len(found["second"]["templates"]) == 14
    broken = replace(config, verify=[VerifierConfig("ViT-B-61", "openai", name="b")])
    with pytest.raises(UserError, match=r"verify\[0\] \(b\): clip.architecture 'ViT-B-61' is not an open_clip model"):
        check_verifiers(broken, models)


def test_what_verify_only_needs(world, small_clip, tmp_path, capsys):
    config = mine_config(world, small_clip, tmp_path / "none", verify=[verifier("x")])
    with pytest.raises(UserError, match=r"--verify-only: `verify` names no CLIP"):
        verify_only(replace(config, verify=[]))
    with pytest.raises(UserError, match="none"):
        verify_only(config)
    make_dataset(tmp_path / "mined", ["dog", "cat", "hat", "tree"], shards=1, images_per_shard=3)
    with pytest.raises(UserError, match=r"(?s)was made with something else.*clip\.architecture: .* → "):
        verify_only(replace(config, output=str(tmp_path / "mined")))
    with pytest.raises(SystemExit):
        mine_job.main(["--captions.format=coco", "--captions.path=x", "--output=y", "--verify-only", "--dry-run"])
    assert "--verify-only excludes" in capsys.readouterr().err
    assert MineConfig(config.captions, "x").verify == []
