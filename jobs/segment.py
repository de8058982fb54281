"""Segment images by any class names.

python -m jobs.segment --images photos --classes '[dog, "sofa, couch", floor]' --output ./segmented

The same command after any failure carries on where it stopped. Exit codes: 0 complete, 1 incomplete (run it again),
2 the configuration has to be changed, 130 interrupted.
"""

import sys

from jobs.command import Command
from pipeline.segmentation.job import SegmentConfig
from pipeline.segmentation.run import SegmentResult, segment


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, segment, say what there is to look at; gives the exit code."""
    command = Command("jobs.segment", __doc__, SegmentConfig)
    command.parser.add_argument(
        "--overwrite", action="store_true", help="Delete what an earlier job wrote into the output directory."
    )
    return command.run(
        lambda config, flags: _print_result(config.output, segment(config, overwrite=flags["overwrite"])), arguments
    )


def _print_result(output: str, result: SegmentResult) -> None:
    segmented = result.images - len(result.rejects)
    before = f", {result.done_before} of them before" if result.done_before else ""
    print(f"{segmented} of {result.images} images segmented{before}")
    for reject in result.rejects[:5]:
        print(f"warning: {reject['image']}: {reject['reason']}: {reject['detail']}", file=sys.stderr)
    if result.rejects:
        print(f"warning: {len(result.rejects)} images could not be used, see {output}/rejects.json", file=sys.stderr)
    print(f"look at {output}/overlays; labels and what they mean are in {output}/labels and {output}/classes.json")


if __name__ == "__main__":
    sys.exit(main())
