"""What a CLIP takes for an image: how large, and how its colours are normalised. Needs no torch."""

from dataclasses import dataclass

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Of the images that OpenAI trained CLIP with, RGB, 0..1; a region's background is blanked with it."""
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
"""Likewise the standard deviation."""


@dataclass(frozen=True)
class ClipInput:
    """The input of one CLIP; `Clip.input` says that of a loaded one."""

    size: int = 224
    """S: its side in pixels; inputs are square."""
    mean: tuple[float, float, float] = OPENAI_MEAN
    """RGB, 0..1: subtracted from the pixels."""
    std: tuple[float, float, float] = OPENAI_STD
    """RGB, 0..1: what is left is divided by it."""
