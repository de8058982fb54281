"""The data engine and trainer for mask-adapted CLIP (OVSeg, arXiv 2210.04150), in the order the data flows."""
