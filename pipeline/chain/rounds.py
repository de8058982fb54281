"""The rounds of a chain: match again with the adapted CLIP, adapt the original one to what was found, judge, choose.

What is done is known from storage alone, as everywhere in a chain: jobs recognise their results, quality tables and
figures of the held-out images what they were made of. So the decisions are taken anew every time, from the same
figures, and come out the same.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

from pipeline import storage
from pipeline.chain.agreement import compare_with_first
from pipeline.chain.config import Jobs
from pipeline.chain.decisions import Decision, Round, best_round, decide
from pipeline.chain.held_out import HeldOut, Measured, measure_held_out
from pipeline.chain.labelled_rounds import LabelledRounds
from pipeline.chain.round_jobs import RoundJobs, evaluation_of_round, jobs_of_round, matcher_data, needs_p_right
from pipeline.chain.steps import ChainStep, StepName
from pipeline.dataset.opening import open_mined_dataset
from pipeline.errors import UserError
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.label_maps import main_branch
from pipeline.evaluation.run import evaluate
from pipeline.mining.run import mine
from pipeline.quality.labels import read_labels
from pipeline.storage.documents import read_json
from pipeline.training.config import TrainConfig
from pipeline.training.expression import parse_expression
from pipeline.training.plan import check_resources, resolve
from pipeline.training.run import train

ROUNDS = "rounds.json"


class Rounds:
    """The rounds of one chain, from the first mining on."""

    def __init__(self, jobs: Jobs):
        self._jobs = jobs
        self._labels = LabelledRounds(jobs)
        self._measured: dict[int, Measured] = {}
        self._original: Measured | None = None
        self._mious: dict[int, float | None] = {}
        self.rounds: list[Round] = []
        """The figures of those that are done."""
        self.decisions: list[Decision] = []

    @property
    def best(self) -> int:
        """The number of the best round so far."""
        return best_round(self.rounds, self.decisions, self._jobs.rounds.stop, self._by_miou)

    def steps(self) -> Iterator[ChainStep]:
        """The steps, as the decisions of those before them give them; where none is done, those of all rounds."""
        for number in range(self._jobs.rounds.count + 1):
            yield from self._steps_of_round(jobs_of_round(self._jobs, number))
            if self.decisions and self.decisions[-1].stops:
                break
        output = storage.join(self._jobs.output, ROUNDS)
        yield ChainStep("rounds", "rounds", output, lambda _: self._write(), "rounds")

    def _steps_of_round(self, jobs: RoundJobs) -> Iterator[ChainStep]:
        number, rounds = jobs.number, self._jobs.rounds
        for index, matcher in enumerate(jobs.matchers):
            fold = f" {index}" if rounds.cross_fit else ""
            section = f"round {number}, matcher{fold} (train, rounds.keep)"
            yield _training("rounds", section, matcher)
        yield mining_step(jobs)
        if rounds.labels and needs_p_right(self._jobs, number):
            quality = storage.join(jobs.mine.output, "quality")
            section = f"round {number}, quality (rounds.labels)"
            yield ChainStep("rounds", section, quality, lambda _: self._labels.write(number), "quality")
        yield training_step(jobs)
        if rounds.choose_by is not None:
            evaluation = evaluation_of_round(self._jobs, rounds.choose_by, number)
            section = f"round {number}, evaluate[{rounds.choose_by}]"
            yield ChainStep("rounds", section, evaluation.output, self._evaluating(evaluation, number), "evaluate")
        section = f"round {number}, held-out images (rounds.keep)"
        yield ChainStep("rounds", section, self._figures(number), lambda _: self._judge(jobs), "held out")

    def _evaluating(self, config: EvaluateConfig, number: int) -> Callable[[bool], dict]:
        def run(overwrite: bool) -> dict:
            result = evaluate(config, overwrite=overwrite)
            scores = result["scores"]
            self._mious[number] = scores[main_branch(scores)]["miou"] if scores else None
            return result

        return run

    def _figures(self, number: int | str) -> str:
        return storage.join(self._jobs.output, "rounds", "held-out", f"{number}.json")

    def _judge(self, jobs: RoundJobs) -> dict:
        """Measure the CLIP of a round, and decide whether another one follows."""
        config, rounds = resolve(self._jobs.train), self._jobs.rounds
        held_out = HeldOut(replace(config, data=matcher_data(self._jobs)), self._jobs.mine.images, rounds.max_images)
        gpu = check_resources(config)
        if self._original is None:
            model = config.model
            uri = self._figures("original")
            self._original = measure_held_out(held_out, model.architecture, model.weights, uri, gpu)
        number = jobs.number
        measured = measure_held_out(held_out, jobs.clip, None, self._figures(number), gpu)
        self._measured[number] = measured
        first, dataset = (open_mined_dataset(uri) for uri in (self._jobs.mine.output, jobs.mine.output))
        found = compare_with_first(first, dataset)
        row = Round(
            number,
            found.b.pairs,
            found.b.nouns,
            measured.accuracy,
            measured.retention,
            found.agreement if number else None,
            found.nouns_survived if number else None,
            self._labels.follow(number),
            self._mious.get(number),
            measured.regions,
        )
        self.rounds.append(row)
        decision = decide(self.rounds, self._original.retention, rounds.stop, self._by_miou)
        self.decisions.append(decision)
        return {"round": asdict(row), "decision": asdict(decision), "measured": asdict(measured)}

    @property
    def _by_miou(self) -> bool:
        return self._jobs.rounds.choose_by is not None

    def _write(self) -> dict:
        assert self._original is not None  # round 0 is judged
        best = jobs_of_round(self._jobs, self.best)
        result = {
            "best": self.best,
            "model": best.clip.removeprefix("local-dir:"),
            "chosen_by": "miou" if self._by_miou else "accuracy",
            "original": asdict(self._original),
            "rounds": [
                {
                    **asdict(row),
                    "held_out": asdict(self._measured[row.number]),
                    "decision": asdict(decision),
                    "mined": jobs.mine.output,
                    "matchers": [matcher.output for matcher in jobs.matchers],
                    "adapted": jobs.train.output,
                }
                for row, decision in zip(self.rounds, self.decisions, strict=True)
                for jobs in [jobs_of_round(self._jobs, row.number)]
            ],
        }
        data = json.dumps(result, indent=1).encode()
        uri = storage.join(self._jobs.output, ROUNDS)
        if not storage.exists(uri) or storage.read_bytes(uri) != data:
            storage.write_bytes(uri, data)
        return result


def check_rounds(jobs: Jobs) -> None:
    """Find out what is wrong with the rounds before the first of them.

    Raises:
        UserError: the labels cannot be read, a condition is none, or a training of a later round is not possible.
    """
    if jobs.rounds.labels:
        try:
            read_labels(jobs.rounds.labels)
        except UserError as error:
            raise UserError(f"rounds.labels: {error}") from error
    for key in ("keep", "weight", "final"):
        if text := getattr(jobs.rounds, key):
            parse_expression(f"rounds.{key}", text)
    for config in (*jobs_of_round(jobs, 1).matchers, jobs_of_round(jobs, 1).train):
        resolve(config)


def chosen_before(jobs: Jobs) -> int:
    """The number of the best round, as an earlier run of the chain has found it; 0 if there was none."""
    try:
        best = read_json(storage.join(jobs.output, ROUNDS)).get("best")
    except FileNotFoundError:
        return 0
    return best if type(best) is int and 0 <= best <= jobs.rounds.count else 0


def mining_step(jobs: RoundJobs) -> ChainStep:
    """The mining of a round."""
    section = f"round {jobs.number}, mine" if jobs.number else "mine"
    return ChainStep(
        "rounds" if jobs.number else "mine",
        section,
        jobs.mine.output,
        lambda overwrite: mine(jobs.mine, overwrite=overwrite),
        "mine",
    )


def training_step(jobs: RoundJobs) -> ChainStep:
    """The training on what a round has mined."""
    section = f"round {jobs.number}, train" if jobs.number else "train"
    return _training("rounds" if jobs.number else "train", section, jobs.train)


def _training(name: StepName, section: str, config: TrainConfig) -> ChainStep:
    return ChainStep(name, section, config.output, lambda overwrite: train(config, overwrite=overwrite), "train")
