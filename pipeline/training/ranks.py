"""Which worker of a run this is, and of how many."""

from dataclasses import dataclass
from typing import Self

import torch.distributed as dist


@dataclass(frozen=True)
class Ranks:
    """The rank of a worker among all workers of a run."""

    rank: int = 0
    """0 to world_size − 1; rank 0 also does what is done once."""
    world_size: int = 1
    """How many workers there are."""

    @classmethod
    def of_process_group(cls) -> Self:
        """This process in torch's process group; alone if there is none."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()
