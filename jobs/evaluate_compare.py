"""The command line of `python -m jobs.evaluate compare`."""

import json
from argparse import Namespace
from collections import defaultdict
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser
from rich.console import Console

from jobs.command import parse_arguments
from jobs.help import JobHelp
from pipeline.errors import UserError
from pipeline.escaping.terminal import escape

if TYPE_CHECKING:
    from pipeline.evaluation.comparison.outcome import Comparison

_DESCRIPTION = """Evaluations beside the paper's and later figures; and those of one data set beside the first of
them: which differences are larger than chance, by a bootstrap over the images of both."""


def compare(arguments: list[str]) -> None:
    """Print published figures beside evaluations, and differences of those that share a data set.

    Raises:
        SystemExit, UserError, OSError: as the jobs' other commands.
    """
    parser = ArgumentParser(prog="python -m jobs.evaluate compare", description=_DESCRIPTION, formatter_class=JobHelp)
    parser.add_argument("evaluations", nargs="+", help="[LABEL=]DIRECTORY; a label may have one for each benchmark")
    parser.add_argument("--output", help="JSON file for the differences, any fsspec URI")
    parser.add_argument(
        "--resamplings", type=int, default=5000, help="of the images; the least p-value is 2 / (resamplings + 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the resamplings")
    options = parse_arguments(parser, arguments)
    if options.resamplings < 100:
        raise UserError(f"--resamplings is {options.resamplings}; below 100 there is no 95 % interval")
    from pipeline import storage

    if options.output:
        if not options.output.endswith(".json"):
            raise UserError(f"--output: {options.output} is no .json file")
        storage.check_writable(options.output.rpartition("/")[0] or ".", "--output")
    evaluations = [_label_and_directory(argument) for argument in options.evaluations]
    results = complete_results([uri for _, uri in evaluations])
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for (label, uri), result in zip(evaluations, results, strict=True):
        groups[result["dataset"]["name"]].append((label, uri))
    several = {name: members for name, members in groups.items() if len(members) > 1}
    if options.output and not several:
        raise UserError(f"--output: no two evaluations are of one data set: {', '.join(groups)}")
    _print_published(evaluations, results, required=not several)
    if not several and len({label for label, _ in evaluations}) > 1:
        print("note: no two of them are of one data set, so there are no differences to tell")
    found = [_print_differences(members[0], other, options) for members in several.values() for other in members[1:]]
    if options.output:
        from pipeline.evaluation.comparison.outcome import comparison_record

        content = json.dumps({"comparisons": [comparison_record(one) for one in found]}, indent=1, ensure_ascii=False)
        storage.write_bytes(options.output, content.encode())


def print_comparison(evaluations: list[str]) -> None:
    """Print evaluations beside the paper's and later figures.

    Args:
        evaluations: LABEL=DIRECTORY of each.

    Raises:
        UserError: one is not complete, or there are no figures to put beside it.
        OSError: storage failed.
    """
    named = [_label_and_directory(argument) for argument in evaluations]
    _print_published(named, complete_results([uri for _, uri in named]), required=True)


def _label_and_directory(argument: str) -> tuple[str, str]:
    """What stands before `=`, or else the directory itself."""
    label, separator, directory = argument.partition("=")
    return (label, directory) if separator and "/" not in label else (argument, argument)


def complete_results(directories: list[str]) -> list[dict]:
    """The content of `result.json` of evaluations.

    Raises:
        UserError: one is not complete.
        OSError: storage failed.
    """
    from pipeline.evaluation.result import RESULT, read_result

    results = []
    for uri in directories:
        try:
            results.append(read_result(uri))
        except FileNotFoundError:
            raise UserError(f"[LABEL=]DIRECTORY: {uri} holds no complete evaluation ({RESULT})") from None
    return results


def main_miou(directory: str, result: dict, formula: str) -> float:
    """The mIoU of the main branch of an evaluation.

    Args:
        result: what `complete_results` returns of the directory.
        formula: the name of a score.

    Raises:
        UserError: nothing was scored.
    """
    from pipeline.evaluation.label_maps import main_branch

    if (branch := main_branch(result["scores"])) not in result["scores"]:
        name = result["dataset"]["name"]
        raise UserError(f"{directory}: no pixel of the {result['images']} images of {name} is labelled")
    return result["scores"][branch][formula]


def _print_published(evaluations: list[tuple[str, str]], results: list[dict], required: bool) -> None:
    """Print the tables of published figures that there are for the data sets.

    Args:
        required: whether an evaluation without published figures is an error.
    """
    from pipeline.evaluation.panoptic_comparison import PANOPTIC_KINDS, panoptic_figures, panoptic_table
    from pipeline.evaluation.published import COLUMNS
    from pipeline.evaluation.table import comparison_table

    columns = {kind: column for column, kind in COLUMNS.items()}
    miou: dict[str, dict[str, float]] = defaultdict(dict)
    objects: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for (label, uri), result in zip(evaluations, results, strict=True):
        name = result["dataset"]["name"]
        kind = name.partition("/")[0]
        if kind in PANOPTIC_KINDS:
            objects[kind][label] = panoptic_figures(result)
        elif kind in columns:
            miou[label][columns[kind]] = main_miou(uri, result, "miou")
        elif required:
            there = ", ".join([*columns, *PANOPTIC_KINDS])
            raise UserError(f"{uri} evaluates {name}; published figures are there for {there}")
    if miou:
        Console().print(comparison_table(miou))
    for kind, ours in objects.items():
        Console().print(panoptic_table(kind, ours))


def _print_differences(first: tuple[str, str], second: tuple[str, str], options: Namespace) -> "Comparison":
    from pipeline.differences.settings import differing_settings
    from pipeline.evaluation.comparison.evaluated import read_evaluated
    from pipeline.evaluation.comparison.outcome import compare as compare_evaluations
    from pipeline.evaluation.comparison.tables import comparison_tables
    from pipeline.evaluation.config import EvaluateConfig

    a, b = read_evaluated(*first), read_evaluated(*second)
    settings = differing_settings(a.description, b.description, EvaluateConfig)
    found = compare_evaluations(a, b, settings, options.resamplings, options.seed)
    for table in comparison_tables(found):
        Console().print(table)
    for remark in found.remarks:
        Console().print(f"note: {escape(remark)}", soft_wrap=True)
    return found
