"""Which loss learns best from mined pairs: the measurement behind the default of `loss.kind`.

python -m tests.benchmarks.losses [--images 300] [--seeds 3] [--learning-rate 3e-4]

A small CLIP that knows a little mines the made-up world with ground-truth masks, and is finetuned on the pairs with
each loss. Printed is the accuracy on regions of held-out images, top 1 and top 5 among all nouns: mean over the seeds,
least and greatest.
"""

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import torch
from rich.console import Console
from rich.table import Table

from jobs.command import connect
from pipeline.microworld import build_small_clip, write_world
from pipeline.mining.run import mine
from pipeline.shards import ShardsConfig
from pipeline.training.config import FullConfig
from pipeline.training.losses import LossConfig, LossKind
from pipeline.training.run import train
from tests.mining.configs import mine_config
from tests.training.configs import train_config

BATCH = 64


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--clip-steps", type=int, default=40, help="pretraining of the small CLIP")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    options = parser.parse_args()
    connect()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(folder / "world", options.images, seed=1)
        other = folder / "pretraining"
        write_world(other, 60, seed=2)
        build_small_clip(other / "instances.json", other / "images", folder / "clip", steps=options.clip_steps)
        clip = f"local-dir:{folder / 'clip'}"
        dataset = mine(mine_config(folder / "world", clip, folder / "mined", shards=ShardsConfig(images_per_shard=64)))
        table = Table("loss", "top 1", "least, greatest", "top 5")
        full = FullConfig(epochs=5, learning_rate=options.learning_rate, warmup_steps=10)
        for kind in get_args(LossKind):
            found = []
            for seed in range(options.seeds):
                config = train_config(
                    folder / "mined",
                    clip,
                    folder / f"{kind}-{seed}",
                    mode="full",
                    batch_size=BATCH,
                    seed=seed,
                    full=full,
                    loss=LossConfig(kind=kind),
                )
                before, *_, after = train(config)["accuracy"]
                found.append(after)
            top1, top5 = ([row[key] for row in found] for key in ("accuracy_top1", "accuracy_top5"))
            spread = f"{min(top1):.1%}, {max(top1):.1%}"
            table.add_row(kind, f"{sum(top1) / len(top1):.1%}", spread, f"{sum(top5) / len(top5):.1%}")
        table.title = (
            f"{dataset['pairs']} pairs, {dataset['nouns']} nouns, batches of {BATCH}; before: "
            f"{before['accuracy_top1']:.1%}, {before['accuracy_top5']:.1%}"
        )
        Console().print(table)


if __name__ == "__main__":
    main()
