"""Mine, adapt, evaluate and report: the whole chain as one job, from one file.

python -m jobs.run --config jobs/run.yaml --output s3://bucket/run
python -m jobs.run --mine jobs/mine.yaml --train jobs/train-ViT-B-16.yaml --output ./run    # sections as files
python -m jobs.run --config jobs/run-rounds.yaml --output ./run --rounds.labels labels.json   # mined again

`mine`, `train` and `evaluate` take every key of their jobs; the data set to train on, the CLIP to evaluate and the
output directories are filled in; OUTPUT/report/index.html shows what came out. The same command after any failure
carries on where it stopped. Exit codes: 0 complete, 1 incomplete (run it again), 2 the configuration has to be changed,
130 interrupted.
"""

import sys

from rich.console import Console
from rich.markup import escape

from jobs.command import Command
from pipeline.chain.config import ChainConfig, Jobs, resolve
from pipeline.chain.steps import STEPS, ChainStep
from pipeline.errors import UserError
from pipeline.evaluation.published import COLUMNS


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run the chain, print the comparison; returns the exit code."""
    command = Command("jobs.run", __doc__, ChainConfig)
    command.parser.add_argument(
        "--overwrite", choices=STEPS, help="Delete what this step and the later ones wrote, and start anew from it."
    )
    command.parser.add_argument(
        "--dry-run", action="store_true", help="Check everything and print what would be done; write nothing."
    )

    def run(config: ChainConfig, flags: dict) -> None:
        jobs = resolve(config)
        if flags["dry_run"]:
            _print_dry_run(jobs)
            return
        from pipeline.chain.run import run_chain

        done = run_chain(jobs, overwrite=flags["overwrite"], begin=_say_begin, end=_say_end)
        for step, result in done:
            if step.part == "rounds":
                _print_rounds(result)
        _print_evaluations(jobs, [(step, result) for step, result in done if step.name == "evaluate"])

    return command.run(run, arguments)


def _print_dry_run(jobs: Jobs) -> None:
    from pipeline.chain.run import check_chain, plan_steps
    from pipeline.mining.plan import print_plan

    check_chain(jobs)
    print_plan(jobs.mine)
    for step in plan_steps(jobs):
        _say_begin(step)


def _say_begin(step: ChainStep) -> None:
    print(f"{step.section} → {step.output}", flush=True)


def _say_end(step: ChainStep, result: dict) -> None:
    print(f"{step.section} is done: {_SAID[step.part](result)}", flush=True)


def _mined(result: dict) -> str:
    return f"{result['pairs']} pairs from {result['images_with_pairs']} of {result['images']} images"


def _trained(result: dict) -> str:
    steps = ", ".join(f"{count} steps {stage}" for stage, count in result["steps"].items())
    return steps + "".join(f"; {row['accuracy_top1']:.1%} of held-out regions" for row in result["accuracy"][-1:])


def _evaluated(result: dict) -> str:
    scores = {branch: found["miou"] for branch, found in result["scores"].items()}
    return ", ".join(f"mIoU {miou:.1%} ({branch})" for branch, miou in scores.items() if miou is not None)


def _judged(result: dict) -> str:
    figures = {name: result["measured"][name] for name in ("accuracy", "retention")}
    said = [f"{name} {value:.1%}" for name, value in figures.items() if value is not None]
    decision = result["decision"]
    outcome = "stops here" if decision["stops"] else "goes on" if decision["eligible"] else "violates a guard"
    return ", ".join([*said, *decision["reasons"], outcome])


_SAID = {
    "mine": _mined,
    "quality": lambda result: f"p_right of {result['pairs']} pairs from {result['labels']} labels",
    "train": _trained,
    "evaluate": _evaluated,
    "held out": _judged,
    "rounds": lambda result: f"round {result['best']} is the best: {result['model']}",
    "report": lambda result: result["page"],
}


def _print_rounds(result: dict) -> None:
    from pipeline.chain.rounds_table import rounds_table

    Console().print(rounds_table(result))


def _print_evaluations(jobs: Jobs, evaluated: list[tuple[ChainStep, dict]]) -> None:
    """The scores of every evaluation, and those that others have published figures for beside them.

    Args:
        evaluated: the evaluations with their results.
    """
    from jobs.evaluate_compare import print_comparison
    from pipeline.evaluation.panoptic_comparison import PANOPTIC_KINDS
    from pipeline.evaluation.table import result_tables

    compared = []
    for evaluation, (step, result) in zip(jobs.evaluations, evaluated, strict=True):
        for table in result_tables(result):
            table.title = f"{escape(evaluation.label)}, {table.title}"
            Console().print(table)
        if evaluation.config.dataset.kind in (*COLUMNS.values(), *PANOPTIC_KINDS):
            compared.append(f"{evaluation.label}={step.output}")
    if compared:
        try:
            print_comparison(compared)
        except UserError as error:  # the chain is complete all the same
            print(f"warning: nothing to compare: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
