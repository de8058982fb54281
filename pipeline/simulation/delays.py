"""How long each stage takes for a shard: measured on shards of a real job, or assumed.

A measured shard takes a worker the time of its work, and that of handing it over, in which the worker can do nothing
else: packing it, and moving it into and out of Ray's object store. The simulated pipeline moves shards of a kilobyte,
so that time is added here. Of all hand-overs of a stage it is the shortest: what others take longer, they wait for
stages behind them that are full, which the simulated pipeline makes them do again. Nor are waits for input work.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.errors import UserError
from pipeline.simulation.config import SimulationConfig
from pipeline.storage.in_threads import in_threads

STAGES = ("images", "proposals", "matching", "writing")
"""The stages of mining, as `statistics/` names them."""
_MOST_SHARDS = 1000


@dataclass(frozen=True)
class Delays:
    """Seconds of one image, by stage, over shards."""

    samples: dict[str, tuple[float, ...]]
    seed: int

    def mean(self, stage: str) -> float:
        """Seconds of an image."""
        return fmean(self.samples[stage])

    def seconds(self, stage: str, shard: int, images: int) -> float:
        """Seconds of a shard with so many images: always the same for the same shard."""
        return images * random.Random(f"{self.seed} {stage} {shard}").choice(self.samples[stage])


@dataclass(frozen=True)
class MeasuredDelays:
    """What the shards of a finished or unfinished job tell."""

    delays: Delays
    shards: int
    """Shards that were looked at."""
    pairs_per_image: float


def assumed_delays(config: SimulationConfig) -> Delays:
    """Evenly spread around the given means."""
    means = (config.read_seconds, config.propose_seconds, config.match_seconds, config.write_seconds)
    steps = [1 + config.spread * (step / 50 - 1) for step in range(101)]
    samples = {stage: tuple(mean * step for step in steps) for stage, mean in zip(STAGES, means, strict=True)}
    return Delays(samples, config.seed)


def measured_delays(output: str, seed: int) -> MeasuredDelays:
    """Those of the shards in the output directory of a mining job, at most a thousand of them.

    Raises:
        UserError: nothing is there.
    """
    layout = Layout(storage.absolute(output))
    storage.check_readable(layout.uri, "simulate: measured")
    folder = layout.path("statistics")
    names = [name for name in storage.list_names(folder) if name.endswith(".json")]
    every = -(-len(names) // _MOST_SHARDS) or 1
    read = in_threads(lambda name: json.loads(storage.read_bytes(storage.join(folder, name))), names[::every])
    shards = [shard for shard in read if shard["images"]]
    if not shards:
        raise UserError(f"simulate: measured: {output} holds no statistics of a mined shard")
    return MeasuredDelays(Delays(_samples(shards), seed), len(shards), _per_image(shards))


def _samples(shards: Sequence[dict]) -> dict[str, tuple[float, ...]]:
    """Seconds of an image in each shard, by stage, with those of its hand-over."""
    samples = {}
    for stage in STAGES:
        hand_over = min((found / images for images, found in _hand_overs(shards, stage)), default=0.0)
        samples[stage] = tuple(shard["seconds"][stage] / shard["images"] + hand_over for shard in shards)
    return samples


def _hand_overs(shards: Sequence[dict], stage: str) -> Iterator[tuple[int, float]]:
    """Images and seconds of every shard that tells (older ones and the first of a worker do not)."""
    for shard in shards:
        waits = shard.get("waits", {}).get(stage, {})
        if "hand_over" in waits:
            yield shard["images"], waits["hand_over"]


def _per_image(shards: Sequence[dict]) -> float:
    return sum(shard["pairs"] for shard in shards) / sum(shard["images"] for shard in shards)
