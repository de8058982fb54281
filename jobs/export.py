"""Write a mined dataset in the format of another program.

python -m jobs.export OUTPUT --format coco --to pairs.json        # COCO instances; nouns are the categories
python -m jobs.export OUTPUT --format coco --to pairs.json --images FOLDER   # and the images, for those in tars or zips
python -m jobs.export OUTPUT --format datasets --to FOLDER        # for Hugging Face's load_dataset(FOLDER)
python -m jobs.export OUTPUT --format datasets --to hf://datasets/ORG/NAME     # the same, uploaded to the hub
python -m jobs.export OUTPUT --format fiftyone --to FOLDER        # images with masks by path
python -m jobs.export OUTPUT… --format bank --to BANK             # regions that segmentation asks; adds to a bank
python -m jobs.export --format bank --to BANK --remove OUTPUT     # takes a dataset out of a bank

OUTPUT is the output directory of a mining job; of one that is not complete, the committed shards are exported.
Exit codes: 0 written, 1 storage failed (run it again), 2 something has to be changed, 130 interrupted.
"""

import argparse
import sys

from jobs.command import parse_arguments
from jobs.exit_codes import exit_code

_FLAGS = {"architecture": "clip.architecture", "weights": "clip.weights", "templates": "clip.templates",
          "fill": "regions.fill", "expand": "regions.expand"}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return exit_code(lambda: _export(_parse(arguments)))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "output", nargs="*", help="output directory of a mining job, any fsspec URI; for a bank one or several"
    )
    parser.add_argument(
        "--format",
        choices=("coco", "datasets", "fiftyone", "bank"),
        required=True,
        help="what reads the result: see above",
    )
    parser.add_argument(
        "--to",
        required=True,
        help="the file (coco) or folder to write; any fsspec URI, local for fiftyone; for datasets also "
        "hf://datasets/ORG/NAME[@BRANCH], with the token of `hf auth login` or HF_TOKEN",
    )
    parser.add_argument(
        "--private",
        action=argparse.BooleanOptionalAction,
        help="hf://: whether the dataset is seen by its owners alone; a new one is, unless told otherwise, since its "
        "images may have licences, and what was public cannot be taken back; one that is there stays what it is",
    )
    parser.add_argument(
        "--images",
        help="coco: a folder to write the images into, for sources whose images are in tars or zip files; "
        "fiftyone: where the images are on this machine, if not where they were mined",
    )
    bank = parser.add_argument_group("bank", "only for --format bank")
    bank.add_argument("--remove", metavar="OUTPUT", help="take this dataset out: its URI, or the name of its segment")
    bank.add_argument("--where", help="SQL condition on the pairs, as data.where of jobs.train")
    bank.add_argument(
        "--clip.architecture",
        dest="architecture",
        help="the CLIP that will segment, if not the one of the bank, or the one that matched the first OUTPUT",
    )
    bank.add_argument("--clip.weights", dest="weights", help="its weights; leave it out for local-dir: and hf-hub:")
    bank.add_argument(
        "--clip.templates",
        dest="templates",
        help="prompt templates of the nouns: none, photo, vild (by default), imagenet, or a file with one a line",
    )
    bank.add_argument(
        "--regions.fill", dest="fill", choices=("mean", "zero", "none"), help="as of the job that will segment"
    )
    bank.add_argument("--regions.expand", dest="expand", type=float, help="as of the job that will segment")
    options = parse_arguments(parser, arguments)
    on_the_hub = options.to.startswith("hf://")
    if on_the_hub and options.format != "datasets":
        parser.error(
            f"--format {options.format} is not written to the hub; write it to a folder, and send that with `hf upload`"
        )
    if options.private is not None and not on_the_hub:
        parser.error("--private is for --to hf://datasets/ORG/NAME")
    of_bank = ("remove", "where", "architecture", "weights", "templates", "fill", "expand")
    if options.format == "bank":
        if options.images:
            parser.error("--images is for --format coco and fiftyone")
        if bool(options.output) == bool(options.remove):
            parser.error("--format bank takes an OUTPUT to add, or --remove OUTPUT")
        return options
    if given := [name for name in of_bank if getattr(options, name) is not None]:
        parser.error(f"--{_FLAGS.get(given[0], given[0])} is for --format bank")
    if len(options.output) != 1:
        parser.error(f"--format {options.format} takes one OUTPUT, and {len(options.output)} are given")
    [options.output] = options.output
    if options.images and options.format == "datasets":
        parser.error("--images is for --format coco and fiftyone; datasets holds its own pictures")
    return options


def _export(options: argparse.Namespace) -> None:
    if options.format == "bank":
        complete = _export_bank(options)
    elif options.format == "coco":
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

        exported = export_datasets(options.output, options.to, options.private)
        complete = exported.complete
        before = f", {exported.shards_before} of them before" if exported.shards_before else ""
        print(
            f"{exported.described}: {exported.pairs} pairs, {exported.shards} shards{before}; "
            f"datasets.load_dataset({exported.load})"
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


def _export_bank(options: argparse.Namespace) -> bool:
    """Add datasets to a bank, or take one out; returns whether all of them are mined to the end."""
    from pipeline.export.bank import export_bank, remove_from_bank
    from pipeline.export.bank_source import BankSettings
    from pipeline.regions.config import RegionsConfig

    if options.remove:
        bank = remove_from_bank(options.to, options.remove)
    else:
        regions = None
        if options.fill or options.expand is not None:
            regions = RegionsConfig(options.fill or "mean", 1.0 if options.expand is None else options.expand)
        weights = None if options.weights in ("null", "") else options.weights
        settings = BankSettings(options.architecture, weights, regions, options.where, options.templates or "vild")
        bank = export_bank(options.output, options.to, settings)
        before = f", {bank.before} were there before" if bank.before else ""
        print(f"{options.to}: {bank.added} shards encoded{before}")
    print(f"{options.to}: {bank.entries} mined regions of {bank.datasets} datasets, for segmentation.bank.path")
    if bank.without_sha256:
        print(
            f"warning: {bank.without_sha256} images have no SHA-256, since they were never files; whether they are the "
            "ones that are segmented is not known",
            file=sys.stderr,
        )
    return bank.complete


if __name__ == "__main__":
    sys.exit(main())
