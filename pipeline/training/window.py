"""The steps since the last log line: their loss, their speed, and whether a number went wrong.

Losses stay on the device until the window closes, so that a GPU is not stopped at every step.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist

from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.training.samples import Samples
from pipeline.training.step import StepResult

_NAMED_KEYS = 8


class DivergedError(UserError):
    """A loss or a weight is not a finite number; the last checkpoint is still good."""


@dataclass(frozen=True)
class Measured:
    """A closed window."""

    loss: float
    """Mean over the steps and over all ranks."""
    steps: int
    seconds: float
    waiting_share: float
    """Part of the time that this worker waited for data."""


class Window:
    """Collects steps; every rank closes its window after the same step."""

    def __init__(self, samples: Samples):
        self._samples = samples
        self._steps: list[tuple[int, StepResult, torch.Tensor]] = []
        self.restart()

    def restart(self) -> None:
        """Let the clock run from now."""
        self._started = time.perf_counter()
        self._waited = 0.0

    def timed(self, batches: Iterable[dict]) -> Iterator[dict]:
        """The batches; the time until each of them is there counts as waiting."""
        asked = time.perf_counter()
        for batch in batches:
            self._waited += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()

    def add(self, step: int, result: StepResult, rows: torch.Tensor) -> None:
        """A step that was done, and the rows of the samples that this rank used in it."""
        self._steps.append((step, result, rows))

    def close(self) -> Measured:
        """Sum up, and begin the next window.

        Raises:
            DivergedError: a loss is not finite; the first such step and the keys of its samples are named.
        """
        losses = torch.stack([result.loss for _, result, _ in self._steps])
        if dist.is_initialized():
            dist.all_reduce(losses, op=dist.ReduceOp.SUM)
            losses /= dist.get_world_size()
        finite = losses.isfinite().tolist()  # waits for the device
        seconds = time.perf_counter() - self._started
        if not all(finite):
            self._raise(*self._steps[finite.index(False)])
        measured = Measured(losses.mean().item(), len(self._steps), seconds, self._waited / seconds)
        self._last = self._steps[-1]
        self._steps = []
        self.restart()
        return measured

    def check_parameters(self, parameters: dict[str, torch.nn.Parameter]) -> None:
        """Make sure that the weights can be saved: the last step may have spoiled them after a good loss.

        Raises:
            DivergedError: some are not finite.
        """
        if not all(torch.stack([parameter.isfinite().all() for parameter in parameters.values()]).tolist()):
            self._raise(*self._last)

    def _raise(self, step: int, result: StepResult, rows: torch.Tensor) -> None:
        """Name the samples whose features are not finite or, if they all are, the whole batch."""
        bad = rows[~result.finite.cpu()]
        found = [self._samples.key(row) for row in (bad if len(bad) else rows).tolist()]
        gathered = [(len(bad), found)]
        if dist.is_initialized():
            gathered *= dist.get_world_size()
            dist.all_gather_object(gathered, gathered[0])
        some_bad = any(count for count, _ in gathered)
        keys = [key for count, part in gathered for key in part if count or not some_bad]
        raise DivergedError(
            f"step {step}: the loss is not a finite number; "
            f"{'features of these samples are not finite' if some_bad else 'its samples'}: "
            f"{first_of(keys, _NAMED_KEYS)}. The last checkpoint is kept. Lower the learning rate, lengthen the "
            "warm-up, or leave these samples out with data.where"
        )
