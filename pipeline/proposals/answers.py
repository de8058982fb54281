"""Masks and the names that each of them answers → proposals. The same for every backend that is asked by names."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.filtering import best_first, keep
from pipeline.proposals.proposer import NamedProposals, Proposals

Prompts = Mapping[str, float]
"""The names that a mask answers, and how well it answers each, 0..1."""


def named_proposals(
    masks: Masks,
    prompts: Sequence[Prompts],
    names: Sequence[str],
    refused: Mapping[str, ImageProblem],
    config: ProposalsConfig,
) -> NamedProposals:
    """The masks to keep, best first, and the names that none of them answers.

    The score of a mask is that of the name that it answers best. Masks are kept as `filtering.keep` does, whatever they
    answer; see `handed_on`.

    Args:
        masks: K masks.
        prompts: of each mask its names, one at least.
        names: that were asked for.
        refused: those that the model could not be asked for, and why.
        config: area limits, `max_iou` and `max_proposals`.
    """
    scores = np.array([max(of.values()) for of in prompts], np.float32)
    kept = keep(masks, scores, config)
    found = handed_on(masks, scores, kept, prompts, config)
    asked = tuple(dict.fromkeys(names))
    proposals = Proposals(masks.select(kept), scores[kept], prompts=found, asked=asked)
    return NamedProposals(proposals, dict(refused) | _not_found(asked, refused, found, prompts))


def handed_on(
    masks: Masks, order: np.ndarray, kept: np.ndarray, prompts: Sequence[Prompts], config: ProposalsConfig
) -> tuple[Prompts, ...]:
    """The names that each kept mask answers: its own, and those of every mask that was dropped because of it.

    "man" and "person" ask for the same pixels. The worse of two such masks is dropped, but not its name, or "person"
    would have found nothing. A name that several masks hand on keeps its best score.

    Args:
        order: as the masks were kept by, higher is better.
        kept: indices of masks, as `filtering.keep` returns them.
    """
    found = [dict(prompts[index]) for index in kept]
    usable = best_first(masks.areas, masks.height * masks.width, order, config)
    dropped = usable[~np.isin(usable, kept)]
    if len(dropped) and len(kept):
        iou_DK = masks.select(dropped).iou(masks.select(kept))
        nearest_D = iou_DK.argmax(axis=1)
        for row in np.flatnonzero(iou_DK.max(axis=1) > np.float32(config.max_iou)):
            better = found[nearest_D[row]]
            for name, score in prompts[dropped[row]].items():
                better[name] = max(score, better.get(name, 0.0))
    return tuple(found)


def _not_found(
    asked: Sequence[str], refused: Mapping[str, ImageProblem], found: Sequence[Prompts], before: Sequence[Prompts]
) -> dict[str, ImageProblem]:
    answered, once = ({name for of in some for name in of} for some in (found, before))
    limits = "its masks are empty, or dropped by proposals.min_area, max_area or max_proposals"
    return {
        name: ImageProblem("not_found", limits if name in once else "")
        for name in asked
        if name not in answered and name not in refused
    }
