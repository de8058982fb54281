"""A small made-up world in COCO format, and a small CLIP that knows it: everything offline, in a minute."""

from pipeline.microworld.scenes import write_world
from pipeline.microworld.small_clip import all_annotated, build_small_clip

__all__ = ["all_annotated", "build_small_clip", "write_world"]
