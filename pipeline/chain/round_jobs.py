"""The jobs of a round: what adapts the CLIP that matches again, the mining with it, and the training on what it found.

Round 0 is the mining and the training of the chain itself. Where everything of a later round lies follows from its
number, so that a chain finds what is done from storage alone.
"""

import re
from dataclasses import dataclass, replace

from pipeline import storage
from pipeline.chain.config import ChainEvaluation, Jobs
from pipeline.evaluation.config import EvaluateConfig
from pipeline.mining.config import MineConfig
from pipeline.training.config import DataConfig, TrainConfig
from pipeline.training.run_directory import RunDirectory

FOLDS = 2


@dataclass(frozen=True)
class RoundJobs:
    """The configurations of the jobs of one round."""

    number: int
    matchers: list[TrainConfig]
    """Adapt the CLIP that matches again: none in round 0; one, or with cross-fitting one for each fold of images that
    it matches."""
    mine: MineConfig
    train: TrainConfig

    @property
    def clip(self) -> str:
        """The adapted CLIP of the round, as an architecture."""
        return _model(self.train)


def jobs_of_round(jobs: Jobs, number: int) -> RoundJobs:
    """The jobs of a round; of those before it only the places are used."""
    if not number:
        return RoundJobs(0, [], jobs.mine, jobs.train)
    rounds, folder = jobs.rounds, round_folder(jobs, number)
    before = jobs_of_round(jobs, number - 1).mine.output
    assert rounds.matcher is not None  # `resolve_rounds` fills it in
    matching = replace(
        jobs.train, dataset=before, mode=rounds.matcher, data=matcher_data(jobs), output=storage.join(folder, "matcher")
    )
    matchers = [matching]
    if rounds.cross_fit:  # those that match the images of fold 0 and of fold 1, adapted to the other one
        matchers = [_of_other_fold(matching, fold) for fold in range(FOLDS)]
    clips = [_model(matcher) for matcher in matchers]
    mine = replace(jobs.mine, output=storage.join(folder, "mined"), keep_proposals=False)
    if rounds.cross_fit:  # `clip` embeds the nouns, as in round 0
        mine = replace(mine, cross_fit=clips)
    else:
        mine = replace(mine, clip=replace(mine.clip, architecture=clips[0], weights=None))
    if jobs.mine.keep_proposals:
        kept = replace(jobs.mine.proposals, backend="mined", backends=[], options={"dataset": jobs.mine.output})
        mine = replace(mine, proposals=kept)
    data = jobs.train.data if rounds.final is None else replace(jobs.train.data, where=rounds.final)
    train = replace(jobs.train, dataset=mine.output, data=data, output=storage.join(folder, "adapted"))
    return RoundJobs(number, matchers, mine, train)


def _of_other_fold(matching: TrainConfig, fold: int) -> TrainConfig:
    """Half of the images, twice as often: as many steps as all of them."""
    return replace(
        matching,
        data=replace(matching.data, folds=FOLDS, fold=1 - fold),
        full=replace(matching.full, epochs=FOLDS * matching.full.epochs),
        mask_prompt=replace(matching.mask_prompt, epochs=FOLDS * matching.mask_prompt.epochs),
        output=f"{matching.output}-{fold}",
    )


def matcher_data(jobs: Jobs) -> DataConfig:
    """The pairs of a dataset that the CLIP which matches again is adapted to."""
    data, rounds = jobs.train.data, jobs.rounds
    conditions = [condition for condition in (data.where, rounds.keep) if condition]
    where = " AND ".join(f"({condition})" for condition in conditions) if len(conditions) > 1 else None
    return replace(
        data,
        where=where or next(iter(conditions), None),
        weight=data.weight if rounds.weight is None else rounds.weight,
    )


def needs_p_right(jobs: Jobs, number: int) -> bool:
    """Whether a condition on the pairs of a round, or their weight, names `p_right`."""
    data = [jobs_of_round(jobs, number).train.data]
    if number < jobs.rounds.count:
        data.append(matcher_data(jobs))
    return any(re.search(r"\bp_right\b", text or "") for one in data for text in (one.where, one.weight))


def evaluation_of_round(jobs: Jobs, index: int, number: int) -> EvaluateConfig:
    """An evaluation of the chain, of the CLIP of this round if it is of the trained one."""
    evaluation: ChainEvaluation = jobs.evaluations[index]
    config = evaluation.config
    if not evaluation.trained or not number:
        return config
    output = storage.join(round_folder(jobs, number), "evaluated", f"{index}-{config.dataset.kind}")
    clip = replace(config.clip, architecture=jobs_of_round(jobs, number).clip)
    return replace(config, clip=clip, output=output)


def round_folder(jobs: Jobs, number: int) -> str:
    """Where everything of a later round lies."""
    return storage.join(jobs.output, "rounds", str(number))


def _model(config: TrainConfig) -> str:
    return f"local-dir:{RunDirectory(config.output).model}"
