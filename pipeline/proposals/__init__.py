"""Mask proposals: class-agnostic masks of what an image may show. One file per backend."""

from pipeline.errors import UserError
from pipeline.proposals.config import GroundTruthConfig, ProposalsConfig, SegmentsConfig
from pipeline.proposals.proposer import Proposals, Proposer

__all__ = [
    "GroundTruthConfig",
    "Proposals",
    "ProposalsConfig",
    "Proposer",
    "SegmentsConfig",
    "load_proposer",
]


def load_proposer(config: ProposalsConfig) -> Proposer:
    """The backend that `config` names, ready for use. Only that backend's libraries are imported.

    Raises:
        UserError: naming the key or file, for values, files or annotations that cannot be used.
    """
    config.check()
    if config.backend == "segments":
        from pipeline.proposals.segments import Segments

        return Segments(config)
    if config.backend == "ground_truth":
        from pipeline.proposals.ground_truth import GroundTruth

        return GroundTruth(config)
    raise UserError(
        f"proposals.backend: {config.backend!r} is not a backend; choose segments or ground_truth"
    )
