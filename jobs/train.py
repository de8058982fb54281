"""Adapt CLIP to masked regions: full finetuning, mask prompt tuning, or one after the other.

python -m jobs.train --config jobs/train.yaml --dataset ./mined --output ./adapted
python -m jobs.train export ./adapted/model --layout ovseg --output clip.pt

The same command after any failure goes on from the last checkpoint. Exit codes: 0 complete, 1 incomplete (run it
again), 2 the configuration has to be changed, 130 interrupted.
"""

import sys
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from jobs.command import Command, parse_arguments
from jobs.exit_codes import exit_code
from jobs.help import JobHelp
from pipeline.clip.config import CheckpointLayout
from pipeline.training.config import TrainConfig


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, train or export; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["export"]:
        return exit_code(lambda: _export(arguments[1:]))
    command = Command("jobs.train", __doc__, TrainConfig)
    command.parser.add_argument(
        "--skip-damaged", action="store_true", help="Short for --data.skip_damaged true: leave damaged shards out."
    )
    command.parser.add_argument(
        "--overwrite", action="store_true", help="Delete the run in the output directory and start anew."
    )

    def run(config: TrainConfig, flags: dict) -> None:
        config.data.skip_damaged |= flags["skip_damaged"]
        from pipeline.training.run import train

        _print_result(config.output, train(config, overwrite=flags["overwrite"]))

    return command.run(run, arguments)


def _export(arguments: list[str]) -> None:
    parser = ArgumentParser(
        prog="python -m jobs.train export",
        description="Write an adapted CLIP as one file in another layout.",
        formatter_class=JobHelp,
    )
    parser.add_argument("model", type=Path, help="model/ of a training run, or any open_clip directory")
    parser.add_argument(
        "--layout", type=CheckpointLayout, required=True, help="openai: original CLIP code; ovseg: OVSeg's code"
    )
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    options = parse_arguments(parser, arguments)
    from pipeline.clip.checkpoint_layouts import export_clip
    from pipeline.clip.loading import load_clip

    export_clip(load_clip(f"local-dir:{options.model}"), options.layout, options.output)


def _print_result(output: str, result: dict) -> None:
    table = Table("after", "epoch", "top 1", "top 5", title="held-out regions nearest to their own noun")
    for row in result["accuracy"]:
        table.add_row(row["after"], f"{row['epoch']:g}", f"{row['accuracy_top1']:.1%}", f"{row['accuracy_top5']:.1%}")
    Console().print(table)
    print(f"{output}/model: open_clip.create_model_and_transforms('local-dir:{output}/model')")


if __name__ == "__main__":
    sys.exit(main())
