"""What of a tensor is above a level, and where. On the CPU by numpy, which is several times as fast there."""

import numpy as np
import torch


def is_above(values: torch.Tensor, level: float) -> torch.Tensor:
    """Whether each of the values, float32, is above the level, bool."""
    if values.device.type == "cpu":
        return torch.from_numpy(values.numpy() > np.float32(level))
    return values > level


def places(flags: torch.Tensor) -> torch.Tensor:
    """The indices of what is not 0, in order, int64 [N,axes]."""
    if flags.device.type == "cpu":
        indices = np.unravel_index(np.flatnonzero(flags.numpy() != 0), tuple(flags.shape))
        return torch.from_numpy(np.stack(indices)).T
    return flags.nonzero()
