"""Look at an output directory, from storage alone: status, counts, top nouns, scores, reject reasons.

python -m jobs.inspect OUTPUT [--verify | --repair]

Exit codes: 0 fine, 1 damaged files found, 2 no dataset there, or storage cannot be read.
"""

import argparse
import sys

from pipeline import storage
from pipeline.errors import UserError
from pipeline.inspection import print_status, repair, verify


def main(arguments: list[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m jobs.inspect", description=__doc__)
    parser.add_argument("output", help="output directory of a mining job, any fsspec URI")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="re-read every checksum, say what is missing or damaged",
    )
    parser.add_argument("--repair", action="store_true", help="verify, and make damaged shards due again")
    options = parser.parse_args(arguments)
    try:
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
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: storage failed: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
