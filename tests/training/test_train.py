"""Training runs on real Ray: what changes, what does not, and that others can load it."""

import hashlib
import json
import math
import shutil
from pathlib import Path

import open_clip
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file

import schemas
from pipeline.clip import load_clip
from pipeline.errors import UserError
from pipeline.training.config import FullConfig, LossConfig, MaskPromptConfig, WorkersConfig
from pipeline.training.run import train
from pipeline.training.samples import DataConfig, Samples
from tests.training.configs import train_config
from tests.training.datasets import judge

pytestmark = pytest.mark.slow


def weights(folder: Path | str) -> dict[str, torch.Tensor]:
    folder = Path(str(folder).removeprefix("local-dir:"))
    found = load_file(folder / "open_clip_model.safetensors")
    prompts = folder / "mask_prompts.safetensors"
    return found | (load_file(prompts) if prompts.exists() else {})


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before | after if name not in before or not torch.equal(before[name], after[name])}


def test_full_changes_the_image_tower_and_no_text(adapted, small_clip):
    original = weights(small_clip)
    moved = changed(original, weights(adapted / "model"))
    assert moved == {name for name in original if name.startswith("visual.")} | {"logit_scale", "prompts"}


def test_open_clip_loads_it_and_sees_what_we_see(adapted):
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{adapted / 'model'}")
    clip = load_clip(f"local-dir:{adapted / 'model'}")
    pixels = torch.randn(2, 3, clip.input.size, clip.input.size)
    with torch.inference_mode():
        expected = model.eval().encode_image(pixels)
        torch.testing.assert_close(clip.vision(pixels), expected)
        masks = torch.zeros(2, 1, clip.input.size, clip.input.size, dtype=torch.bool)
        assert not torch.allclose(clip.vision(pixels, masks), expected)
    assert clip.vision.depth == 3


def test_metrics_and_result_say_what_happened(adapted, mined):
    samples = Samples.read(str(adapted / "samples.parquet"))
    steps = len(samples.train) // 16
    table = pq.read_table(adapted / "metrics.parquet")
    assert table.schema.equals(schemas.METRICS)
    rows = table.to_pylist()
    measured = [(row["stage"], row["epoch"]) for row in rows if row["accuracy_top1"] is not None]
    assert measured == [("full", 0.0), ("full", 1.0), ("full", 2.0), ("mask_prompt", 1.0)]
    logged = [(row["stage"], row["step"]) for row in rows if row["loss"] is not None]
    due = [("full", step) for step in range(1, 2 * steps + 1)] + [("mask_prompt", step) for step in range(1, steps + 1)]
    assert logged == [(stage, step) for stage, step in due if step % 2 == 0 or step % steps == 0]
    last = rows[-2]
    assert last["learning_rate"] == pytest.approx(
        2e-2 * (1 + math.cos(math.pi * (steps - 2) / (steps - 1))) / 2, abs=1e-9
    )
    assert all(0 <= row["waiting_share"] <= 1 and row["regions_per_second"] > 0 for row in rows if row["loss"])

    result = json.loads((adapted / "result.json").read_text())
    assert result["steps"] == {"full": 2 * steps, "mask_prompt": steps}
    assert result["accuracy"][-1]["accuracy_top1"] == rows[-1]["accuracy_top1"]
    digests = [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((mined / "manifests").glob("*.parquet"))
    ]
    assert result["manifest_sha256"] == hashlib.sha256("".join(digests).encode()).hexdigest()
    for name, digest in result["files"].items():
        assert hashlib.sha256((adapted / name).read_bytes()).hexdigest() == digest
    card = (adapted / "model" / "README.md").read_text()
    assert result["manifest_sha256"] in card
    assert f"| mask_prompt | 1 | {steps} | 0.02 | 0 |" in card


def test_what_each_held_out_region_is_nearest_to(adapted):
    """Before training and after every epoch; they give the accuracies again."""
    samples = Samples.read(str(adapted / "samples.parquet"))
    table = samples.table.take(samples.held_out)
    rows = [row for row in pq.read_table(adapted / "metrics.parquet").to_pylist() if row["accuracy_top1"] is not None]
    assert sorted(path.stem for path in (adapted / "nearest").iterdir()) == sorted(
        f"{row['stage']}-{row['step']:07d}" for row in rows
    )
    for row in rows:
        found = pq.read_table(adapted / "nearest" / f"{row['stage']}-{row['step']:07d}.parquet")
        assert found.schema.equals(schemas.NEAREST)
        assert found["key"].to_pylist() == table["key"].to_pylist()
        assert found["noun"].to_pylist() == table["noun"].to_pylist()
        regions = found.to_pylist()
        right = [region["nearest"] == region["noun"] for region in regions]
        assert right == [region["rank"] == 0 for region in regions]
        assert right == [region["similarity"] == region["nearest_similarity"] for region in regions]
        assert sum(right) / len(right) == row["accuracy_top1"]
        assert sum(region["rank"] < 5 for region in regions) / len(right) == row["accuracy_top5"]


def test_the_best_checkpoints_and_the_last_are_kept(adapted):
    kept = sorted(path.name for path in (adapted / "checkpoints").iterdir() if path.is_dir())
    steps = json.loads((adapted / "result.json").read_text())["steps"]
    assert f"mask_prompt-{steps['mask_prompt']:07d}" in kept
    assert len(kept) <= 3
    accuracy = {
        f"{row['stage']}-{row['step']:07d}": row["accuracy_top1"]
        for row in pq.read_table(adapted / "metrics.parquet").to_pylist()
        if row["accuracy_top1"] is not None and row["step"]
    }
    assert sorted(accuracy.values())[-2:] == sorted(accuracy[name] for name in kept)[-2:]


def test_a_finished_run_is_left_as_it_is_and_another_recipe_refused(adapted, mined, small_clip):
    before = {path: path.stat().st_mtime_ns for path in adapted.rglob("*")}
    result = train(train_config(mined, small_clip, adapted, log_every=5))
    assert result == json.loads((adapted / "result.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in adapted.rglob("*")} == before
    with pytest.raises(UserError, match=r"full\.learning_rate: 0\.001 → 0\.002"):
        train(train_config(mined, small_clip, adapted, full=FullConfig(epochs=2, learning_rate=2e-3, warmup_steps=2)))


def test_two_workers_learn_what_one_learns(adapted, mined, small_clip, ray_cluster, tmp_path):
    train(train_config(mined, small_clip, tmp_path, workers=WorkersConfig(count=2, gpu=False)))
    one, two = weights(adapted / "model"), weights(tmp_path / "model")
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-4, msg=lambda m, name=name: f"{name}: {m}")
    found, expected = (json.loads((run / "result.json").read_text())["accuracy"] for run in (tmp_path, adapted))
    assert found == expected


def test_mask_prompt_changes_the_prompts_and_nothing_else(mined, small_clip, ray_cluster, tmp_path):
    config = train_config(
        mined,
        small_clip,
        tmp_path,
        mode="mask_prompt",
        mask_prompt=MaskPromptConfig(epochs=1, depth=2, warmup_steps=1),
        micro_batch_size=5,
        gradient_checkpointing=True,
    )
    train(config)
    original, tuned = weights(small_clip), weights(tmp_path / "model")
    assert changed(original, tuned) == {"prompts"}
    assert tuned["prompts"].shape == (2, 16, 96)
    assert original.keys() | {"prompts"} == tuned.keys()
    with pytest.raises(UserError, match="depth"):
        train(train_config(mined, f"local-dir:{tmp_path / 'model'}", tmp_path / "again", mode="mask_prompt"))


def test_weighted_pairs_of_a_fold(mined, small_clip, ray_cluster, tmp_path, capsys):
    """The best of each noun by what was learnt; what it was learnt from is part of the run."""
    dataset, output = tmp_path / "mined", tmp_path / "out"
    shutil.copytree(mined, dataset)
    judge(dataset)
    config = train_config(
        dataset,
        small_clip,
        output,
        mode="full",
        batch_size=8,
        micro_batch_size=4,
        data=DataConfig(
            held_out_share=0.2,
            loaders=1,
            where="percent_rank() over (partition by noun order by p_right desc) < 0.8",
            weight="p_right / sqrt(count(*) over (partition by noun))",
            fold=1,
        ),
        full=FullConfig(epochs=1, learning_rate=1e-3, warmup_steps=2),
    )
    result = train(config)
    samples, selection = Samples.read(str(output / "samples.parquet")), result["selection"]
    assert selection["pairs"] == pq.read_table(mined / "manifests").num_rows > selection["fulfilling"]
    assert selection["training_pairs"] == result["training_samples"] == len(samples.train)
    assert selection["effective_pairs"] < selection["training_pairs"] < selection["fulfilling"]
    assert f"training on {len(samples.train)} of {selection['pairs']} pairs" in capsys.readouterr().err
    described = yaml.safe_load((output / "config.yaml").read_text())["dataset"]
    assert described["quality_sha256"] == samples.quality_sha256
    card = (output / "model" / "README.md").read_text()
    assert "Weight: `p_right / sqrt(count(*) over (partition by noun))`. Fold 1 of 2." in card

    (dataset / "quality" / "000000.parquet").unlink()
    with pytest.raises(UserError, match=r"quality/000000\.parquet"):
        train(config)
    judge(dataset, seed=1)
    with pytest.raises(UserError, match=r"dataset\.quality_sha256: .* → "):
        train(config)


def test_full_with_every_option(mined, small_clip, ray_cluster, tmp_path):
    """Un-masked regions, distillation, layer decay, weight averaging, another loss, a condition, a loader process."""
    config = train_config(
        mined,
        small_clip,
        tmp_path,
        mode="full",
        data=DataConfig(held_out_share=0.2, loaders=1, unmasked_share=0.3, where="mask_area > 30"),
        loss=LossConfig(kind="multi_positive", distillation=0.5),
        full=FullConfig(epochs=1, learning_rate=1e-3, warmup_steps=2, layer_decay=0.7, wise_ft=0.5),
        loggers=["tensorboard"],
    )
    train(config)
    original, tuned = weights(small_clip), weights(tmp_path / "model")
    moved = {name for name in original if name.startswith("visual.")} | {"logit_scale"}
    assert changed(original, tuned) == moved
    areas = pq.read_table(mined / "manifests", columns=["key", "mask_area"]).to_pylist()
    used = pq.read_table(tmp_path / "samples.parquet")["key"].to_pylist()
    assert sorted(used) == sorted(row["key"] for row in areas if row["mask_area"] > 30)
    assert list((tmp_path / "tensorboard").glob("events.*"))
