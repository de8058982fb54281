"""The chain from configuration to results.

What is done is known from storage alone: every job recognises its own result by its fingerprint and leaves it as it is,
and carries on where it stopped. So the chain keeps no state of its own.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from pipeline import storage
from pipeline.chain.config import ChainEvaluation, Jobs
from pipeline.chain.report import report
from pipeline.chain.round_jobs import evaluation_of_round, jobs_of_round
from pipeline.chain.rounds import Rounds, check_rounds, chosen_before, mining_step, training_step
from pipeline.chain.steps import STEPS, ChainStep, StepName
from pipeline.errors import IncompleteError, UserError
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import open_dataset
from pipeline.evaluation.run import evaluate
from pipeline.mining.plan import resolve as resolve_mining
from pipeline.segmentation.loading import check_models
from pipeline.training.config import ModelConfig
from pipeline.training.plan import load_model
from pipeline.training.plan import resolve as resolve_training


def plan_steps(jobs: Jobs) -> Iterator[ChainStep]:
    """The jobs of a chain in their order, and what shows their results.

    With rounds, which steps follow depends on those before them: each is to be run before the next one is asked for.
    Where none is run, they are those of all rounds, and evaluations and report are those of the round that was chosen
    before, or of round 0.
    """
    if jobs.rounds.count:
        rounds = Rounds(jobs)
        yield from rounds.steps()
        best = rounds.best if rounds.rounds else chosen_before(jobs)
    else:
        best = 0
        yield mining_step(jobs_of_round(jobs, 0))
        yield training_step(jobs_of_round(jobs, 0))
    for number in range(len(jobs.evaluations)):
        yield _evaluation_step(evaluation_of_round(jobs, number, best), number)
    yield ChainStep(
        "report", "report", jobs.report, lambda overwrite: report(jobs, best, overwrite=overwrite), "report"
    )


def run_chain(
    jobs: Jobs,
    *,
    overwrite: StepName | None = None,
    begin: Callable[[ChainStep], None],
    end: Callable[[ChainStep, dict], None],
) -> list[tuple[ChainStep, dict]]:
    """Do what is left of a chain on the Ray cluster that this process is connected to.

    Args:
        overwrite: delete what this step and the later ones wrote, each when its turn comes.
        begin: called before each step.
        end: called with its result after each.

    Returns:
        the steps with their results.

    Raises:
        UserError: a job's configuration, its source or its output directory has to be changed. What can be known of
            the later jobs is said before the first one starts.
        IncompleteError: a job ended before its work was done; the same call carries on.
        OSError: storage failed.
    """
    check_chain(jobs)
    done = []
    for step in plan_steps(jobs):
        begin(step)
        with _named(step.section):
            result = step.run(overwrite is not None and STEPS.index(step.name) >= STEPS.index(overwrite))
        end(step, result)
        done.append((step, result))
    return done


def check_chain(jobs: Jobs) -> None:
    """Find out what is wrong with the jobs before hours are spent on the first of them.

    Raises:
        UserError: as the jobs would.
    """
    with _named("mine"):
        resolve_mining(jobs.mine)
        storage.check_writable(jobs.mine.output, "output")
    with _named("train"):
        config = resolve_training(jobs.train)
        storage.check_writable(config.output, "output")
        load_model(config)
    if jobs.rounds.count:
        check_rounds(jobs)
    for number, evaluation in enumerate(jobs.evaluations):
        with _named(f"evaluate[{number}]"):
            _check_evaluation(evaluation, config.model)


def _check_evaluation(evaluation: ChainEvaluation, model: ModelConfig) -> None:
    config = evaluation.config
    if evaluation.trained:
        # It is not there yet; the CLIP that it is made from has the same shape.
        config = replace(config, clip=replace(config.clip, architecture=model.architecture, weights=model.weights))
    config = config.resolved()
    storage.check_writable(config.output, "output")
    check_models(config, open_dataset(config.dataset).classes)


def _evaluation_step(config: EvaluateConfig, number: int) -> ChainStep:
    return ChainStep(
        "evaluate",
        f"evaluate[{number}]",
        config.output,
        lambda overwrite: evaluate(config, overwrite=overwrite),
        "evaluate",
    )


@contextlib.contextmanager
def _named(section: str) -> Iterator[None]:
    """Errors say which section of the configuration they are about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{section}: {error}") from error
    except IncompleteError as error:
        raise IncompleteError(f"{section}: {error}") from error
