"""The command lines of `python -m jobs.inspect duplicates` and `leakage`: images that are copies of others."""

import argparse

from jobs.command import parse_arguments
from jobs.exit_codes import OK
from pipeline.errors import UserError


def duplicates(arguments: list[str]) -> int:
    """Group the near-duplicates of a mined dataset; returns the exit code.

    Raises:
        SystemExit, UserError, OSError: as the jobs' other commands.
    """
    parser = _parser("duplicates", "Which images of a mined dataset are near-duplicates, by their perceptual hashes.")
    parser.add_argument("--output", dest="to", help="write all groups: NAME.parquet or NAME.json, any fsspec URI")
    parser.add_argument(
        "--hash",
        action="store_true",
        help="first read the images again whose hashes are lacking (of datasets of older versions), and write hashes/",
    )
    options = parse_arguments(parser, arguments)
    if options.to and not options.to.endswith((".parquet", ".json")):
        raise UserError(f"--output: {options.to} is to be a table: give a name that ends in .parquet or .json")
    if options.hash:
        from pipeline.mining.hashing import hash_images

        print(hash_images(options.output))
    from pipeline.duplicates.groups import DISTANCE, find_duplicates, write_duplicates
    from pipeline.duplicates.terminal import print_duplicates

    found = find_duplicates(options.output, DISTANCE if options.distance is None else options.distance)
    print_duplicates(found)
    if options.to:
        write_duplicates(found, options.to)
        print(options.to)
    return OK


def leakage(arguments: list[str]) -> int:
    """Compare a mined dataset with images that one evaluates on; returns the exit code, 0 whatever is found.

    Raises:
        SystemExit, UserError, OSError: as the jobs' other commands.
    """
    parser = _parser("leakage", "Which mined images are copies of images that one evaluates on, with pictures.")
    parser.add_argument(
        "--against", required=True, help="folder of images (with the folders in it), or another mined dataset"
    )
    parser.add_argument("--name", help="what the comparison is called; by default the last part of --against")
    options = parse_arguments(parser, arguments)
    from pipeline import storage
    from pipeline.dataset.layout import LEAKAGE
    from pipeline.duplicates.groups import DISTANCE
    from pipeline.duplicates.leakage import find_leakage, write_leakage
    from pipeline.duplicates.terminal import print_leakage
    from pipeline.report.leakage import write_leakage_report

    storage.check_readable(options.output, "output")
    storage.check_writable(options.output, "output")
    distance = DISTANCE if options.distance is None else options.distance
    found = find_leakage(options.output, options.against, options.name, distance)
    folder = storage.join(options.output, LEAKAGE)
    print_leakage(found)
    print(write_leakage(found, folder))
    print(write_leakage_report(found, options.output, options.against, storage.join(folder, f"{found.name}.html")))
    return OK


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m jobs.inspect {name}", description=description)
    parser.add_argument("output", metavar="OUTPUT", help="output directory of a mining job, any fsspec URI")
    parser.add_argument(
        "--distance", type=int, help="bits of 64 in which hashes of copies differ at most, 0 to 16; by default 6"
    )
    return parser
