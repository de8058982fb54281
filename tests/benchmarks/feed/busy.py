"""How much of the time a device works that needs 1.3 times as long for a batch as the host.

The device is played by a wait, which releases the interpreter as a GPU does.
"""

import sys
import time
from dataclasses import dataclass, field

import numpy as np
import torch

from tests.benchmarks.feed.clip_stage import WIDTH, ignore, make_shard, make_stage, on_one_core
from tests.benchmarks.feed.photographs import Photograph, read
from tests.benchmarks.feed.versions import report

BATCH = 32
FACTOR = 1.3
_REPETITIONS = 3


@dataclass
class Device:
    """Takes so many seconds a batch, and its features show which pixels it saw."""

    seconds: float = 0.0
    began: float | None = None
    """When the first batch came."""
    ended: float = 0.0
    batches: int = 0
    worked: float = 0.0
    """Seconds, of all batches."""
    seen: list[torch.Tensor] = field(default_factory=list)

    def __call__(self, pixels_B3SS: torch.Tensor) -> torch.Tensor:
        started = time.perf_counter()
        if self.began is None:
            self.began = started
        flat_BP = pixels_B3SS.flatten(1)
        features_BD = flat_BP[:, :: flat_BP.shape[1] // WIDTH][:, :WIDTH].float().cpu()
        self.seen.append(features_BD.clone())
        time.sleep(max(0.0, self.seconds - (time.perf_counter() - started)))
        self.ended = time.perf_counter()
        self.batches += 1
        self.worked += self.ended - started
        return features_BD


def run(photographs: list[Photograph], seconds: float) -> tuple[Device, float]:
    """Encode a shard with such a device; also the seconds that it took."""
    device = Device(seconds)
    stage, shard = make_stage(device, BATCH), make_shard(photographs)
    started = time.perf_counter()
    stage(shard, ignore)
    return device, time.perf_counter() - started


def main(file: str) -> None:
    """The share of the time from the first batch to the end of the last one, the best of three."""
    on_one_core()
    photographs = read(file)
    figures = []
    for _ in range(_REPETITIONS):
        free, took = run(photographs, 0.0)
        device, _ = run(photographs, FACTOR * took / free.batches)
        same = all(torch.equal(one, other) for one, other in zip(free.seen, device.seen, strict=True))
        figures.append(
            {
                "busy": device.worked / (device.ended - device.began),
                "device_ms_per_batch": device.worked / device.batches * 1e3,
                "same": float(same),
            }
        )
    assert np.all([figure["same"] for figure in figures]), "features depend on how long the device takes"
    report(max(figures, key=lambda figure: figure["busy"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
