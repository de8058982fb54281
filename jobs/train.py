"""Adapt CLIP to masked regions: full finetuning, mask prompt tuning, or one after the other.

python -m jobs.train --config jobs/train.yaml --dataset ./mined --output ./adapted
python -m jobs.train export ./adapted/model --layout ovseg --output clip.pt
python -m jobs.train export ./adapted --to hf://ORG/NAME
python -m jobs.train interpolate ./adapted --retention.sets "[{kind: imagenet, root: imagenet}]"

The same command after any failure goes on from the last checkpoint. Exit codes: 0 complete, 1 incomplete (run it
again), 2 the configuration has to be changed, 130 interrupted.
"""

import argparse
import sys
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from jobs.command import Command, parse_arguments
from jobs.exit_codes import exit_code
from jobs.help import JobHelp
from pipeline.clip.config import CheckpointLayout
from pipeline.escaping.enumeration import first_of
from pipeline.evaluation.config import EvaluateConfig
from pipeline.interpolation.config import InterpolateConfig
from pipeline.training.config import TrainConfig


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, train or export; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["export"]:
        return exit_code(lambda: _export(arguments[1:]))
    if arguments[:1] == ["interpolate"]:
        return _interpolate(arguments[1:])
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
        description="Write an adapted CLIP as one file in another layout, or upload it to the Hugging Face hub.",
        formatter_class=JobHelp,
    )
    parser.add_argument("model", help="model/ of a training run, or any open_clip directory; for --to also the run")
    parser.add_argument("--layout", type=CheckpointLayout, help="openai: original CLIP code; ovseg: OVSeg's code")
    parser.add_argument("--output", type=Path, help="the file to write in that layout")
    parser.add_argument(
        "--to",
        help="hf://ORG/NAME[@BRANCH], to upload it with its card, with the token of `hf auth login` or HF_TOKEN; the "
        "same command carries on",
    )
    parser.add_argument(
        "--private",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether the repository is seen by its owners alone; a new one is, unless told otherwise, since what was "
        "public cannot be taken back; one that is there stays what it is",
    )
    options = parse_arguments(parser, arguments)
    if options.to is None and (options.layout is None or options.output is None):
        parser.error("give --layout and --output for a file, or --to for the hub")
    if options.to is not None and (options.layout or options.output):
        parser.error("--to uploads the model as it is, without --layout and --output")
    if options.to is not None and not options.to.startswith("hf://"):
        parser.error("--to is hf://ORG/NAME; to other places, copy the folder model/ of the run")
    if options.to is None and options.private is not None:
        parser.error("--private is for --to hf://ORG/NAME")
    if options.to is None:
        from pipeline.clip.checkpoint_layouts import export_clip
        from pipeline.clip.loading import load_clip

        export_clip(load_clip(f"local-dir:{options.model}"), options.layout, options.output)
        return
    from pipeline.training.publishing import publish_model

    done = publish_model(options.model, options.to, options.private)
    if done.left_out:
        print(f"warning: {first_of(done.left_out, 5)} are no part of a model, and were left out", file=sys.stderr)
    if "README.md" not in done.files:
        print("warning: the folder has no README.md, so the page has no card", file=sys.stderr)
    state = "private" if done.private else "public"
    print(f"{done.page} ({state}): {len(done.files)} files; open_clip.create_model_and_transforms({done.load!r})")


_INTERPOLATE = """Average the original CLIP and the adapted one of a complete run, in several shares, and take the best.

For each share the held-out masked regions are named, whole images are classified or retrieved, and with --evaluate
images are segmented. Of the shares that lose at most --max_lost points on whole images, the one that gains most is
written to RUN/interpolation/model; the curve is printed, and drawn in the report of the run. The same command carries
on after any failure."""


def _interpolate(arguments: list[str]) -> int:
    command = Command("jobs.train interpolate", _INTERPOLATE, InterpolateConfig)
    command.parser.usage = "%(prog)s RUN [--config FILE] [--KEY VALUE …]"
    command.parser.add_argument("run", metavar="RUN", help="output directory of a training run")
    command.parser.add_argument(
        "--evaluate", metavar="FILE", help="configuration file of jobs.evaluate: the gain is then mIoU"
    )

    def run(config: InterpolateConfig, flags: dict) -> None:
        evaluation = None
        if flags["evaluate"]:
            # Its output is set for each share.
            evaluation, _ = Command("jobs.evaluate", "", EvaluateConfig).parse(
                ["--config", flags["evaluate"], "--output", flags["run"]]
            )
        from pipeline.interpolation.run import interpolate
        from pipeline.report.training import write_training_report
        from pipeline.storage import join

        result = interpolate(flags["run"], config, evaluation)
        _print_curve(result)
        model = join(flags["run"], "interpolation", "model")
        print(f"{model}: {result['chosen']:g} of the adapted weights, {result['rule']}")
        print(write_training_report(flags["run"], join(flags["run"], "report")))

    return command.run(run, arguments)


def _print_curve(result: dict) -> None:
    columns = ("share of the adapted", "masked regions", "mIoU", "whole images", "lost, points")
    table = Table(*columns, title="between the original CLIP and the adapted one", caption="Per cent.")
    for point in result["points"]:
        values = (point["accuracy"], point["miou"], point["retention"])
        figures = ["–" if value is None else f"{100 * value:.2f}" for value in values]
        chosen = point["alpha"] == result["chosen"]
        table.add_row(
            f"{point['alpha']:g}" + (" ←" if chosen else ""),
            *figures,
            f"{point['lost']:+.2f}",
            style="bold" if chosen else None,
        )
    Console().print(table)


def _print_result(output: str, result: dict) -> None:
    table = Table("after", "epoch", "top 1", "top 5", title="held-out regions nearest to their own noun")
    for row in result["accuracy"]:
        table.add_row(row["after"], f"{row['epoch']:g}", f"{row['accuracy_top1']:.1%}", f"{row['accuracy_top5']:.1%}")
    Console().print(table)
    if result.get("retention"):
        from pipeline.retention.table import kept_table

        Console().print(kept_table(result["retention"]))
    print(f"{output}/model: open_clip.create_model_and_transforms('local-dir:{output}/model')")


if __name__ == "__main__":
    sys.exit(main())
