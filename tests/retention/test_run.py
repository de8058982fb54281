"""Jobs on whole images on real Ray: what they find, that they carry on where they stopped, and what they refuse."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import schemas
from jobs import evaluate as evaluate_job
from pipeline.clip import ClipConfig, load_clip
from pipeline.configuration import fingerprint
from pipeline.errors import UserError
from pipeline.retention.config import ImageSetConfig, ImagesJobConfig, RetentionConfig
from pipeline.retention.measuring import measure
from pipeline.retention.run import TooManyRejectedError, measure_images
from pipeline.retention.sets import open_image_set
from tests.retention.pictures import CLASSES, write_coco

pytestmark = pytest.mark.slow

PER_CHUNK = 8


def config(kind: str, root: Path, small_clip: str, output: Path, **changes: Any) -> ImagesJobConfig:
    settings = ImagesJobConfig(
        dataset=ImageSetConfig(kind, str(root)),  # type: ignore[arg-type]
        output=str(output),
        images_per_chunk=PER_CHUNK,
        clip=ClipConfig(architecture=small_clip, weights=None, batch_size=5, precision="fp32"),
        workers=1,
    )
    return replace(settings, **changes)


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("coco")
    write_coco(folder, images=20)
    return folder


def content(output: Path) -> dict[str, bytes]:
    """Everything but `config.yaml`, which says how the job ran."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in output.rglob("*")
        if path.is_file() and path.name != "config.yaml"
    }


def test_classification(class_folders, small_clip, ray_cluster, tmp_path):
    output = tmp_path / "out"
    result = measure_images(config("class_folders", class_folders, small_clip, output), "classification")
    images = open_image_set(ImageSetConfig("class_folders", str(class_folders)))
    expected = measure(load_clip(small_clip), images, RetentionConfig())
    assert result["scores"] == pytest.approx(expected.scores)
    assert (result["images"], result["rejected"], result["classes"]) == (36, {}, 6)
    rows = pq.read_table(output / "images", schema=schemas.CLASSIFIED_IMAGES).to_pylist()
    assert [row["image_id"] for row in rows] == images.image_ids
    right = dict.fromkeys(CLASSES, 0)
    for row in rows:
        right[images.classes[row["label"]]] += row["nearest"] == row["label"]
    assert sum(right.values()) / 36 == pytest.approx(result["scores"]["top1"])
    found = pq.read_table(output / "classes.parquet").to_pylist()
    assert {row["name"]: row["top1"] * row["images"] for row in found} == pytest.approx(right)
    # Interrupted and carried on by another number of workers, it is the same.
    whole = content(output)
    (output / "images" / "000001.parquet").unlink()
    (output / "result.json").unlink()
    again = config("class_folders", class_folders, small_clip, output, workers=2)
    assert measure_images(again, "classification") == result
    assert content(output) == whole
    other = replace(again, dataset=replace(again.dataset, templates="photo"))
    with pytest.raises(UserError, match=r"dataset\.templates: None → 'photo'"):
        measure_images(other, "classification")


def test_retrieval_with_images_that_are_not_there(coco, small_clip, ray_cluster, tmp_path):
    root, output = tmp_path / "coco", tmp_path / "out"
    shutil.copytree(coco, root)
    (root / "val2017" / "000000000003.jpg").unlink()
    (root / "val2017" / "000000000011.jpg").write_bytes(b"no picture")
    with pytest.raises(TooManyRejectedError, match=r"2 of 20 images .*max_reject_fraction = 0\.01: missing_file \(1\)"):
        measure_images(config("coco_captions", root, small_clip, output), "retrieval")
    assert not (output / "result.json").exists()
    result = measure_images(config("coco_captions", root, small_clip, output, max_reject_fraction=0.2), "retrieval")
    assert (result["images"], result["rejected"]) == (18, {"missing_file": 1, "not_an_image": 1})
    images = open_image_set(ImageSetConfig("coco_captions", str(root)))
    assert result["scores"] == pytest.approx(measure(load_clip(small_clip), images, RetentionConfig()).scores)
    problems = {
        row["image_id"]: row["problem"] for row in pq.read_table(output / "images").to_pylist() if row["problem"]
    }
    assert problems.keys() == {"3", "11"}
    (output / "captions" / "000002.parquet").write_bytes(b"half a table")
    (output / "result.json").unlink()
    with pytest.raises(UserError, match=r"captions/000002\.parquet is damaged or gone .* delete .*images/000002"):
        measure_images(config("coco_captions", root, small_clip, output, max_reject_fraction=0.2), "retrieval")


def test_the_command(coco, class_folders, small_clip, ray_cluster, tmp_path, capsys):
    arguments = [
        "--dataset.kind=coco_captions",
        f"--dataset.root={coco}",
        f"--output={tmp_path / 'out'}",
        f"--clip.architecture={small_clip}",
        "--clip.weights=null",
        "--limit=7",
    ]
    assert evaluate_job.main(["classification", *arguments]) == 2
    assert "is for retrieval, not for classification" in capsys.readouterr().err
    assert evaluate_job.main(["retrieval", *arguments]) == 0
    shown = capsys.readouterr().out
    assert "coco_captions/val2017: 7 images" in shown
    assert fingerprint.kind_of_directory(str(tmp_path / "out")) == "retention"
    assert json.loads((tmp_path / "out" / "result.json").read_text())["scores"]["image_recall_at_10"] is None
    assert evaluate_job.main([f"--output={tmp_path / 'out'}", "--overwrite", *evaluation(tmp_path)]) == 2
    assert "was made by python -m jobs.evaluate classification or retrieval" in capsys.readouterr().err
    assert evaluate_job.main(["retrieval", *arguments, "--clip.templates=photo"]) == 2
    assert "dataset.templates" in capsys.readouterr().err


def evaluation(folder: Path) -> list[str]:
    """A segmentation of one image."""
    from pipeline.microworld.world import write_world

    write_world(folder / "world", 1, seed=1)
    return ["--dataset.kind=micro_world", f"--dataset.root={folder / 'world'}", "--clip.weights=random"]
