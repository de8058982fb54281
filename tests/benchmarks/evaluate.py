"""Evaluation with two workers against one.

python -m tests.benchmarks.evaluate [--images 480]

Images of the micro world, `segments` proposals, a small untrained CLIP (its answers do not matter here). A worker
takes ten seconds or so to start, which says nothing about a data set of thousands of images, so the clock runs from
the moment when a fifth of the chunks is done. The target is 1.8.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from jobs.ray_connection import connect
from pipeline.clip import ClipConfig
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import DatasetConfig
from pipeline.evaluation.run import evaluate
from pipeline.microworld.clip import write_untrained_clip
from pipeline.microworld.world import write_world
from pipeline.proposals import ProposalsConfig
from tests.benchmarks.steady import per_second

_IMAGES_PER_CHUNK = 8


def main() -> None:
    """Print images/s of both, in two rounds, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=480)
    options = parser.parse_args()
    connect()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(folder / "world", options.images)
        write_untrained_clip(folder / "clip")
        config = EvaluateConfig(
            dataset=DatasetConfig(kind="micro_world", root=str(folder / "world")),
            output="",
            images_per_chunk=_IMAGES_PER_CHUNK,
            clip=ClipConfig(architecture=f"local-dir:{folder / 'clip'}", weights=None, batch_size=64),
            proposals=ProposalsConfig(max_proposals=24),
        )
        for round_ in range(2):
            rates = []
            for workers in (1, 2):
                output = folder / f"{round_}-{workers}"
                evaluate(replace(config, output=str(output), workers=workers))
                rates.append(_images_per_second(output))
            print(
                f"one worker {rates[0]:.1f} images/s, two {rates[1]:.1f}, ratio {rates[1] / rates[0]:.2f} (target 1.8)"
            )


def _images_per_second(output: Path) -> float:
    return per_second([path.stat().st_mtime for path in (output / "images").iterdir()], _IMAGES_PER_CHUNK)


if __name__ == "__main__":
    main()
