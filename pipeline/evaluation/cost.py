"""What an evaluation takes: seconds by stage and peak memory, which each chunk writes into `statistics/`.

Times differ from run to run, so they are in no table whose bytes are promised.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from pipeline import storage
from pipeline.storage.in_threads import in_threads

STATISTICS = "statistics"
STAGES = {
    "read": "images and labels",
    "propose": "masks",
    "classify": "CLIP, or waiting for masks",
    "count": "scores",
}
"""What a worker does. It reads and proposes while CLIP encodes what was proposed, so the stages overlap."""

Item = TypeVar("Item")


class Stopwatch:
    """Adds up the seconds of a chunk by stage; of one stage from one thread at a time."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._began = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - began

    def each(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """The items; what it takes to get each of them is counted."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def seconds(self) -> dict[str, float]:
        """By stage, and from beginning to now as `all`."""
        found, whole = {name: self._seconds[name] for name in STAGES}, time.perf_counter() - self._began
        # Proposing pulls the images that it needs; what is not CLIP's is counting.
        found["propose"] -= found["read"]
        found["count"] = whole - found["classify"]
        return found | {"all": whole}


@dataclass(frozen=True)
class Cost:
    """Of the images whose chunks have statistics."""

    images: int
    seconds: dict[str, float]
    """Of a worker, an image: by `STAGES`, and `all`, with what overlaps counted once."""
    peak_mb: float
    """Of the worker that held most, in 10⁶ bytes."""
    peak_gpu_mb: float | None
    """Likewise of the GPU's memory; None: no worker had one."""
    devices: list[str]
    """What the CLIPs ran on."""


def write_statistics(output: str, chunk: int, images: int, stopwatch: Stopwatch, device: str) -> None:
    """Write what a chunk took.

    Args:
        device: of the CLIP, as torch names it.

    Raises:
        OSError: storage cannot be written.
    """
    import torch

    from pipeline.execution.memory import peak_mb

    gpu = device.startswith("cuda")
    found = {
        "images": images,
        "seconds": {name: round(seconds, 4) for name, seconds in stopwatch.seconds().items()},
        "peak_mb": round(peak_mb(), 1),
        "peak_gpu_mb": round(torch.cuda.max_memory_allocated() / 1e6, 1) if gpu else None,
        "device": torch.cuda.get_device_name() if gpu else device,
    }
    storage.write_bytes(storage.join(output, STATISTICS, f"{chunk:06d}.json"), json.dumps(found).encode())


def read_cost(output: str) -> Cost | None:
    """What an evaluation took; None of earlier versions, which did not say, and where it cannot be read.

    Raises:
        OSError: storage cannot be read.
    """
    names = [name for name in storage.list_names(storage.join(output, STATISTICS)) if name.endswith(".json")]
    contents = in_threads(lambda name: storage.read_bytes(storage.join(output, STATISTICS, name)), names)
    try:
        rows = [json.loads(content) for content in contents]
        images = sum(row["images"] for row in rows)
        if not images:
            return None
        on_gpu = [row["peak_gpu_mb"] for row in rows if row["peak_gpu_mb"] is not None]
        return Cost(
            images,
            {name: sum(float(row["seconds"][name]) for row in rows) / images for name in (*STAGES, "all")},
            max(float(row["peak_mb"]) for row in rows),
            max(map(float, on_gpu)) if on_gpu else None,
            sorted({str(row["device"]) for row in rows}),
        )
    except (ValueError, RecursionError, LookupError, TypeError):
        return None


def cost_in_words(cost: Cost) -> str:
    """One line: seconds an image by stage, and memory."""
    stages = ", ".join(f"{name} {cost.seconds[name]:.3f}" for name in STAGES)
    gpu = "" if cost.peak_gpu_mb is None else f", {cost.peak_gpu_mb:,.0f} MB of the GPU's"
    return (
        f"{cost.seconds['all']:.3f} s an image and worker ({stages}; they overlap), at most {cost.peak_mb:,.0f} MB of "
        f"memory{gpu}, on {', '.join(cost.devices)}"
    )
