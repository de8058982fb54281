"""The models as a Ray Serve deployment: a queue, and requests in batches."""

import time
from dataclasses import dataclass

from ray import serve

from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.serving.config import ServerConfig
from pipeline.serving.models import Models, Request, Segmented

# How long the first request of a batch waits for others, seconds.
_GATHER_SECONDS = 0.01


@dataclass(frozen=True)
class Reply:
    """What the models say of one request, and how long they took."""

    result: Segmented | ImageProblem | UserError
    seconds: float
    """Of the whole batch."""
    batch: int
    """Images in the batch."""


@serve.deployment
class ModelDeployment:
    """Answers requests, alone or several together. Its options are set in `pipeline.serving.run`."""

    def __init__(self, config: ServerConfig, gpu: bool):
        self._models = Models(config, gpu=gpu)
        self.segment.set_max_batch_size(config.serve.batch_size)

    @serve.batch(batch_wait_timeout_s=_GATHER_SECONDS)
    async def segment(self, requests: list[Request]) -> list[Reply]:
        """Called with one request at a time; Ray Serve gathers them."""
        # This blocks the event loop, and is meant to: Serve would otherwise go on gathering while the models are busy,
        # and make a batch of its own of everything that comes in 10 ms. So it gathers what has waited, when they are
        # free. Health checks and the queue have an event loop of their own.
        started = time.perf_counter()
        results = self._models.segment(requests)
        seconds = time.perf_counter() - started
        return [Reply(result, seconds, len(requests)) for result in results]
