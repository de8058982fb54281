"""Mine region–noun pairs from image captions.

python -m jobs.mine --config jobs/mine.yaml --captions.path captions.json --output ./mined
python -m jobs.mine --config jobs/mine.yaml --captions.path captions.json --output ./mined --verify-only
python -m jobs.mine --config jobs/mine.yaml --simulate nodes=64,gpus_per_node=8,images=100_000_000

The same command after any failure carries on where it stopped. Exit codes: 0 complete, 1 incomplete (run it again),
2 the configuration has to be changed, 130 interrupted.
"""

import sys

from jobs.command import Command
from jobs.exit_codes import exit_code
from pipeline.escaping.terminal import printable
from pipeline.mining.config import MineConfig
from pipeline.simulation.config import parse_simulation


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, mine, print the summary; returns the exit code."""
    return exit_code(lambda: _main(arguments))


def _main(arguments: list[str] | None) -> None:
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
    command.parser.add_argument(
        "--verify-only",
        action="store_true",
        help="Have the CLIPs of `verify` score the candidates of the dataset that is there; propose and match nothing.",
    )
    command.parser.add_argument(
        "--retry-rejected",
        nargs="+",
        metavar="REASON",
        help="First ask again for the images that were rejected for these reasons (unreachable, timed_out, "
        "missing_file, …), and mine the shards of those again that can be read now.",
    )
    command.parser.add_argument(
        "--simulate",
        metavar="KEY=VALUE,…",
        help="Schedule the job on a cluster that is simulated here, and print hours and costs; read and write nothing.",
    )
    config, flags = command.parse(arguments)
    if flags["verify_only"] and any(flags[other] for other in ("overwrite", "dry_run", "simulate")):
        command.parser.error("--verify-only excludes --overwrite, --dry-run and --simulate")
    if flags["retry_rejected"] and any(flags[other] for other in ("overwrite", "dry_run", "verify_only", "simulate")):
        command.parser.error("--retry-rejected excludes --overwrite, --dry-run, --verify-only and --simulate")
    if flags["simulate"]:  # which has a Ray of its own
        simulation = parse_simulation(flags["simulate"])
        from pipeline.simulation.report import print_simulation
        from pipeline.simulation.run import simulate

        print_simulation(config, simulation, simulate(config, simulation))
    else:
        from jobs.ray_connection import work_on_ray

        work_on_ray(lambda: _mine(config, flags))


def _mine(config: MineConfig, flags: dict) -> None:
    if flags["dry_run"]:
        from pipeline.mining.plan import print_plan

        print_plan(config)
    elif flags["verify_only"]:
        from pipeline.inspection.status import print_status
        from pipeline.mining.verifying import verify_only

        for line in verify_only(config).described():
            print(printable(line))
        print_status(config.output)
    else:
        from pipeline.inspection.status import print_status
        from pipeline.mining.run import mine

        if flags["retry_rejected"]:
            from pipeline.mining.retrying import make_due

            for line in make_due(config, flags["retry_rejected"]).described():
                print(printable(line))
        mine(config, overwrite=flags["overwrite"])
        print_status(config.output)


if __name__ == "__main__":
    sys.exit(main())
