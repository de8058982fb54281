"""The number format in which a network runs, as a configuration names it."""

from typing import Literal

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""auto: fp16 autocast on a GPU, fp32 on the CPU."""
