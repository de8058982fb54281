"""Training speed against stock open_clip_train on the same shards, model, batch and threads.

python -m tests.benchmarks.train [--architecture ViT-B-32] [--batch-size 16] [--steps 8] [--rounds 1] [--mode full]
python -m tests.benchmarks.train --replay 0.25        # whole images of 480×960 are so much of each of our batches

Both train the image tower with random weights and the text tower locked, with one loader process, in turn, in processes
of their own. The first steps, in which loaders start, are left out of both. Targets: a ratio of at least 1.0, and less
than 2 % of the time spent waiting for data with ViT-B-32 on a CPU.

On a GPU, samples/s and the share of its bf16 peak:

python -m tests.benchmarks.train --architecture ViT-L-14 --batch-size 256 --steps 40 --loaders 12 --peak-tflops 989
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch.utils.flop_counter import FlopCounterMode

import schemas
from pipeline import storage
from pipeline.clip import load_clip
from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import ShardsConfig, commit_shard, image_key
from pipeline.microworld.pair_shards import describe_pairs
from pipeline.training.config import FullConfig, TrainConfig
from pipeline.training.phases import Phase, prepare, with_prompts
from tests.shard_samples import make_sample
from tests.training.datasets import list_images

SHARDS, HEIGHT, WIDTH = 4, 240, 320
DEPTH = 3
LOG_EVERY = 2
_SKIPPED = 2  # log lines while loaders fill up


def write_shards(folder: Path, samples: int) -> None:
    """Shards of crops as large as COCO's usual objects; the masks are ellipses."""
    rng = np.random.default_rng(0)
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    mask = ((ys / HEIGHT - 0.5) ** 2 + (xs / WIDTH - 0.5) ** 2) < 0.25
    nouns = [f"noun{number}" for number in range(50)]
    describe_pairs(folder, SHARDS, samples)
    for shard in range(SHARDS):
        pairs = []
        for image in range(samples // SHARDS):
            sample = make_sample(mask, f"{image_key(shard, image)}-000", nouns[rng.integers(50)], f"{shard}-{image}")
            sample.row["shard"] = shard
            sample.image[...] = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3)).repeat(8, 0).repeat(8, 1)
            pairs.append(sample)
        layout = Layout(str(folder))
        storage.write_table(schemas.CAPTIONS.empty_table(), layout.table("captions", shard))
        commit_shard(layout, shard, len(pairs), pairs, [], [], ShardsConfig())


def stock(folder: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Samples/s and waiting share of open_clip_train."""
    # fmt: off
    log = _run(
        "open_clip_train.main", "--dataset-type", "webdataset",
        "--train-data", f"{folder}/shards/{{000000..{SHARDS - 1:06d}}}.tar",
        "--train-num-samples", str(options.batch_size * options.steps),
        "--model", options.architecture, "--lock-text", "--lock-text-freeze-layer-norm",
        "--batch-size", str(options.batch_size), "--epochs", "1",
        "--workers", "1", "--device", _device(), "--precision", "amp_bf16" if _device() == "cuda" else "fp32",
        "--log-every-n-steps", str(LOG_EVERY), "--logs", str(folder / "stock"), "--save-frequency", "0",
    )
    # fmt: on
    windows = re.findall(r"Data \(t\): ([\d.]+) Batch \(t\): ([\d.]+)", log)[_SKIPPED:]
    waited, took = (sum(float(window[column]) for window in windows) / len(windows) for column in (0, 1))
    return options.batch_size / took, waited / took


def ours(folder: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Samples/s and waiting share of jobs.train."""
    output = folder / "ours"
    # fmt: off
    _run(
        "jobs.train", "--overwrite", "--dataset", str(folder), "--output", str(output), "--mode", options.mode,
        "--model.architecture", options.architecture, "--model.weights", "random",
        "--batch_size", str(options.batch_size), "--full.epochs", "1", "--mask_prompt.epochs", "1",
        "--mask_prompt.depth", str(DEPTH), "--data.held_out_share", "0", "--data.loaders", str(options.loaders),
        "--log_every", str(LOG_EVERY), "--loggers", "[]", "--replay.share", str(options.replay),
    )
    # fmt: on
    rows = [row for row in pq.read_table(output / "metrics.parquet").to_pylist() if row["loss"] is not None][_SKIPPED:]
    return (
        len(rows) / sum(1 / row["regions_per_second"] for row in rows),
        sum(row["waiting_share"] for row in rows) / len(rows),
    )


def _run(*command: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(done.stdout)
    return done.stdout


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def tflops_per_sample(architecture: str, mode: str) -> float:
    """Multiply-adds of a training step count as two operations; recomputation and the optimiser are not counted."""
    clip = load_clip(architecture, "random")
    phase = Phase(mode, FullConfig(), steps_per_epoch=1)
    if mode == "mask_prompt":
        clip = with_prompts(clip, DEPTH, seed=0)
    prepare(clip, phase, TrainConfig(dataset="", output=""))
    pixels = torch.zeros(1, 3, clip.input.size, clip.input.size)
    with FlopCounterMode(display=False) as counter:
        clip.vision(pixels, torch.zeros_like(pixels[:, :1])).sum().backward()
    return counter.get_total_flops() / 1e12


def main() -> None:
    """Print samples/s of both in every round, and the median ratio; on a GPU, the share of its peak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--mode", choices=["full", "mask_prompt"], default="full")
    parser.add_argument("--loaders", type=int, default=1)
    parser.add_argument("--replay", type=float, default=0.0, help="share of whole images in our batches")
    parser.add_argument("--peak-tflops", type=float, help="bf16 peak of the GPU, dense")
    options = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU, one thread"
    print(f"{options.architecture}, {options.mode}, {options.steps} steps of {options.batch_size}, {device}")
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        write_shards(Path(folder), options.batch_size * options.steps)
        if options.replay:
            pictures = Path(folder) / "pictures"
            list_images(Path(folder), pictures, SHARDS, options.batch_size * options.steps // SHARDS, side=480)
        for _ in range(options.rounds):
            theirs, their_waiting = stock(Path(folder), options)
            own, waiting = ours(Path(folder), options)
            ratios.append(own / theirs)
            print(
                f"open_clip_train {theirs:.2f} samples/s, {their_waiting:.2%} waiting; "
                f"jobs.train {own:.2f} samples/s, {waiting:.2%} waiting; ratio {ratios[-1]:.3f}"
            )
            if options.peak_tflops:
                used = own * tflops_per_sample(options.architecture, options.mode)
                print(f"{used:.1f} TFLOP/s, {used / options.peak_tflops:.1%} of the peak")
    print(f"median ratio {sorted(ratios)[len(ratios) // 2]:.3f} (target 1.0)")


if __name__ == "__main__":
    main()
