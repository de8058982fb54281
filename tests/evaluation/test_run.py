"""Evaluation jobs on real Ray: what they find, that they carry on where they stopped, and what they refuse."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import schemas
from jobs import evaluate as evaluate_job
from pipeline.clip import ClipConfig
from pipeline.errors import UserError
from pipeline.evaluation import ConfusionMatrix
from pipeline.evaluation.chunk import TABLES
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import IGNORE, DatasetConfig, open_dataset
from pipeline.evaluation.object_tables import OBJECT_TABLES
from pipeline.evaluation.run import evaluate
from pipeline.microworld.categories import NAMES
from pipeline.microworld.world import write_world
from pipeline.proposals import ProposalsConfig
from pipeline.segmentation import UNLABELLED, SegmentationConfig
from tests.evaluation.stripes import SPOILED

pytestmark = pytest.mark.slow

IMAGES, PER_CHUNK = 6, 2


@pytest.fixture(scope="module")
def micro(tmp_path_factory) -> Path:
    """Six scenes, in each of which every region has a class of its own."""
    folder = tmp_path_factory.mktemp("micro")
    write_world(folder, IMAGES, seed=5)
    for annotation in json.loads((folder / "panoptic.json").read_text())["annotations"]:
        classes = [segment["category_id"] for segment in annotation["segments_info"]]
        assert len(set(classes)) == len(classes)
    return folder


def config(micro: Path, small_clip: str, output: Path, **changes: Any) -> EvaluateConfig:
    """Chunks of two images; the true regions as proposals."""
    truth = {"annotations": str(micro / "panoptic.json")}
    settings = EvaluateConfig(
        dataset=DatasetConfig(kind="micro_world", root=str(micro)),
        output=str(output),
        images_per_chunk=PER_CHUNK,
        clip=ClipConfig(architecture=small_clip, weights=None, batch_size=16),
        proposals=ProposalsConfig(backend="ground_truth", max_area=1.0, options=truth),
        workers=1,
    )
    return replace(settings, **changes)


@pytest.fixture(scope="module")
def evaluated(micro, small_clip, ray_cluster, tmp_path_factory) -> Path:
    """The output of an undisturbed evaluation. Tests only read it."""
    output = tmp_path_factory.mktemp("evaluated")
    evaluate(config(micro, small_clip, output))
    return output


def content(output: Path) -> dict[str, bytes]:
    """Everything but `config.yaml` and `statistics/`, which say how the job ran."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in output.rglob("*")
        if path.is_file() and path.name != "config.yaml" and path.parent.name != "statistics"
    }


def counts(output: Path) -> dict[str, dict[tuple[int, int | None], int]]:
    """Pixels by branch, true class and predicted class."""
    found: dict[str, dict] = {}
    for row in pq.read_table(output / "confusion").to_pylist():
        cells = found.setdefault(row["branch"], {})
        cell = row["label"], row["predicted"]
        cells[cell] = cells.get(cell, 0) + row["pixels"]
    return found


def labelled_pixels(micro: Path, images: set[str]) -> int:
    return sum(
        int((np.asarray(Image.open(micro / "panoptic" / f"{int(image):012d}.png")) != 0).any(axis=2).sum())
        for image in images
    )


def test_true_proposals_leave_only_clip_to_err(evaluated, micro):
    result = json.loads((evaluated / "result.json").read_text())
    assert result["scores"].keys() == {"clip", "oracle", "true_masks"}
    assert result["scores"]["oracle"] == dict.fromkeys(result["scores"]["oracle"], 1.0)
    assert result["scores"]["clip"] == result["scores"]["true_masks"]
    assert 0 <= result["scores"]["clip"]["miou"] < 0.9
    assert (result["images"], result["images_without_proposals"], result["problems"]) == (IMAGES, 0, {})
    found = counts(evaluated)
    assert found["clip"] == found["true_masks"]
    assert all(label == predicted for label, predicted in found["oracle"])
    pixels = labelled_pixels(micro, {str(image) for image in range(1, IMAGES + 1)})
    assert {sum(cells.values()) for cells in found.values()} == {pixels}


def test_a_row_for_each_image_region_and_class(evaluated, micro):
    annotations = json.loads((micro / "panoptic.json").read_text())["annotations"]
    tables = {name: pq.read_table(evaluated / name) for name in TABLES}
    written = (
        schemas.CONFUSION,
        schemas.CLASS_PIXELS,
        schemas.TRUE_REGIONS,
        schemas.LABEL_MAPS,
        schemas.EVALUATED_IMAGES,
    )
    assert all(tables[name].schema.equals(schema) for name, schema in zip(TABLES, written, strict=True))
    assert [(row["image_id"], row["proposals"]) for row in tables["images"].to_pylist()] == [
        (str(annotation["image_id"]), len(annotation["segments_info"])) for annotation in annotations
    ]
    regions = {(row["image_id"], row["label"]): row["area"] for row in tables["regions"].to_pylist()}
    assert regions == {
        (str(annotation["image_id"]), segment["category_id"] - 1): segment["area"]
        for annotation in annotations
        for segment in annotation["segments_info"]
    }
    result = json.loads((evaluated / "result.json").read_text())
    ranks = tables["regions"]["rank"].to_numpy()
    assert result["region_accuracy"]["regions"] == len(ranks)
    assert result["region_accuracy"]["top1"] == pytest.approx(np.mean(ranks == 0))
    assert result["classes_present"] == len({label for _, label in regions})
    # With exact masks, CLIP's first rank is the class that the pixels get.
    right = sum(pixels for (label, predicted), pixels in counts(evaluated)["clip"].items() if label == predicted)
    assert right == sum(row["area"] for row in tables["regions"].to_pylist() if row["rank"] == 0)
    classes = pq.read_table(evaluated / "classes.parquet").to_pylist()
    assert [row["name"] for row in classes] == 3 * list(NAMES)


def test_the_label_map_of_each_image_is_what_was_counted(evaluated, micro):
    """The images are smaller than what is kept, so the maps are whole: together they give the counts again."""
    dataset = open_dataset(DatasetConfig(kind="micro_world", root=str(micro)))
    everything = ConfusionMatrix(len(NAMES), IGNORE)
    rows = pq.read_table(evaluated / "label_maps").to_pylist()
    assert [(row["image_id"], row["branch"]) for row in rows] == [(image, "clip") for image in dataset.image_ids]
    for row in rows:
        kept = np.asarray(Image.open(io.BytesIO(row["labels"]))).astype(np.uint16)
        kept[kept == 255] = UNLABELLED
        labels = dataset.read(row["image_id"]).labels
        matrix = ConfusionMatrix(len(NAMES), IGNORE)
        matrix.update(kept, labels)
        assert row["miou"] == pytest.approx(matrix.result().miou)
        everything.merge(matrix)
    result = json.loads((evaluated / "result.json").read_text())
    assert result["scores"]["clip"]["miou"] == pytest.approx(everything.result().miou)


def test_what_was_interrupted_goes_on_with_any_number_of_workers(evaluated, micro, small_clip, ray_cluster, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(evaluated, output)
    done = {path: path.stat().st_mtime_ns for path in output.rglob("000000.parquet")}
    assert len(done) == len(TABLES) + len(OBJECT_TABLES)
    for chunk in (1, 2):
        (output / "images" / f"00000{chunk}.parquet").unlink()  # written last: it alone says that the chunk is done
    (output / "confusion" / "000001.parquet").write_bytes(b"half a table")
    (output / "regions" / "000002.parquet").unlink()
    (output / "detections" / "000002.parquet").unlink()
    (output / "panoptic" / "000001.parquet").write_bytes(b"half a table")
    (output / "result.json").unlink()
    result = evaluate(config(micro, small_clip, output, workers=2))
    assert result == json.loads((evaluated / "result.json").read_text())
    assert content(output) == content(evaluated)
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_a_backend_that_classifies(micro, small_clip, ray_cluster, tmp_path):
    proposals = ProposalsConfig(backend="tests.evaluation.stripes:Stripes")
    changes = {"proposals": proposals, "segmentation": SegmentationConfig(weight=1.0)}
    result = evaluate(config(micro, small_clip, tmp_path, **changes))
    assert list(result["scores"]) == ["proposals", "clip", "fused", "oracle", "true_masks"]
    assert result["scores"]["fused"] == result["scores"]["clip"] != result["scores"]["proposals"]
    found = counts(tmp_path)
    assert found["fused"] == found["clip"]
    # The image that the backend failed on counts in every way, as one of which nothing is known.
    assert result["images_without_proposals"] == 1
    [problem] = result["problems"]
    assert problem.startswith("not_a_number")
    everywhere = labelled_pixels(micro, {str(image) for image in range(1, IMAGES + 1)})
    assert {branch: sum(cells.values()) for branch, cells in found.items()} == dict.fromkeys(found, everywhere)
    for branch in ("proposals", "clip", "fused", "oracle"):
        unknown = sum(pixels for (_, predicted), pixels in found[branch].items() if predicted is None)
        assert unknown == labelled_pixels(micro, {SPOILED}), branch


def test_the_command_shows_a_finished_evaluation_and_refuses_another(
    evaluated, micro, small_clip, ray_cluster, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "160")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in evaluated.rglob("*") if path.is_file()}
    arguments = [
        "--dataset.kind=micro_world",
        f"--dataset.root={micro}",
        f"--output={evaluated}",
        f"--images_per_chunk={PER_CHUNK}",
        f"--clip.architecture={small_clip}",
        "--clip.weights=null",
        "--proposals.backend=ground_truth",
        "--proposals.max_area=1.0",
        f"--proposals.options.annotations={micro / 'panoptic.json'}",
    ]
    assert evaluate_job.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "micro_world: 6 images" in shown
    assert "true classes on the proposals" in shown
    assert evaluate_job.main([*arguments, "--segmentation.weight=0.5"]) == 2
    assert "segmentation.weight: 0.7 → 0.5" in capsys.readouterr().err
    assert evaluate_job.main(["compare", f"mine={evaluated}"]) == 2
    assert "evaluates micro_world; published figures are there for" in capsys.readouterr().err
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before


def test_corrected_labels_and_images_are_refused_by_name(evaluated, micro, small_clip, ray_cluster, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(evaluated, output)
    shutil.copytree(micro, tmp_path / "micro")
    again = replace(config(micro, small_clip, output), dataset=DatasetConfig("micro_world", str(tmp_path / "micro")))
    assert evaluate(again) == json.loads((evaluated / "result.json").read_text())  # copied, with other times
    path = tmp_path / "micro/panoptic/000000000003.png"
    ids = np.array(Image.open(path))
    ids[:5, :5] = 0
    Image.fromarray(ids).save(path)
    for damage in (lambda: None, lambda: (output / "files.json").unlink()):
        damage()
        with pytest.raises(UserError, match=r"the label files of 3 have changed|dataset\.label_files_sha256: '"):
            evaluate(again)
    evaluate(again, overwrite=True)
    assert labelled_pixels(tmp_path / "micro", {"3"}) < labelled_pixels(micro, {"3"})
    everywhere = labelled_pixels(tmp_path / "micro", {str(image) for image in range(1, IMAGES + 1)})
    assert sum(counts(output)["clip"].values()) == everywhere
    shutil.copy(tmp_path / "micro/images/000000000001.jpg", tmp_path / "micro/images/000000000002.jpg")
    with pytest.raises(UserError, match="the image files of 2 have changed"):
        evaluate(again)


def missing_segments(folder: Path) -> None:
    (folder / "panoptic" / "000000000003.png").unlink()


def another_size(folder: Path) -> None:
    Image.new("RGB", (60, 50)).save(folder / "images" / "000000000003.jpg")


def a_segment_without_class(folder: Path) -> None:
    path = folder / "panoptic" / "000000000003.png"
    ids = np.array(Image.open(path))
    ids[:5, :5] = 200, 0, 0
    Image.fromarray(ids).save(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (missing_segments, r"dataset\.root: .*panoptic/000000000003\.png is missing"),
        (another_size, r"panoptic/000000000003\.png is 96×96, its image .*images/000000000003\.jpg is 60×50"),
        (a_segment_without_class, r"panoptic/000000000003\.png holds segment 200, which the JSON does not list"),
    ],
)
def test_a_data_set_that_is_damaged(micro, small_clip, ray_cluster, tmp_path, damage, message):
    shutil.copytree(micro, tmp_path / "micro")
    damage(tmp_path / "micro")
    with pytest.raises(UserError, match=message):
        evaluate(config(tmp_path / "micro", small_clip, tmp_path / "out", images_per_chunk=IMAGES))
    assert not (tmp_path / "out" / "result.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": 0}, "limit is 0"),
        ({"images_per_chunk": 0}, "images_per_chunk is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"gpus": 999.0}, r"gpus is 999"),
        ({"output": "s3://key:secret@bucket/run"}, "output contains a secret"),
        ({"segmentation": SegmentationConfig(weight=0)}, r"segmentation\.weight: 0 takes"),
        ({"segmentation": SegmentationConfig(background=["sky"])}, r"segmentation\.background: 'sky' is also a class"),
        ({"clip": ClipConfig(architecture="local-dir:/nowhere", weights=None)}, "nowhere"),
    ],
)
def test_what_cannot_work_is_said_before_a_worker_starts(micro, small_clip, ray_cluster, tmp_path, changes, message):
    settings = replace(config(micro, small_clip, tmp_path / "out"), **changes)
    with pytest.raises(UserError, match=message):
        evaluate(settings)
    assert not list(tmp_path.glob("out/*"))
