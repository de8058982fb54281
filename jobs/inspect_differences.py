"""The command line of `python -m jobs.inspect diff`."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jobs.command import parse_arguments
from jobs.exit_codes import OK
from pipeline.clip.config import ClipConfig
from pipeline.differences.config import DEFAULT, DifferencesConfig
from pipeline.errors import UserError
from pipeline.escaping.terminal import printable

if TYPE_CHECKING:
    from pipeline.differences.classes import ClassChange
    from pipeline.differences.comparison import Comparison
    from pipeline.differences.questions import Nearest, Question
    from pipeline.report.evaluation.reading import EvaluatedModel

_DESCRIPTION = """Compare two mined datasets, in any order of images and shards: pairs added, lost, moved to another
region, with another score, and why. With --output, tables of all of them and a page with pictures side by side."""


def diff(arguments: list[str]) -> int:
    """Compare and print; returns the exit code, 0 whether anything differs or not.

    Raises:
        SystemExit, UserError, OSError: as the jobs' other commands.
    """
    options = parse_arguments(_parser(), arguments)
    config = DifferencesConfig(options.min_iou, options.score_shift, options.rank_shift, options.memory_mb)
    if options.samples < 1 or options.count < 1 or options.regions < 1:
        raise UserError("--samples, --count and --regions must be at least 1")
    from pipeline.differences.comparison import open_comparison
    from pipeline.differences.tables import noun_rows, write_tables
    from pipeline.differences.terminal import print_changes, print_differences, print_nearest
    from pipeline.report.differences import DifferencesReportOptions, write_differences_report

    if options.output:
        _check_output(options.output)
    evaluations = None
    if options.evaluations:
        from pipeline.report.differences.classes import changes_of, read_both

        evaluations = read_both(*options.evaluations)
    questions = _questions(options)
    with open_comparison(options.a, options.b, config) as comparison:
        nouns = noun_rows(comparison)
        print_differences(comparison.differences, nouns)
        changes: list[ClassChange] = []
        if evaluations:
            changes, remark = changes_of(*evaluations, nouns)
            if remark:
                print(printable(f"note: {remark}"))
            print_changes(changes)
        nearest = _nearest(comparison, questions, options, evaluations[1] if evaluations else None)
        for found in nearest:
            print_nearest(found)
        if options.output:
            write_tables(comparison, options.output, changes, nearest)
            page = DifferencesReportOptions(samples=options.samples)
            print(write_differences_report(comparison, options.output, page, changes, nearest))
    return OK


def _check_output(output: str) -> None:
    """Refuse where tables of the same names would be overwritten, as those of an evaluation."""
    from pipeline import storage

    if output.endswith((".html", ".htm")):
        raise UserError(f"--output: {output} names a page; tables are written beside it, so name a folder")
    if storage.exists(storage.join(output, "config.yaml")):
        raise UserError(f"--output: {output} is the output directory of a job; choose another folder")
    storage.check_writable(output, "--output")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs.inspect diff", description=_DESCRIPTION)
    parser.add_argument("a", metavar="A", help="output directory of a mining job, any fsspec URI")
    parser.add_argument("b", metavar="B", help="another one")
    parser.add_argument("--output", help="folder for index.html, differences.parquet and nouns.parquet, any fsspec URI")
    parser.add_argument("--samples", type=int, default=400, help="pairs of each kind that the page shows; default 400")
    for name, kind, text in (
        ("min-iou", float, "a pair whose masks overlap less (intersection over union) has moved"),
        ("score-shift", float, "least change of a score that counts, for scores of one CLIP"),
        ("rank-shift", float, "least change of a score's rank (0..1) that counts, for scores of two CLIPs"),
        ("memory-mb", int, "what DuckDB may hold in memory, in 10⁶ bytes"),
    ):
        default = getattr(DEFAULT, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{text}; default {default}")
    both = ("a", "b")
    parser.add_argument(
        "--evaluations",
        nargs=2,
        metavar=both,
        help="evaluations, of one data set, of CLIPs adapted on A and on B: each class's IoU beside its pairs",
    )
    parser.add_argument(
        "--near", action="append", default=[], metavar="CLASS", help="the pairs of B nearest to a class, by CLIP"
    )
    parser.add_argument(
        "--confused",
        nargs=2,
        action="append",
        default=[],
        metavar=("TRUE", "PREDICTED"),
        help="the pairs of B nearest to both of two classes",
    )
    parser.add_argument("--count", type=int, default=50, help="of --near and --confused: pairs listed; default 50")
    parser.add_argument(
        "--regions", type=int, default=5000, help="regions of B that CLIP looks at for them; default 5000"
    )
    clip = "of --near and --confused: as of other jobs; without it, the CLIP of the second evaluation"
    parser.add_argument("--clip.architecture", dest="architecture", help=clip)
    parser.add_argument("--clip.weights", dest="weights", help="with --clip.architecture")
    return parser


def _questions(options: argparse.Namespace) -> "list[Question]":
    if not options.near and not options.confused:
        return []
    if not options.architecture and not options.evaluations:
        raise UserError(
            "--near and --confused need a CLIP: name it by --clip.architecture, such as local-dir:./adapted/model, or "
            "the evaluations of both by --evaluations, whose second CLIP is then taken"
        )
    from pipeline.differences.questions import Question

    asked = [(name,) for name in options.near] + [tuple(names) for names in options.confused]
    for names in asked:
        if not all(name.strip() for name in names) or len(set(names)) < len(names):
            raise UserError(f"--near and --confused: {', '.join(map(repr, names))}: give names, and two that differ")
    return [Question(names) for names in asked]


def _nearest(
    comparison: "Comparison",
    questions: "Sequence[Question]",
    options: argparse.Namespace,
    evaluation: "EvaluatedModel | None",
) -> "list[Nearest]":
    if not questions:
        return []
    import torch

    from pipeline.clip import load_clip
    from pipeline.differences.nearest import Encoder, find_nearest
    from pipeline.regions import RegionsConfig

    made_with = evaluation.description["configuration"] if evaluation else comparison.b.description["configuration"]
    clip = _known(ClipConfig, made_with.get("clip"))
    if options.architecture:
        clip = ClipConfig(options.architecture, options.weights, clip.templates, clip.precision)
    elif options.weights:
        raise UserError("--clip.weights: give --clip.architecture, too")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = load_clip(clip.architecture, clip.weights, precision=clip.precision, device=device)
    encoder = Encoder(loaded, _known(RegionsConfig, made_with.get("regions")), clip.templates, clip.batch_size)
    return find_nearest(
        comparison.workspace, comparison.b, encoder, questions, most=options.regions, count=options.count
    )


def _known(kind: type, values: Any) -> Any:
    """A configuration of what a `config.yaml` says, which may know fewer keys, or more."""
    from dataclasses import fields

    from pipeline.configuration import limits

    names = {field.name for field in fields(kind)}
    config = kind(
        **{name: value for name, value in values.items() if name in names} if isinstance(values, dict) else {}
    )
    limits.check(config)
    return config
