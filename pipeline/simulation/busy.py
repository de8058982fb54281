"""How busy workers were, from when each began with each shard."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class WorkInterval:
    """A worker's time with one shard."""

    worker: str
    started: float
    """Seconds since some moment."""
    seconds: float
    """How long the work is. (Not how long it took: waking up late is no work.)"""


@dataclass(frozen=True)
class BusyShare:
    """Busy seconds ÷ (workers × seconds)."""

    steady: float | None
    """While there was work for all of them: from when the last worker got its first shard until the last shard was
    begun. None: the work was done before all workers had some."""
    whole: float
    """From the first shard that was begun to the last that was done."""
    workers: int
    """Workers that got a shard at all."""


def busy_share(intervals: Sequence[WorkInterval], workers: int) -> BusyShare:
    """Of a stage that has so many workers; at least one interval is needed."""
    first: dict[str, float] = {}
    for interval in intervals:
        first[interval.worker] = min(interval.started, first.get(interval.worker, interval.started))
    begin, end = min(first.values()), max(interval.started + interval.seconds for interval in intervals)
    all_begun, last_begun = max(first.values()), max(interval.started for interval in intervals)
    steady = _share(intervals, workers, all_begun, last_begun) if last_begun > all_begun else None
    return BusyShare(steady, _share(intervals, workers, begin, end), len(first))


def _share(intervals: Sequence[WorkInterval], workers: int, begin: float, end: float) -> float:
    busy = sum(
        max(0.0, min(interval.started + interval.seconds, end) - max(interval.started, begin)) for interval in intervals
    )
    return busy / (workers * (end - begin))
