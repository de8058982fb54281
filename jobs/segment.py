"""Segment images by any class names.

python -m jobs.segment photos --classes "dog, sofa/couch, floor" --output ./segmented

Images, folders, quoted patterns such as 'photos/**/*.jpg', on a disk, on S3 or by https, as many as wanted; or as
`images` in the configuration. Writes label maps, overlays to look at and a COCO panoptic segmentation; with
--things dog, each dog is a segment of its own there.

The same command after any failure carries on where it stopped. Exit codes: 0 complete, 1 incomplete (run it again),
2 the configuration has to be changed, 130 interrupted.
"""

import sys
from dataclasses import replace

from jobs.command import Command
from pipeline.escaping.terminal import printable
from pipeline.segmentation.job_config import SegmentJobConfig


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, segment, say what there is to look at; returns the exit code."""
    command = Command("jobs.segment", __doc__, SegmentJobConfig)
    command.parser.add_argument(
        "paths",
        metavar="IMAGES",
        nargs="*",
        default=[],
        help="What to segment; takes the place of `images` in the configuration.",
    )
    command.parser.add_argument(
        "--overwrite", action="store_true", help="Delete what an earlier job wrote into the output directory."
    )

    def run(config: SegmentJobConfig, flags: dict) -> None:
        if flags["paths"]:
            config = replace(config, images=flags["paths"])
        from pipeline.segmentation.run import segment

        result = segment(config, overwrite=flags["overwrite"])
        _print_result(config.output, result.images, result.done_before, result.rejects)

    return command.run(run, arguments)


def _print_result(output: str, images: int, done_before: int, rejects: list[dict]) -> None:
    before = f", {done_before} of them before" if done_before else ""
    print(f"{images - len(rejects)} of {images} images segmented{before}")
    for reject in rejects[:5]:
        warning = f"warning: {reject['image']}: {reject['reason']}: {reject['detail']}"
        print(printable(warning), file=sys.stderr)
    if rejects:
        print(f"warning: {len(rejects)} images could not be used, see {output}/rejects.json", file=sys.stderr)
    print(
        f"look at {output}/overlays; labels and what they mean are in {output}/labels and {output}/classes.json, the "
        f"same for COCO's tools in {output}/panoptic.json"
    )


if __name__ == "__main__":
    sys.exit(main())
