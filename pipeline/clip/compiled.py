"""A vision tower in compiled kernels, or as it is where torch cannot compile it."""

from collections.abc import Callable

import torch

from pipeline.clip.mask_prompts import MaskPromptedVision
from pipeline.execution.worker_log import worker_log

_REASON_LENGTH = 300


class CompiledVision:
    """A vision tower that `torch.compile` makes kernels for; for inference with batches of one size.

    torch compiles at the first call, and again for every other size, number format, memory format or autocast; all of
    it in this process and thread. If it fails, or the kernels do, the log says so once, and the tower runs as it is.

    The kernels are started one by one. CUDA graphs (`mode="reduce-overhead"`) would start them together, but every
    replay overwrites the features of the one before, and torch binds graphs to the thread that recorded them, while
    batches here are in flight together and may come from several threads.
    """

    def __init__(self, vision: MaskPromptedVision):
        self._vision = vision
        self._compiled: Callable[..., torch.Tensor] | None = None
        self._failed = False

    def __call__(self, pixels_B3SS: torch.Tensor, masks_B1SS: torch.Tensor | None) -> torch.Tensor:
        """Embeddings [B,D], not normalised; a tensor that nothing overwrites.

        Raises:
            whatever the tower raises when it runs as it is.
        """
        failure: Exception | None = None
        if not self._failed:
            try:
                if self._compiled is None:
                    self._compiled = _compiled(self._vision)
                return self._compiled(pixels_B3SS, masks_B1SS)
            except Exception as error:  # any: of the tracer, a compiler, a driver, a full disk
                failure = error
        features_BD = self._vision(pixels_B3SS, masks_B1SS)  # what fails here, too, is no fault of compiling
        if failure is not None:
            self._failed = True
            worker_log(__name__).warning(
                "clip.compile: torch cannot compile this CLIP's vision tower here (%s); regions are encoded without. "
                "Set clip.compile to false, or install what is missing",
                _reason(failure),
            )
        return features_BD


def _compiled(vision: MaskPromptedVision) -> Callable[..., torch.Tensor]:
    # The whole graph or none: a tower in pieces would be compiled in part, without a word. In this process: a pool of
    # compilers would stay beside every worker, and the blocks of a tower share their kernels, so there are few.
    return torch.compile(vision, fullgraph=True, dynamic=False, options={"compile_threads": 1})


def _reason(error: Exception) -> str:
    """What an error says, in one line: torch adds traces and advice for its developers."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {line}"[:_REASON_LENGTH]
