"""Mine region–noun pairs from image captions.

python -m jobs.mine --config jobs/mine.yaml --captions.path captions.json --output ./mined

The same command after any failure carries on where it stopped. Exit codes: 0 complete, 1 incomplete (run it again),
2 the configuration has to be changed, 130 interrupted.
"""

import sys

from jobs.command import Command
from pipeline.inspection import print_status
from pipeline.mining.config import MineConfig
from pipeline.mining.plan import print_plan
from pipeline.mining.run import mine


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, mine, print the summary; gives the exit code."""
    command = Command("jobs.mine", __doc__, MineConfig)
    command.parser.add_argument(
        "--overwrite",
        action="store_true",
        help="Delete the dataset in the output directory and start anew.",
    )
    command.parser.add_argument(
        "--dry-run",
        action="store_true",
        help="Print what would be done and written; write nothing.",
    )

    def run(config: MineConfig, flags: dict) -> None:
        if flags["dry_run"]:
            print_plan(config)
        else:
            mine(config, overwrite=flags["overwrite"])
            print_status(config.output)

    return command.run(run, arguments)


if __name__ == "__main__":
    sys.exit(main())
