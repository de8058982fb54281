"""The number format in which a network runs."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""auto: fp16 autocast on a GPU, fp32 on the CPU."""


def autocast_dtype(precision: Precision, device: "torch.device") -> "torch.dtype | None":
    """What to give to `torch.autocast`; None for fp32."""
    import torch  # not above: configurations are read in processes that do without it

    if precision == "auto":
        return torch.float16 if device.type == "cuda" else None
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
