"""Evaluate a CLIP by segmentation (mIoU, PQ, AP), on a data set in its official distribution; or on whole images.

python -m jobs.evaluate --config jobs/evaluate.yaml --dataset.kind ade20k_150 --dataset.root ADEChallengeData2016 \\
    --clip.architecture local-dir:./adapted/model --clip.weights null --output ./evaluated
python -m jobs.evaluate search --config … --dataset.split training --limit 200 --output ./search    # λ and threshold
python -m jobs.evaluate compare "mined, ViT-B/16=./evaluated" …     # beside the paper's and later figures
python -m jobs.evaluate mess ./on-bdd100k ./on-dark-zurich …         # means over MESS's domains and over its sets
python -m jobs.evaluate compare before=./a after=./b --output differences.json   # larger than chance?
python -m jobs.evaluate classification --dataset.kind imagenet --dataset.root imagenet --output ./on-imagenet
python -m jobs.evaluate retrieval --dataset.kind coco_captions --dataset.root coco --output ./on-coco

The same command after any failure carries on where it stopped. Exit codes: 0 complete, 1 incomplete (run it again),
2 the configuration has to be changed, 130 interrupted.
"""

import sys

from rich.console import Console
from rich.table import Table

from jobs.command import Command
from jobs.evaluate_compare import compare
from jobs.evaluate_mess import average_mess
from jobs.exit_codes import exit_code
from pipeline.evaluation.config import EvaluateConfig
from pipeline.retention.config import ImagesJobConfig, Task


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, search or compare; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["compare"]:
        return exit_code(lambda: compare(arguments[1:]))
    if arguments[:1] == ["mess"]:
        return exit_code(lambda: average_mess(arguments[1:]))
    if arguments[:1] == ["search"]:
        return _search(arguments[1:])
    if arguments and arguments[0] in _TASKS:
        return _whole_images(arguments[0], arguments[1:])
    command = Command("jobs.evaluate", __doc__, EvaluateConfig)
    _add_overwrite(command)

    def run(config: EvaluateConfig, flags: dict) -> None:
        from pipeline.evaluation.cost import cost_in_words, read_cost
        from pipeline.evaluation.run import evaluate
        from pipeline.evaluation.table import result_tables

        result = evaluate(config, overwrite=flags["overwrite"])
        for table in result_tables(result):
            Console().print(table)
        if cost := read_cost(config.output):
            print(cost_in_words(cost))
        tables = "classes.parquet (every class), " + "object_classes.parquet (PQ and AP), " * ("objects" in result)
        print(f"{config.output}: {tables}confusion/, class_pixels/, regions/, images/, result.json")

    return command.run(run, arguments)


def _add_overwrite(command: Command) -> None:
    command.parser.add_argument(
        "--overwrite", action="store_true", help="Delete the evaluation in the output directory and start anew."
    )


_TASKS: dict[str, tuple[Task, str]] = {
    "classification": ("classification", "Name whole images: zero-shot classification, top 1, top 5, mean per class."),
    "retrieval": ("retrieval", "Find images by captions and captions by images: recall at 1, 5 and 10."),
}


def _whole_images(name: str, arguments: list[str]) -> int:
    task, description = _TASKS[name]
    command = Command(f"jobs.evaluate {name}", description, ImagesJobConfig)
    _add_overwrite(command)

    def run(config: ImagesJobConfig, flags: dict) -> None:
        from pipeline.retention.run import measure_images
        from pipeline.retention.table import result_table

        Console().print(result_table(measure_images(config, task, overwrite=flags["overwrite"])))
        print(f"{config.output}: images/ (every image), result.json")

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


if __name__ == "__main__":
    sys.exit(main())
