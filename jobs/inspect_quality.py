"""The command lines of `python -m jobs.inspect precision` and `quality`, which need to be told what is right."""

import argparse
import json

from jobs.command import parse_arguments
from jobs.exit_codes import OK


def precision(arguments: list[str]) -> int:
    """Say how often pairs are right; returns the exit code.

    Raises:
        SystemExit, UserError, OSError: as the jobs' other commands.
    """
    parser = _parser("precision", "How often pairs are right: overall, by score, by noun, and above thresholds.")
    parser.add_argument("--wanted", type=float, default=0.9, help="precision to find thresholds for; by default 0.9")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON instead of tables")
    options = parse_arguments(parser, arguments)
    from pipeline.quality.precision import measure_precision
    from pipeline.quality.precision_tables import print_precision

    report = measure_precision(
        options.output,
        labels=options.labels,
        annotations=options.annotations,
        opinions=options.opinion,
        wanted=options.wanted,
    )
    if options.json:
        print(json.dumps(report.as_json(), indent=1, allow_nan=False))
    else:
        print_precision(report)
    return OK


def quality(arguments: list[str]) -> int:
    """Write p_right of every pair; returns the exit code.

    Raises:
        SystemExit, UserError, OSError: as the jobs' other commands.
    """
    parser = _parser("quality", "Learn which pairs are right, and write p_right of every pair into quality/.")
    parser.add_argument(
        "--things",
        help="nouns with commas between them, or a text file with one a line: the share of their pairs that is kept is "
        "told, since a filter by precision alone favours what fills the picture",
    )
    options = parse_arguments(parser, arguments)
    from pipeline.quality.quality_tables import print_quality
    from pipeline.quality.scoring import write_quality_tables

    report = write_quality_tables(
        options.output,
        labels=options.labels,
        annotations=options.annotations,
        opinions=options.opinion,
        things=options.things,
    )
    print_quality(report)
    return OK


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m jobs.inspect {name}", description=description)
    parser.add_argument("output", help="output directory of a mining job, any fsspec URI")
    parser.add_argument("--labels", help="JSON file that the report's labelling page saved")
    parser.add_argument(
        "--annotations",
        help="in place of labels: COCO instances or panoptic JSON of the images; judges all pairs it can",
    )
    parser.add_argument(
        "--opinion",
        action="append",
        default=[],
        help="what another model says: a Parquet table with key and one or more columns of scores, or verify:NAME, a "
        "verifier of the dataset; may be given again",
    )
    return parser
