"""Look at an output directory, from storage alone: status, counts, top nouns, scores, reject reasons.

python -m jobs.inspect OUTPUT [--verify | --repair]
python -m jobs.inspect proposals --config mine.yaml [--annotations instances.json] [--limit 50]

`proposals` tries the proposal backend of a mining configuration on the first images, in this process: proposals and
seconds per image, peak memory, and, with COCO annotations at hand, how well they cover the annotated objects.

Exit codes: 0 fine, 1 damaged files found, 2 no dataset there, or storage cannot be read.
"""

import argparse
import sys

from jobs.command import Command
from pipeline import storage
from pipeline.errors import UserError
from pipeline.inspection import print_status, repair, verify
from pipeline.inspection.proposals import measure_proposals, print_proposals
from pipeline.mining.config import MineConfig


def main(arguments: list[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["proposals"]:
            return _proposals(arguments[1:])
        return _output(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: storage failed: {error}", file=sys.stderr)
    return 2


def _proposals(arguments: list[str]) -> int:
    command = Command("jobs.inspect proposals", "Try the proposals of a mining job on its first images.", MineConfig)
    command.parser.add_argument("--annotations", help="COCO instances or panoptic JSON of these images")
    command.parser.set_defaults(limit=50)
    config, flags = command.parse(arguments)
    print_proposals(measure_proposals(config, flags["annotations"]))
    return 0


def _output(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.inspect", description=__doc__)
    parser.add_argument("output", help="output directory of a mining job, any fsspec URI")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="re-read every checksum, say what is missing or damaged",
    )
    parser.add_argument("--repair", action="store_true", help="verify, and make damaged shards due again")
    options = parser.parse_args(arguments)
    storage.check_readable(options.output, "output")
    if not options.verify and not options.repair:
        print_status(options.output)
        return 0
    damages = verify(options.output)
    for damage in damages:
        print(f"{damage.file}: {damage.reason}")
    print(f"{len(damages)} damaged or missing files")
    if options.repair and damages:
        shards = repair(options.output, damages)
        print(f"due again: shards {', '.join(map(str, shards)) or 'none'}; run the same mining command")
        return 0
    return 1 if damages else 0


if __name__ == "__main__":
    sys.exit(main())
