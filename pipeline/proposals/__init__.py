"""Mask proposals: class-agnostic masks of what an image may show. One file per backend."""

import importlib

from pipeline.errors import UserError
from pipeline.proposals.config import (
    Detectron2Config,
    GroundTruthConfig,
    Mask2FormerConfig,
    MaskFormerConfig,
    ProposalsConfig,
    Sam2Config,
    SegmentsConfig,
)
from pipeline.proposals.proposer import Proposals, Proposer

__all__ = [
    "LEARNED",
    "Detectron2Config",
    "GroundTruthConfig",
    "Mask2FormerConfig",
    "MaskFormerConfig",
    "Proposals",
    "ProposalsConfig",
    "Proposer",
    "Sam2Config",
    "SegmentsConfig",
    "load_proposer",
]

_BACKENDS = {
    "segments": "pipeline.proposals.segments:Segments",
    "ground_truth": "pipeline.proposals.ground_truth:GroundTruth",
    "maskformer": "pipeline.proposals.maskformer.backend:MaskFormer",
    "detectron2": "pipeline.proposals.detectron2:Detectron2",
    "mask2former": "pipeline.proposals.mask2former:Mask2Former",
    "sam2": "pipeline.proposals.sam2:Sam2",
}

LEARNED = ("maskformer", "detectron2", "mask2former", "sam2")
"""Backends that a GPU makes much faster."""


def load_proposer(config: ProposalsConfig) -> Proposer:
    """The backend that `config` names, ready for use. Only that backend's libraries are imported.

    Raises:
        UserError: naming the key or file, for values, files or annotations that cannot be used.
    """
    config.check()
    return _find_class(config.backend)(config)


def _find_class(backend: str) -> type[Proposer]:
    module, _, name = _BACKENDS.get(backend, backend).partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise UserError(
            f"proposals.backend: {backend!r} is not a backend; choose {', '.join(_BACKENDS)} or package.module:Class"
        )
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, something that it needs is not
        raise UserError(f"proposals.backend: {backend!r}: there is no module {error.name}") from None
    if not isinstance(found, type):
        raise UserError(f"proposals.backend: {backend!r}: the module {module} has no class {name}")
    return found
