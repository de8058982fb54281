"""Backend `detectron2`: any model of detectron2 that gives masks."""

from pipeline.proposals.detectron2.backend import Detectron2

__all__ = ["Detectron2"]
