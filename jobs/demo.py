"""The whole method on this machine: no network, no GPU, no data needed.

python -m jobs.demo [--quick | --full] [--output ./demo-output]
python -m jobs.demo --full --ablation loss depth --seeds 0 1 2

Draws a small world, pretrains a small CLIP on it, mines region–noun pairs, adapts CLIP to them as the paper does, and
measures every CLIP on scenes that none was trained on. Results are kept: the same command after an interruption goes
on, and ablations reuse what an earlier demo of the same size made. Exit codes: 0 complete, 1 incomplete (run it again),
2 something has to be changed, 130 interrupted.
"""

import argparse
import os
import sys
import time
from collections import defaultdict
from pathlib import Path

from rich.console import Console

from jobs.command import parse_arguments
from jobs.exit_codes import exit_code
from pipeline.demo.scale import DEFAULT, QUICK
from pipeline.demo.scale import FULL as FULL_SCALE
from pipeline.demo.variants import ATTRIBUTES, BALANCE, BANK, FULL, KEEPING, ROUNDS, ablations


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return exit_code(lambda: _main(arguments))


def _main(arguments: list[str] | None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for all that the demo makes")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick",
        action="store_const",
        const=QUICK,
        dest="scale",
        help="a world so small that CLIP learns next to nothing: shows that everything runs",
    )
    size.add_argument(
        "--full",
        action="store_const",
        const=FULL_SCALE,
        dest="scale",
        help="a larger world: that of the figures in pipeline/microworld/README.md",
    )
    parser.set_defaults(scale=DEFAULT)
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        help="one run for each seed, with a world, a CLIP and groups of nouns of its own",
    )
    names = [*ablations(0.0), BANK, ROUNDS, KEEPING, BALANCE, ATTRIBUTES]
    parser.add_argument(
        "--ablation", nargs="+", choices=[*names, "all"], default=[], help="further variants of the method to compare"
    )
    options = parse_arguments(parser, arguments)
    # Ray Train looks at its workers every two seconds, and takes one report of each at a time: a long while for a run
    # of half a minute.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    chosen = names if "all" in options.ablation else options.ablation
    from jobs.ray_connection import work_on_ray

    work_on_ray(lambda: _demo(options, chosen))


def _demo(options: argparse.Namespace, chosen: list[str]) -> None:
    from pipeline.demo.attributes_report import attribute_tables
    from pipeline.demo.balance import balance_table, run_balance
    from pipeline.demo.keeping import keeping_table, run_keeping
    from pipeline.demo.measures import MeasuredClip, measure_mining
    from pipeline.demo.pages import write_pages
    from pipeline.demo.pictures import draw_pictures
    from pipeline.demo.report import DESIGNED, accuracy_table, mining_table, miou_table, paper_table, write_report
    from pipeline.demo.rounds_report import LABELS_NOTE, labelled_tables
    from pipeline.demo.runs import DemoRuns
    from pipeline.demo.story import paper_variants, run_seed

    seeds = [DemoRuns(options.output, options.scale, seed) for seed in options.seeds]
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {what}", flush=True)

    rows: dict[str, list[MeasuredClip]] = defaultdict(list)
    for runs in seeds:
        for title, measured in run_seed(runs, chosen, say).items():
            rows[title].append(measured)
    labelled = labelled_tables(seeds, chosen, say)
    further = []
    if KEEPING in chosen:
        further.append(keeping_table([run_keeping(runs, say) for runs in seeds]))
    if BALANCE in chosen:
        further.append(balance_table([run_balance(runs, say) for runs in seeds]))
    if ATTRIBUTES in chosen:
        further += attribute_tables(
            [DemoRuns(options.output, options.scale, seed, attributes=True) for seed in options.seeds], say
        )
    first = seeds[0]
    mining = measure_mining(first.mined, first.folder / "mined-world")
    pictures = draw_pictures(first, FULL)
    write_report(first.folder / "report.json", rows, mining)
    # In a log, where there is no terminal, lines may be longer than the usual 80 characters.
    console = Console(width=None if sys.stdout.isatty() else 120)
    for table in (
        mining_table(mining),
        accuracy_table(rows),
        miou_table(rows),
        paper_table(rows),
        *labelled,
        *further,
    ):
        console.print(table)
    print(DESIGNED)
    if labelled:
        print(LABELS_NOTE)
    say("writing the report")
    page = write_pages(first, paper_variants(first))
    print(f"before and after: {pictures[0].parent}")
    print(f"look at it: {page} ({time.monotonic() - started:.0f} s in all)")


if __name__ == "__main__":
    sys.exit(main())
