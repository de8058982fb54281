"""The number format in which a network runs, as torch takes it."""

import torch

from pipeline.weights.precision import Precision


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """What to give to `torch.autocast`; None for fp32."""
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else None
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
