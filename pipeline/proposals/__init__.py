"""Mask proposals: class-agnostic masks of what an image may show. One file per backend."""

from pipeline.proposals.backends import is_learned, load_proposer, resolve_proposals
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.proposer import Proposals, Proposer

__all__ = ["Proposals", "ProposalsConfig", "Proposer", "is_learned", "load_proposer", "resolve_proposals"]
