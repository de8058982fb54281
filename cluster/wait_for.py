"""Wait until a Ray cluster has the machines that a job wants, then become the job.

python cluster/wait_for.py --gpus 8 -- python -m jobs.mine --config jobs/mine.yaml

A job looks at the cluster once, when it starts, and lays out its workers for what is there; an autoscaling cluster
without work has nothing. So GPUs (or CPUs) are reserved first, which makes the autoscaler start machines. When all are
there they are let go, and the job takes the place of this process: exit code and signals are its own.

Exit code 1: they were not there in time.
"""

import argparse
import logging
import os
import sys
import time

import ray
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table

INCOMPLETE = 1
SECONDS_PER_LOOK = 5


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """What to wait for, and the `command` to become."""
    parser = argparse.ArgumentParser(prog="python cluster/wait_for.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--gpus", type=int, default=0, help="GPUs that are free at the same time")
    parser.add_argument("--cpus", type=int, default=0, help="CPUs that are free at the same time")
    parser.add_argument("--nodes", type=int, default=0, help="machines, the head among them")
    parser.add_argument("--minutes", type=float, default=60, help="give up after so long")
    parser.add_argument("command", nargs="+", help="after --: the job")
    return parser.parse_args(arguments)


def main() -> int:
    """Entry point; gives an exit code only if the cluster did not come up, else it does not return."""
    options = parse(None)
    # "auto" is a cluster that runs on this machine; never a new one.
    ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), log_to_driver=False, logging_level=logging.WARNING)
    found = wait_for(options.gpus, options.cpus, options.nodes, options.minutes)
    ray.shutdown()
    if found:
        os.execvp(options.command[0], options.command)
    print(f"incomplete: not there after {options.minutes:g} minutes; run it again", file=sys.stderr)
    return INCOMPLETE


def wait_for(gpus: int, cpus: int, nodes: int, minutes: float) -> bool:
    """Whether the connected cluster has all of it within that time. What is reserved is let go with this driver."""
    # One group each: what is there is held, and so not idle, while the rest is still on its way.
    groups = [placement_group([{kind: 1}]) for kind, count in (("GPU", gpus), ("CPU", cpus)) for _ in range(count)]
    started = time.monotonic()
    before = ""
    while True:
        reserved = sum(map(is_reserved, groups))
        alive = sum(node["Alive"] for node in ray.nodes())
        if reserved == len(groups) and alive >= nodes:
            return True
        if time.monotonic() - started > 60 * minutes:
            return False
        shown = [f"{alive} of {nodes} machines"] if nodes else []
        shown += [f"{reserved} of {len(groups)} GPUs and CPUs"] if groups else []
        now = f"waiting: {', '.join(shown)} are there"
        if now != before:
            print(now, flush=True)
        before = now
        time.sleep(SECONDS_PER_LOOK)


def is_reserved(group: PlacementGroup) -> bool:
    """Whether a machine holds the group's share."""
    return placement_group_table(group)["state"] == "CREATED"


if __name__ == "__main__":
    sys.exit(main())
