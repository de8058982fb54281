"""What `rounds.…` in the configuration of a chain can say."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import LocalPath
from pipeline.configuration.paths import with_absolute_paths
from pipeline.errors import UserError
from pipeline.training.config import Mode, TrainConfig

BEST_80 = "percent_rank() over (order by p_right desc) < 0.8"
"""Pairs for the CLIP that matches again, where labels say which are right."""


@dataclass
class StopConfig:
    """When no further round is begun. A share that is null is not looked at."""

    min_gain: Annotated[float, Limit(ge=-1, le=1)] | None = 0.0
    """Stop after a round that is not better than the best one before by more than this share of held-out regions (or
    of mIoU, by `choose_by`), `errors` given in its favour."""
    errors: Annotated[float, Limit(ge=0)] = 2.0
    """So many standard errors of the accuracy are no loss. The held-out regions are those that round 0 chose: a CLIP
    that corrects round 0 gains nothing on them, and small differences are chance. (Of mIoU no error is known.)"""
    max_retention_loss: Annotated[float, Limit(ge=0, le=1)] | None = 0.1
    """Guard: whole held-out images whose nearest noun is one that their captions name may become rarer by this share of
    them than after round 0; what round 0 loses against the original CLIP is told."""
    min_nouns: Annotated[float, Limit(ge=0, le=1)] | None = 0.9
    """Guard: share of round 0's nouns that still have a pair."""
    min_agreement: Annotated[float, Limit(ge=0, le=1)] | None = 0.4
    """Guard: share of the pairs in common with round 0 (same image, same noun) that have the same region (IoU of 0.9 or
    more)."""
    min_right_kept: Annotated[float, Limit(ge=0, le=1)] | None = 0.5
    """Guard: share of the pairs labelled right that keep their region."""


@dataclass
class RoundsConfig:
    """Mining again with the adapted CLIP, and adapting the original one to what is found."""

    count: Annotated[int, Limit(ge=0)] = 0
    """Rounds after round 0, at most; 0: none."""
    labels: Annotated[str | None, LocalPath.ANY] = None
    """Labels of pairs of round 0 (labels.json of the dataset's page). They give every round's pairs the column
    `p_right`."""
    keep: str | None = None
    """Condition on the pairs that the CLIP which matches again is adapted to, beside `train.data.where`. Empty: with
    labels the best 80 % (percent_rank() over (order by p_right desc) < 0.8), without all."""
    weight: str | None = None
    """Their weight, as `train.data.weight`. Empty: that one."""
    matcher: Mode | None = None
    """How the CLIP that matches again is adapted. Empty: with labels as `train.mode`, without by mask prompts alone,
    which repeat less of what is wrong."""
    final: str | None = None
    """Condition on the pairs of a round that its result is adapted to. Empty: `train.data.where`."""
    cross_fit: bool = False
    """Every half of the images is matched again by a CLIP that was adapted to the other half."""
    choose_by: Annotated[int, Limit(ge=0)] | None = None
    """Number of the evaluation in `evaluate` whose mIoU chooses the best round; of the chosen round it is no test then.
    Empty: accuracy on the regions of round 0's held-out images (`train.data.held_out_share`) that `keep` keeps."""
    max_images: Annotated[int, Limit(ge=1)] = 2000
    """Retention is measured on at most so many held-out images, evenly spread."""
    stop: StopConfig = field(default_factory=StopConfig)


def resolve_rounds(config: RoundsConfig, train: TrainConfig, trained: Sequence[bool]) -> RoundsConfig:
    """The rounds with nothing empty that follows from other keys, and their paths absolute.

    Args:
        train: the training of round 0.
        trained: for each evaluation of the chain, whether it is of the CLIP that the chain adapts.

    Raises:
        UserError: a key contradicts another.
    """
    if not config.count:
        if config.labels:
            raise UserError("rounds.labels is given, but rounds.count is 0, so nothing would use them: set it to 1")
        return config
    if train.mode == "pretrain" or config.matcher == "pretrain":
        raise UserError("rounds: mode pretrain learns nothing of masked regions, so nothing can be matched with it")
    if config.labels is None:
        for key in ("keep", "weight", "final"):
            if re.search(r"\bp_right\b", getattr(config, key) or ""):
                raise UserError(f"rounds.{key} names p_right, which labels give: set rounds.labels")
    if config.choose_by is not None and not (config.choose_by < len(trained) and trained[config.choose_by]):
        raise UserError(
            f"rounds.choose_by: evaluate[{config.choose_by}] is not there, or not of the trained CLIP; "
            f"there are {len(trained)} evaluations, counted from 0"
        )
    if config.choose_by is None and not train.data.held_out_share:
        raise UserError(
            "rounds: train.data.held_out_share is 0, so that nothing is held out to choose the best round by: set it "
            "(to 0.05, for example), or rounds.choose_by"
        )
    return with_absolute_paths(
        replace(
            config,
            keep=config.keep or (BEST_80 if config.labels else None),
            matcher=config.matcher or (train.mode if config.labels else "mask_prompt"),
        )
    )
