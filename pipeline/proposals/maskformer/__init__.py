"""MaskFormer (arXiv 2107.06278), also with OVSeg's open-vocabulary head (arXiv 2210.04150, Sec. 3.1)."""

from pipeline.proposals.maskformer.checkpoint import OvsegCheckpoint, load_ovseg_checkpoint

__all__ = ["OvsegCheckpoint", "load_ovseg_checkpoint"]
