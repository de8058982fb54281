"""Look at an output directory, from storage alone: status, counts, top nouns, scores, reject reasons, pictures.

python -m jobs.inspect OUTPUT [--verify | --repair] [--images]
python -m jobs.inspect report OUTPUT [--output DIR]                            # a page to look at
python -m jobs.inspect report before=EVALUATION after=EVALUATION --output DIR  # evaluations side by side
python -m jobs.inspect report EVALUATION --mined DATASET --output DIR          # classes beside the pairs that name them
python -m jobs.inspect diff A B [--output DIR] [--evaluations a b] [--near CLASS]  # two mined datasets
python -m jobs.inspect precision OUTPUT --labels labels.json [--wanted 0.9]    # how many pairs are right
python -m jobs.inspect quality OUTPUT --labels labels.json                     # which ones: p_right of every pair
python -m jobs.inspect duplicates OUTPUT [--output groups.parquet]             # images that are near-duplicates
python -m jobs.inspect leakage OUTPUT --against FOLDER-OR-DATASET              # mined images that one evaluates on
python -m jobs.inspect proposals --config mine.yaml [--annotations instances.json] [--limit 50]

The status ends with the lineage: the CLIP that matched a dataset, the run that made it, its dataset, and so on; of a
training run it is all that is printed.

`report` writes one HTML file, which needs no server: of a mined dataset (pairs, scores, rejects; with annotations also
precision), of a training run (curves, nouns, regions that changed), or of evaluations (classes, confusions, images).
`precision` estimates how often pairs are right, with 95 % intervals, from labels that the report's labelling page
saves, or from annotations. `quality` learns from them which pairs are, and writes `quality/` beside the dataset.
`duplicates` groups images by their perceptual hashes (`data.deduplicate` of training keeps one of each group).
`leakage` finds mined images that are copies of others, and writes a table and a page beside the dataset, from where
training and evaluation take what they say of it.
`proposals` tries the proposal backend of a mining configuration on the first images, in this process: proposals and
seconds per image, peak memory, and, with COCO annotations at hand, how well they cover the annotated objects.

Exit codes: 0 fine, 1 damaged files found or storage cannot be read, 2 nothing to look at there, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Callable

from jobs.command import Command, parse_arguments
from jobs.exit_codes import INCOMPLETE, OK, exit_code
from jobs.inspect_differences import diff
from jobs.inspect_duplicates import duplicates, leakage
from jobs.inspect_quality import precision, quality
from pipeline.escaping.terminal import printable
from pipeline.mining.config import MineConfig

_REPORT = "Write a page to look at: of a mined dataset, of a training run, or of evaluations side by side."


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return exit_code(lambda: _main(sys.argv[1:] if arguments is None else arguments), advice="try again")


def _main(arguments: list[str]) -> int:
    subcommand = _SUBCOMMANDS.get(arguments[0]) if arguments else None
    return subcommand(arguments[1:]) if subcommand else _output(arguments)


def _proposals(arguments: list[str]) -> int:
    command = Command("jobs.inspect proposals", "Try the proposals of a mining job on its first images.", MineConfig)
    command.parser.add_argument("--annotations", help="COCO instances or panoptic JSON of these images")
    command.parser.set_defaults(limit=50)
    config, flags = command.parse(arguments)
    from pipeline.mining.proposal_trial import measure_proposals, print_proposals

    print_proposals(measure_proposals(config, flags["annotations"]))
    return OK


def _report(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.inspect report", description=_REPORT)
    parser.add_argument(
        "paths", nargs="+", metavar="[NAME=]PATH", help="mined dataset, training run, or evaluations of the same data"
    )
    parser.add_argument("--output", help="folder or .html file for the page, any fsspec URI; by default PATH/report")
    parser.add_argument(
        "--samples", type=int, help="how many pairs, changed regions, or images of each group the page shows"
    )
    parser.add_argument("--annotations", help="of a dataset: COCO instances or panoptic JSON of its images")
    parser.add_argument(
        "--label",
        type=int,
        metavar="PAIRS",
        help="of a dataset: draw so many pairs to be labelled on the page as right or wrong, such as 200",
    )
    parser.add_argument(
        "--mined", metavar="DATASET", help="of evaluations: a mined dataset, whose pairs are set beside the classes"
    )
    options = parse_arguments(parser, arguments)
    from pipeline.report.directory import write_report

    shown = (options.samples, options.annotations, options.label, options.mined)
    print(write_report(options.paths, options.output, *shown))
    return OK


def _output(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.inspect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "output", help="output directory of a mining job, or of a training run for its lineage; any fsspec URI"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="re-read every checksum, say what is missing or damaged",
    )
    parser.add_argument(
        "--images",
        action="store_true",
        help="with --verify or --repair: read all images again and compare them with those that were mined; "
        "without --images, only their sizes or a sample are compared",
    )
    parser.add_argument("--repair", action="store_true", help="verify, and make damaged shards due again")
    options = parse_arguments(parser, arguments)
    if options.images and not (options.verify or options.repair):
        parser.error("--images belongs to --verify or --repair")
    from pipeline.configuration.described import read_description
    from pipeline.configuration.fingerprint import kind_of
    from pipeline.inspection.status import print_lineage, print_status
    from pipeline.inspection.verify import repair, verify
    from pipeline.storage.checks import check_readable

    check_readable(options.output, "output")
    if not options.verify and not options.repair:
        if kind_of(read_description(options.output)) == "train":
            print_lineage(options.output)
        else:
            print_status(options.output)
        return OK
    damages = verify(options.output, images=options.images, remark=lambda remark: print(printable(f"note: {remark}")))
    for damage in damages:
        print(printable(f"{damage.file}: {damage.reason}"))
    print(f"{len(damages)} damaged or missing files")
    if options.repair and damages:
        shards = repair(options.output, damages)
        if any(damage.file.startswith("quality/") for damage in damages):
            print("deleted: damaged tables of quality/; python -m jobs.inspect quality writes them again")
        if any(damage.file.startswith("verified/") for damage in damages):
            print("deleted: damaged tables of verified/; python -m jobs.mine --verify-only writes them again")
        if any(damage.file.startswith("hashes/") for damage in damages):
            print("deleted: damaged tables of hashes/; python -m jobs.inspect duplicates --hash writes them again")
        print(f"due again: shards {', '.join(map(str, shards)) or 'none'}; run the same mining command")
        return OK
    return INCOMPLETE if damages else OK


_SUBCOMMANDS: dict[str, Callable[[list[str]], int]] = {
    "diff": diff,
    "duplicates": duplicates,
    "leakage": leakage,
    "precision": precision,
    "proposals": _proposals,
    "quality": quality,
    "report": _report,
}


if __name__ == "__main__":
    sys.exit(main())
