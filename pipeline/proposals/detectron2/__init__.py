"""Backend `detectron2`: any model of detectron2 that makes masks."""
