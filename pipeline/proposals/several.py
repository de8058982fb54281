"""Several backends together: one choice among the masks of all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.images import ImageProblem, UprightJpeg
from pipeline.masks.masks import Masks
from pipeline.proposals.answers import handed_on
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.filtering import keep
from pipeline.proposals.proposer import NamedProposals, Proposals, Proposer, is_prompted


class Several:
    """Asks each backend, those by names that are asked so, and keeps the best masks of all.

    Scores of different backends do not compare. So their masks are taken in turn: the best one of each backend, in the
    order of their names in the configuration, then the second best of each, and so on. In this order a mask is dropped
    that overlaps one before it too much, until there are `max_proposals`. Names that a dropped mask answers go to the
    one that it was dropped for, whoever made that (`answers.handed_on`).

    An image that one of the backends cannot use is a problem of the image.
    """

    takes_files = True

    def __init__(self, config: ProposalsConfig, parts: Sequence[tuple[str, Proposer]]) -> None:
        """`parts`: the backends with their names."""
        self._config = config
        self._parts = list(parts)
        self.batch_size = max(part.batch_size for _, part in parts)  # each makes its own batches of any number
        self.reads_pixels = any(getattr(part, "reads_pixels", True) for _, part in parts)
        self.prompted = any(is_prompted(part) for _, part in parts)
        self.identity = {"name": "+".join(name for name, _ in parts), "version": "1"}
        for name, part in parts:
            self.identity |= {f"{name}.{key}": value for key, value in part.identity.items()}
        if self.prompted:
            self.identity["prompted"] = "true"

    def propose(
        self, images: Sequence[np.ndarray], image_ids: Sequence[str], files: Sequence[UprightJpeg] | None = None
    ) -> list[Proposals]:
        """The proposals of all backends; arguments and errors as of `Proposer`."""
        per_part = [part.propose(images, image_ids, **_files(part, files)) for _, part in self._parts]
        return [self._together(found) for found in zip(*per_part, strict=True)]

    def propose_named(
        self,
        images: Sequence[np.ndarray],
        image_ids: Sequence[str],
        names: Sequence[Sequence[str]],
        files: Sequence[UprightJpeg] | None = None,
    ) -> list[NamedProposals]:
        """The proposals of all backends; arguments and errors as of `PromptedProposer`.

        A name is unanswered if no backend that is asked by names has a mask for it, whatever masks the others have.
        """
        per_part: list[list[NamedProposals]] = []
        for _, part in self._parts:
            if is_prompted(part):
                per_part.append(part.propose_named(images, image_ids, names, **_files(part, files)))
            else:
                found = part.propose(images, image_ids, **_files(part, files))
                per_part.append([NamedProposals(proposals, {}) for proposals in found])
        return [self._named(*of_image) for of_image in zip(names, *per_part, strict=True)]

    def _named(self, names: Sequence[str], *found: NamedProposals) -> NamedProposals:
        proposals = self._together([named.proposals for named in found])
        answered = {name for of in proposals.prompts or () for name in of}
        asked = [named for (_, part), named in zip(self._parts, found, strict=True) if is_prompted(part)]
        unanswered = {
            name: _why([named.unanswered for named in asked], name)
            for name in dict.fromkeys(names)
            if name not in answered
        }
        return NamedProposals(proposals, unanswered)

    def _together(self, found: Sequence[Proposals]) -> Proposals:
        """The masks to keep of those of each backend."""
        height, width = found[0].masks.size
        masks = Masks([code for one in found for code in one.masks], height, width)
        scores = np.concatenate([one.scores for one in found])
        ranks = np.concatenate([np.arange(len(one.masks)) for one in found])
        turns = np.argsort(ranks, kind="stable")  # of one rank, those of the first backend first
        order = np.empty(len(turns), np.float64)
        order[turns] = -np.arange(len(turns))
        kept = keep(masks, order, self._config)
        backends = [
            backend
            for (name, _), one in zip(self._parts, found, strict=True)
            for backend in one.backends or (name,) * len(one.masks)
        ]
        prompts = asked = None
        if any(one.asked is not None for one in found):
            asked = tuple(dict.fromkeys(name for one in found for name in one.asked or ()))
            given = [of for one in found for of in one.prompts or ({},) * len(one.masks)]
            prompts = handed_on(masks, order, kept, given, self._config)
        return Proposals(masks.select(kept), scores[kept], tuple(backends[index] for index in kept), prompts, asked)


def _why(unanswered: Sequence[Mapping[str, ImageProblem]], name: str) -> ImageProblem:
    """Why no mask answers a name: as the first backend says that could be asked for it."""
    reasons = [of[name] for of in unanswered if name in of]
    if len(reasons) < len(unanswered):  # one had an answer
        return ImageProblem("not_found", "its masks are dropped by proposals.max_proposals")
    return min(reasons, key=lambda problem: problem.reason != "not_found")


def _files(part: Proposer, files: Sequence[UprightJpeg] | None) -> dict[str, Any]:
    return {"files": files} if getattr(part, "takes_files", False) else {}
