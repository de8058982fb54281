"""Write a mined dataset in the format of another program.

python -m jobs.export OUTPUT --format coco --to pairs.json        # COCO instances; nouns are the categories
python -m jobs.export OUTPUT --format coco --to pairs.json --images FOLDER   # and the images, for those in tars or zips
python -m jobs.export OUTPUT --format datasets --to FOLDER        # for Hugging Face's load_dataset(FOLDER)
python -m jobs.export OUTPUT --format fiftyone --to FOLDER        # images with masks by path

OUTPUT is the output directory of a mining job; of one that is not complete, the committed shards are exported.
Exit codes: 0 written, 1 storage failed (run it again), 2 something has to be changed, 130 interrupted.
"""

import argparse
import sys

from jobs.command import parse_arguments
from jobs.exit_codes import exit_code


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return exit_code(lambda: _export(_parse(arguments)))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", help="output directory of a mining job, any fsspec URI")
    parser.add_argument(
        "--format", choices=("coco", "datasets", "fiftyone"), required=True, help="what reads the result: see above"
    )
    parser.add_argument(
        "--to", required=True, help="the file (coco) or folder to write; any fsspec URI, local for fiftyone"
    )
    parser.add_argument(
        "--images",
        help="coco: a folder to write the images into, for sources whose images are in tars or zip files; "
        "fiftyone: where the images are on this machine, if not where they were mined",
    )
    options = parse_arguments(parser, arguments)
    if options.images and options.format == "datasets":
        parser.error("--images is for --format coco and fiftyone; datasets holds its own pictures")
    return options


def _export(options: argparse.Namespace) -> None:
    if options.format == "coco":
        from pipeline.export.coco import export_coco

        written = export_coco(options.output, options.to, options.images)
        complete = written.complete
        print(f"{options.to}: {written.pairs} pairs of {written.nouns} nouns on {written.images} images")
        if written.unnamed:
            print(
                f"warning: {written.unnamed} images are in archives, where other programs do not find them by "
                "file_name; --images FOLDER writes them out",
                file=sys.stderr,
            )
        if written.scaled and not options.images:
            print(
                f"warning: {written.scaled} images were scaled down for mining (images.max_side); masks and boxes are "
                "of the size that the file states, the images' own is original_width × original_height",
                file=sys.stderr,
            )
    elif options.format == "datasets":
        from pipeline.export.hugging_face import export_datasets

        exported = export_datasets(options.output, options.to)
        complete = exported.complete
        before = f", {exported.shards_before} of them before" if exported.shards_before else ""
        print(
            f"{options.to}: {exported.pairs} pairs, {exported.shards} shards{before}; "
            f"datasets.load_dataset({options.to!r})"
        )
    else:
        from pipeline.export.fiftyone import export_fiftyone

        found = export_fiftyone(options.output, options.to, options.images)
        complete = found.complete
        print(
            f"{options.to}: {found.pairs} pairs on {found.images} images; fiftyone.Dataset.from_dir("
            f"dataset_dir={options.to!r}, dataset_type=fiftyone.types.FiftyOneDataset)"
        )
    if not complete:
        print("warning: mining is not complete; what is committed was exported", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
