"""Retention in training runs: what is told before, measured at every epoch, and kept."""

import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import schemas
from pipeline.clip import load_clip
from pipeline.errors import UserError
from pipeline.retention.config import ImageSetConfig, RetentionConfig
from pipeline.retention.measuring import Measured, measure
from pipeline.retention.sets import open_image_set
from pipeline.training.config import FullConfig, ValidationConfig, WorkersConfig
from pipeline.training.retention import Retention, retention_summary, retention_table, values_of
from tests.retention.pictures import write_class_folders, write_coco
from tests.training.configs import train_config


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> RetentionConfig:
    folder = tmp_path_factory.mktemp("whole-images")
    write_class_folders(folder / "things", images=2)
    write_coco(folder / "coco", images=6)
    (folder / "coco" / "val2017" / "000000000002.jpg").unlink()
    return RetentionConfig(
        [
            ImageSetConfig("class_folders", str(folder / "things"), templates="photo"),
            ImageSetConfig("coco_captions", str(folder / "coco")),
        ],
        batch_size=4,
    )


def measured(name: str, **scores: float | None) -> Measured:
    return Measured(name, "classification", scores, 10, {"damaged": 2})


def test_values_and_what_is_made_of_them():
    found = [measured("a/val", top1=0.5, top5=None), measured("b", top1=0.25, top5=0.75), measured("c", top1=None)]
    values = values_of(found)
    assert values["retention"] == 0.375
    assert values["retention/a/val/top1"] == 0.5
    assert values["retention/b/images"] == 10
    assert values["retention/c/rejected"] == 2
    assert not {"retention/a/val/top5", "retention/c/top1"} & values.keys()
    history = [
        {"stage": "full", "epoch": 0.0, "step": 0, "accuracy_top1": 0.1, **values},
        {"stage": "full", "epoch": 0.5, "step": 4, "loss": 1.0},
        {"stage": "full", "epoch": 1.0, "step": 8, **values_of([measured("a/val", top1=0.75)])},
    ]
    table = retention_table(history)
    assert table.schema.equals(schemas.RETENTION)
    rows = {(row["step"], row["set"], row["measure"]): row["value"] for row in table.to_pylist()}
    assert (rows[0, "a/val", "top1"], rows[8, "a/val", "top1"], rows[0, "b", "top5"]) == (0.5, 0.75, 0.75)
    first, second = retention_summary(history)
    assert (first["after"], first["retention"], first["sets"]["a/val"]["top1"]) == ("original", 0.375, 0.5)
    assert (second["after"], second["epoch"], second["retention"]) == ("full", 1.0, 0.75)
    assert values_of([]) == {}
    assert retention_summary(history[1:2]) == []


def test_what_cannot_be_measured_is_said_by_its_key(sets, tmp_path):
    with pytest.raises(UserError, match=r"retention\.sets\[1\]: class_folders/things is given twice"):
        Retention(RetentionConfig([sets.sets[0], sets.sets[0]]))
    with pytest.raises(UserError, match=r"retention\.sets\[1\]\.root: .*nowhere"):
        Retention(RetentionConfig([sets.sets[0], ImageSetConfig("imagenet", str(tmp_path / "nowhere"))]))


@pytest.mark.slow
def test_images_that_are_also_trained_on_are_told(mined, world, small_clip, tmp_path, capsys):
    uri = json.loads((world / "captions.json").read_text())["images"][0]["file_name"]
    root = tmp_path / "set"
    shutil.copytree(world / "images", root / "val2017")
    captions = root / "annotations" / "captions_val2017.json"
    captions.parent.mkdir()
    shutil.copy(world / "captions.json", captions)
    clip = load_clip(small_clip)
    Retention(RetentionConfig([ImageSetConfig("coco_captions", str(root))])).check(clip, str(mined))
    assert "warning" not in capsys.readouterr().err  # the same pictures, but other files
    assert (world / "images" / uri).is_file()
    same = ImageSetConfig("coco_captions", str(root), images=str(world / "images"))
    Retention(RetentionConfig([same])).check(clip, str(mined))
    assert re.search(r"warning: \d+ images of coco_captions/val2017 are also in .*mined", capsys.readouterr().err)


@pytest.mark.slow
def test_a_run_measures_before_after_each_epoch_and_after(sets, mined, small_clip, ray_cluster, tmp_path, capsys):
    """The first and the last figures are those of the original CLIP and of the model that the run leaves."""
    from pipeline.training.run import train

    config = train_config(
        mined,
        small_clip,
        tmp_path / "out",
        mode="full",
        full=FullConfig(epochs=2, learning_rate=1e-3, warmup_steps=2),
        validation=ValidationConfig(max_regions=20),
        workers=WorkersConfig(count=2, gpu=False),
        retention=sets,
    )
    result = train(config)
    assert [(moment["after"], moment["epoch"]) for moment in result["retention"]] == [
        ("original", 0),
        ("full", 1),
        ("full", 2),
    ]
    for clip, moment in ((small_clip, 0), (f"local-dir:{tmp_path}/out/model", -1)):
        loaded = load_clip(clip)
        for one in sets.sets:
            expected = measure(loaded, open_image_set(one), sets)
            found = result["retention"][moment]["sets"][expected.name]
            assert found["images"] == expected.images
            assert found["rejected"] == sum(expected.rejected.values())
            scores = {name: value for name, value in expected.scores.items() if value is not None}
            assert {name: found[name] for name in scores} == pytest.approx(scores)
    table = pq.read_table(tmp_path / "out" / "retention.parquet")
    assert table.schema.equals(schemas.RETENTION)
    assert set(table["set"].to_pylist()) == {"class_folders/things", "coco_captions/val2017"}
    card = (tmp_path / "out" / "model" / "README.md").read_text()
    assert "| original | 0 | `class_folders/things` | top1 " in card
    with pytest.raises(UserError, match=r"retention\.max_images: 5000 → 4"):
        train(train_config(mined, small_clip, tmp_path / "out", mode="full", retention=RetentionConfig(sets.sets, 4)))


def test_runs_of_before_carry_on(tmp_path: Path):
    """A run without sets is the same as one of a version that did not know of retention."""
    from dataclasses import asdict

    from pipeline.configuration.fingerprint import describe
    from pipeline.training.config import TrainConfig

    config = train_config("mined", "local-dir:clip", tmp_path)
    now = asdict(config)
    before = {name: value for name, value in now.items() if name != "retention"}
    fingerprints = {describe("train", TrainConfig, one, retention={})["fingerprint"] for one in (now, before)}
    assert len(fingerprints) == 1
