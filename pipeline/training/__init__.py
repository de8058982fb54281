"""Adapting CLIP to masked regions: finetuning of the image tower and mask prompt tuning (OVSeg Sec. 3.2 and 3.3)."""
