"""What a training run refuses, before or while it trains, and what it says."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs import train as train_job
from pipeline.errors import UserError
from pipeline.training.config import FullConfig, LossConfig, MaskPromptConfig, ValidationConfig, WorkersConfig
from pipeline.training.run import train
from pipeline.training.samples import DataConfig
from tests.training.configs import command_line, train_config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 5000}, r"batch_size is 5000, but there are \d+ training samples"),
        ({"batch_size": 0}, r"batch_size is 0; it must be at least 1"),
        ({"batch_size": 15, "workers": WorkersConfig(count=2)}, r"batch_size 15 cannot be shared equally by .* 2"),
        ({"workers": WorkersConfig(count=8)}, r"workers\.count is 8, but the Ray cluster has 2 CPUs"),
        ({"workers": WorkersConfig(gpu=True)}, r"workers\.count is 1, but the Ray cluster has 0 GPUs"),
        ({"data": DataConfig(where="clip_score > 2")}, r"data\.where: none of the \d+ pairs fulfils 'clip_score > 2'"),
        ({"data": DataConfig(where="no_such_column > 2")}, r"data\.where: .*no_such_column"),
        ({"data": DataConfig(where="p_right > 0.7")}, r"quality/000000\.parquet.* python -m jobs\.inspect quality"),
        ({"data": DataConfig(weight="-mask_area")}, r"data\.weight: .* gives \d+ of the \d+ training pairs no weight"),
        ({"data": DataConfig(weight="1) from pairs where (true")}, r"data\.weight: .*Parser Error"),
        ({"data": DataConfig(fold=3, folds=3)}, r"data\.fold is 3, but there are data\.folds = 3"),
        ({"mode": "pretrain", "data": DataConfig(weight="p_right")}, r"data\.weight does not apply to mode pretrain"),
        ({"loss": LossConfig(distillation=1.0)}, r"loss\.distillation .* data\.unmasked_share is 0"),
        ({"full": FullConfig(layer_decay=0.0)}, r"full\.layer_decay is 0\.0"),
        ({"full": FullConfig(wise_ft=1.5)}, r"full\.wise_ft is 1\.5"),
        ({"mask_prompt": MaskPromptConfig(depth=4)}, r"depth .* 4, but the vision tower has 3 blocks"),
        ({"validation": ValidationConfig(dataset="/nowhere/at/all")}, r"/nowhere/at/all"),
        ({"dataset": "/nowhere/at/all"}, r"dataset.*/nowhere/at/all"),
        ({"output": "s3://key:secret@bucket/run"}, r"output contains a secret"),
        ({"loggers": ["mlflow"]}, r"loggers: mlflow is not installed; pip install mlflow"),
    ],
)
def test_refused_before_a_worker_starts(mined, small_clip, ray_cluster, tmp_path, changes, message):
    output = tmp_path / "out"
    with pytest.raises(UserError, match=message):
        train(replace(train_config(mined, small_clip, output), **changes))
    assert not output.exists()


def test_a_dataset_without_pairs(mined, small_clip, ray_cluster, tmp_path):
    dataset = tmp_path / "empty"
    (dataset / "manifests").mkdir(parents=True)
    manifest = pq.read_table(mined / "manifests" / "000000.parquet")
    pq.write_table(manifest.slice(0, 0), dataset / "manifests" / "000000.parquet")
    shutil.copy(mined / "config.yaml", dataset)
    with pytest.raises(UserError, match="no pair"):
        train(train_config(dataset, small_clip, tmp_path / "out"))


def test_overwrite_spares_a_run_whose_new_configuration_is_wrong_and_a_mined_dataset(
    mined, small_clip, ray_cluster, tmp_path
):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "open_clip_model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.yaml").write_text("fingerprint: of another run")
    with pytest.raises(UserError, match="batch_size is 5000"):
        train(train_config(mined, small_clip, tmp_path, batch_size=5000), overwrite=True)
    assert (tmp_path / "model" / "open_clip_model.safetensors").read_bytes() == b"weights"

    before = sorted(path for path in mined.rglob("*"))
    with pytest.raises(UserError, match=r"output: .* holds a mined dataset"):
        train(train_config(mined, small_clip, mined), overwrite=True)
    assert sorted(path for path in mined.rglob("*")) == before


def cut_in_half(tar: Path) -> None:
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])


def spoil(tar: Path) -> None:
    """Other bytes in the middle, the same size."""
    content = bytearray(tar.read_bytes())
    content[len(content) // 4 : len(content) // 4 * 3] = bytes(len(content) // 4 * 3 - len(content) // 4)
    tar.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_in_half, Path.unlink])
def test_a_damaged_shard_is_named_before_a_worker_starts(mined, small_clip, ray_cluster, tmp_path, capsys, damage):
    shutil.copytree(mined, tmp_path / "mined")
    damage(tmp_path / "mined" / "shards" / "000002.tar")
    assert train_job.main(command_line(tmp_path / "mined", small_clip, tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert "000002.tar" in error
    assert "skip_damaged" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_damage_found_while_training_is_named_and_can_be_left_out(mined, small_clip, ray_cluster, tmp_path, capsys):
    dataset, output = tmp_path / "mined", tmp_path / "out"
    shutil.copytree(mined, dataset)
    spoil(dataset / "shards" / "000002.tar")
    arguments = [*command_line(dataset, small_clip, output), "--mode=mask_prompt"]
    assert train_job.main(arguments) == 2
    error = capsys.readouterr().err
    assert "000002.tar is damaged: the sample at byte " in error
    assert "skip_damaged" in error

    elsewhere = f"--validation.dataset={mined}"
    assert train_job.main([*arguments, "--skip-damaged", "--overwrite", elsewhere]) == 0
    validated = pq.read_table(output / "validation.parquet")
    assert validated["held_out"].to_pylist() == [True] * pq.read_table(mined / "manifests").num_rows
    assert len(json.loads((output / "result.json").read_text())["accuracy"]) == 2
    keys = pq.read_table(output / "samples.parquet")["key"].to_pylist()
    expected = [key for key in pq.read_table(mined / "manifests")["key"].to_pylist() if not key.startswith("000002-")]
    assert sorted(keys) == sorted(expected)
    assert '"skipped_shards": [\n  2\n ]' in (output / "result.json").read_text()


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint(
    mined, small_clip, ray_cluster, tmp_path, capsys
):
    arguments = [*command_line(mined, small_clip, tmp_path), "--mode=full", "--full.warmup_steps=4"]
    assert train_job.main([*arguments, "--full.learning_rate=1e30", "--checkpoints.every_steps=1"]) == 2
    error = capsys.readouterr().err
    assert "is not a finite number" in error
    named = error.partition("finite: ")[2].partition(" ")[0].rstrip(",.")
    assert named in pq.read_table(mined / "manifests")["key"].to_pylist()
    assert "The last checkpoint is kept" in error
