"""`--overwrite` does no harm: not to a folder of the user's, of another job, to foreign files, nor behind links."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from pipeline.captions import CaptionsConfig
from pipeline.clip import ClipConfig
from pipeline.configuration.fingerprint import describe, kind_of
from pipeline.configuration.overwriting import check_nothing_there, clear
from pipeline.dataset import layout as dataset_layout
from pipeline.errors import UserError
from pipeline.evaluation import run as evaluation_run
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import DatasetConfig
from pipeline.mining.config import MineConfig
from pipeline.retention import run as retention_run
from pipeline.retention.config import ImageSetConfig, ImagesJobConfig
from pipeline.segmentation import run as segmentation_run
from pipeline.segmentation.job_config import SegmentJobConfig
from pipeline.training import run_directory as training_layout
from pipeline.training.config import ModelConfig, TrainConfig

OWN = {
    "mine": dataset_layout.OWN_FILES,
    "train": training_layout.OWN_FILES,
    "evaluate": evaluation_run._OWN_FILES,
    "segment": segmentation_run._OWN_FILES,
    "retention": retention_run.OWN_FILES,
}
CONFIGURATIONS = {
    "mine": MineConfig(captions=CaptionsConfig(format="coco", path="captions.json"), output="out", clip=ClipConfig()),
    "train": TrainConfig(dataset="mined", output="out", model=ModelConfig()),
    "evaluate": EvaluateConfig(dataset=DatasetConfig(kind="folder", root="data"), output="out"),
    "segment": SegmentJobConfig(images=["photos"], classes=["dog"], output="out"),
    "retention": ImagesJobConfig(dataset=ImageSetConfig(kind="imagenet", root="imagenet"), output="out"),
}
WRITTEN = {
    "mine": [
        "manifests/000000.parquet", "manifests/1000000.parquet", "captions/000000.parquet", "shards/000000.tar",
        "candidates/000000.parquet", "rejects/000000.parquet", "listing/000000.parquet", "statistics/000000.json",
        "attempts/000000.images.json", "attempts/seconds_per_image.json", "errors/000000.json", "vocabulary.parquet",
        "hashes/000000.parquet", "leakage/val2017.parquet", "leakage/val2017.html",
        "README.md", "dataset.json", "report/index.html", "shards/.000000.tar.0123456789abcdef.tmp",
    ],
    "train": [
        "model/README.md", "model/open_clip_config.json", "model/open_clip_model.safetensors", "model/vocab.txt",
        "model/tokenizer_config.json", "metrics.parquet", "samples.parquet", "result.json",
        "nearest/full-0000000.parquet", "leakage/val2017.parquet",
        "tensorboard/events.out.tfevents.17.host", "checkpoints/checkpoint_manager_snapshot.json",
        "checkpoints/checkpoint_2026-01-01_00-00-00.000001/state.json", "report/index.html",
    ],
    "evaluate": [
        "confusion/000000.parquet", "class_pixels/000000.parquet", "statistics/000000.json", "images/000003.parquet",
        "classes.parquet", "result.json",
    ],
    "segment": ["labels/a/b.png", "overlays/a/b.jpg", "panoptic/a/b.png", "segments/a/b.json", "classes.json"],
    "retention": ["images/000000.parquet", "captions/000012.parquet", "classes.parquet", "result.json"],
}  # fmt: skip
FOREIGN = [
    "notes.txt", "manifests/notes.txt", "manifests/000000 (1).parquet", "manifests/._000000.parquet",
    "report/mine.html", "labels/notes.txt", "model/my_model.pt", "checkpoints/notes", "images/photo.jpg",
    "shards/old/000000.tar", "leakage/val 2017.parquet",
]  # fmt: skip


def fill(folder: Path, files: list[str]) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)


def made_by(folder: Path, kind: str) -> None:
    fill(folder, WRITTEN[kind])
    (folder / "config.yaml").write_text(
        yaml.safe_dump(describe(kind, type(CONFIGURATIONS[kind]), asdict(CONFIGURATIONS[kind])))
    )


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("kind", OWN)
def test_what_a_job_wrote_is_deleted_and_nothing_else(kind, tmp_path):
    made_by(tmp_path, kind)
    fill(tmp_path, FOREIGN)
    clear(str(tmp_path), kind, OWN[kind])
    assert files(tmp_path) == set(FOREIGN)


@pytest.mark.parametrize("kind", OWN)
def test_a_folder_that_is_empty_or_absent_is_fine_and_folders_left_empty_are_gone(kind, tmp_path):
    clear(str(tmp_path / "absent"), kind, OWN[kind])
    clear(str(tmp_path), kind, OWN[kind])
    made_by(tmp_path, kind)
    clear(str(tmp_path), kind, OWN[kind])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", OWN)
def test_folders_that_no_job_or_another_one_has_made_keep_everything(kind, tmp_path):
    everything = [*FOREIGN, *(file for written in WRITTEN.values() for file in written)]
    for other in [None, *OWN]:
        folder = tmp_path / str(other)
        fill(folder, everything)
        if other == kind:
            continue
        if other:
            made_by(folder, other)
        before = files(folder)
        job = "evaluate classification" if other == "retention" else other
        with pytest.raises(UserError, match=rf"output: .*(no config\.yaml|jobs\.{job}).*deletes nothing"):
            clear(str(folder), kind, OWN[kind])
        assert files(folder) == before


@pytest.mark.parametrize(
    "content", ["", "- a list", "fingerprint: x", "a: [", "\x00", "kind: mine", "x: " + "9" * 5000]
)
def test_a_configuration_that_is_none_deletes_nothing(content, tmp_path):
    fill(tmp_path, WRITTEN["mine"])
    (tmp_path / "config.yaml").write_text(content)
    before = files(tmp_path)
    with pytest.raises(UserError, match=r"no job of this program.*deletes nothing"):
        clear(str(tmp_path), "mine", OWN["mine"])
    assert files(tmp_path) == before


@pytest.mark.parametrize("kind", [kind for kind in OWN if kind != "retention"])
def test_directories_of_earlier_versions_are_known_by_their_keys(kind):
    description = describe(kind, type(CONFIGURATIONS[kind]), asdict(CONFIGURATIONS[kind]))
    assert kind_of(description) == kind
    del description["kind"]
    assert kind_of(description) == kind


def test_nothing_is_deleted_behind_a_link(tmp_path):
    elsewhere, output = tmp_path / "elsewhere", tmp_path / "out"
    fill(elsewhere, ["000000.parquet", "000000.tar"])
    output.mkdir()
    made_by(output, "mine")
    (output / "shards" / "000000.tar").unlink()
    (output / "shards" / "000000.tar").symlink_to(elsewhere / "000000.tar")
    (output / "shards" / "old").symlink_to(elsewhere)
    clear(str(output), "mine", OWN["mine"])
    assert files(elsewhere) == {"000000.parquet", "000000.tar"}
    made_by(output, "mine")
    (output / "candidates" / "000000.parquet").unlink()
    (output / "candidates").rmdir()
    (output / "candidates").symlink_to(elsewhere)
    before = files(output)
    with pytest.raises(UserError, match="candidates is a symbolic link"):
        clear(str(output), "mine", OWN["mine"])
    assert files(output) == before
    assert files(elsewhere) == {"000000.parquet", "000000.tar"}


@pytest.mark.parametrize("kind", OWN)
def test_a_job_does_not_begin_where_it_would_replace_files(kind, tmp_path):
    check_nothing_there(str(tmp_path / "absent"), OWN[kind])
    fill(tmp_path, ["notes.txt", "photos/a.jpg"])
    check_nothing_there(str(tmp_path), OWN[kind])
    for number, file in enumerate(WRITTEN[kind]):
        fill(tmp_path / str(number), [file])
        with pytest.raises(UserError, match=r"holds .* but no config\.yaml"):
            check_nothing_there(str(tmp_path / str(number)), OWN[kind])
