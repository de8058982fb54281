"""Evaluate a CLIP by segmentation, on a data set in its official distribution.

python -m jobs.evaluate --config jobs/evaluate.yaml --dataset.kind ade20k_150 --dataset.root ADEChallengeData2016 \\
    --clip.architecture local-dir:./adapted/model --clip.weights null --output ./evaluated
python -m jobs.evaluate search --config … --dataset.split training --limit 200 --output ./search    # λ and threshold
python -m jobs.evaluate compare "mined, ViT-B/16=./evaluated" …     # beside the paper's and later figures

The same command after any failure carries on where it stopped. Exit codes: 0 complete, 1 incomplete (run it again),
2 the configuration has to be changed, 130 interrupted.
"""

import sys
from collections import defaultdict

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from jobs.command import Command, parse_arguments
from jobs.exit_codes import exit_code
from jobs.help import JobHelp
from pipeline.errors import UserError
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.published import COLUMNS


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, search or compare; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["compare"]:
        return exit_code(lambda: _compare(arguments[1:]))
    if arguments[:1] == ["search"]:
        return _search(arguments[1:])
    command = Command("jobs.evaluate", __doc__, EvaluateConfig)
    command.parser.add_argument(
        "--overwrite", action="store_true", help="Delete the evaluation in the output directory and start anew."
    )

    def run(config: EvaluateConfig, flags: dict) -> None:
        from pipeline.evaluation.run import evaluate
        from pipeline.evaluation.table import result_tables

        for table in result_tables(evaluate(config, overwrite=flags["overwrite"])):
            Console().print(table)
        print(f"{config.output}: classes.parquet (every class), confusion/, regions/, images/, result.json")

    return command.run(run, arguments)


def _search(arguments: list[str]) -> int:
    command = Command("jobs.evaluate search", "Try fusion weights and mask thresholds, in one process.", EvaluateConfig)
    for name, values, what in (
        ("weights", [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], "values of λ (segmentation.weight)"),
        ("thresholds", [0.35, 0.4, 0.45, 0.5], "mask thresholds, for proposals that come with soft masks"),
    ):
        command.parser.add_argument(f"--{name}", type=list[float], default=values, help=what)

    def run(config: EvaluateConfig, flags: dict) -> None:
        from pipeline.evaluation.fusion_search import search_dataset

        found = search_dataset(config, flags["weights"], flags["thresholds"])
        table = Table("weight λ", "mask threshold", "mIoU")
        for score in found:
            table.add_row(f"{score.weight:g}", f"{score.threshold:g}", f"{score.miou:.1%}")
        Console().print(table)

    return command.run(run, arguments)


def _compare(arguments: list[str]) -> None:
    parser = ArgumentParser(
        prog="python -m jobs.evaluate compare",
        description="Evaluations beside the paper's and later figures.",
        formatter_class=JobHelp,
    )
    parser.add_argument("evaluations", nargs="+", help="LABEL=DIRECTORY; a label may have one for each benchmark")
    print_comparison(parse_arguments(parser, arguments).evaluations)


def print_comparison(evaluations: list[str]) -> None:
    """Print evaluations beside the paper's and later figures.

    Args:
        evaluations: LABEL=DIRECTORY of each.

    Raises:
        UserError: one is not complete, or there are no figures to put beside it.
        OSError: storage failed.
    """
    from pipeline.evaluation.table import comparison_table

    ours: dict[str, dict[str, float]] = defaultdict(dict)
    for argument in evaluations:
        label, _, directory = argument.partition("=")
        column, miou = _read(directory)
        ours[label][column] = miou
    Console().print(comparison_table(ours))


def _read(directory: str) -> tuple[str, float]:
    """Column and mIoU of an evaluation."""
    from pipeline.evaluation.label_maps import main_branch
    from pipeline.evaluation.result import RESULT, read_result

    try:
        result = read_result(directory)
    except FileNotFoundError:
        raise UserError(f"{directory or 'LABEL=DIRECTORY'} holds no complete evaluation ({RESULT})") from None
    name = result["dataset"]["name"]
    columns = {kind: column for column, kind in COLUMNS.items()}
    kind = name.partition("/")[0]
    if kind not in columns:
        raise UserError(f"{directory} evaluates {name}; published figures are there for {', '.join(columns)}")
    scores = result["scores"]
    if (branch := main_branch(scores)) not in scores:
        raise UserError(f"{directory}: no pixel of the {result['images']} images of {name} is labelled")
    return columns[kind], scores[branch]["miou"]


if __name__ == "__main__":
    sys.exit(main())
