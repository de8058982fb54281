"""Shards that failed, and shards that took far longer than the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from pipeline.dataset.layout import Layout, stem
from pipeline.escaping.terminal import escape
from pipeline.storage.documents import DamagedFileError, read_json

_SLOW = 3.0
"""Times the median of all shards."""
_SHOWN = 20


@dataclass(frozen=True)
class FailedShard:
    """A shard that is not committed, and why."""

    shard: int
    stage: str
    error: str
    """Traceback."""


@dataclass(frozen=True)
class SlowShard:
    """A committed shard that took more than three times as long as the median shard."""

    shard: int
    seconds: float
    """Worker seconds, all stages together."""
    times_median: float
    stage: str
    """The one that took longest beyond its own median."""
    stage_seconds: float


def read_failures(layout: Layout, committed: set[int]) -> list[FailedShard]:
    """The shards that failed and have not been committed since."""
    failed = []
    for shard in sorted(layout.failed() - committed):
        try:
            record = read_json(layout.error(shard))
        except FileNotFoundError:
            continue  # committed a moment ago
        except DamagedFileError as error:
            record = {"stage": "?", "error": str(error)}
        failed.append(FailedShard(shard, str(record.get("stage")), str(record.get("error"))))
    return failed


def slow_shards(seconds: Mapping[int, Mapping[str, float]]) -> list[SlowShard]:
    """The slow ones among committed shards, slowest first.

    Args:
        seconds: by shard and stage, as in `statistics/`; empty where a shard has none.
    """
    timed = {shard: stages for shard, stages in seconds.items() if stages}
    if not timed:
        return []
    stages = sorted({stage for found in timed.values() for stage in found})
    usual = {stage: median(found.get(stage, 0.0) for found in timed.values()) for stage in stages}
    typical = median(sum(found.values()) for found in timed.values())
    slow = []
    for shard, found in timed.items():
        total = sum(found.values())
        if total > _SLOW * typical:
            stage = max(found, key=lambda stage: found[stage] - usual[stage])
            slow.append(SlowShard(shard, total, total / typical, stage, found[stage]))
    return sorted(slow, key=lambda shard: -shard.seconds)


def trouble_tables(failed: list[FailedShard], slow: list[SlowShard]) -> Iterator[Table]:
    """Tables for the terminal: none where there is no trouble, at most 20 rows each."""
    if failed:
        table = Table("failed shard", "in", "error", title=_title(failed, "failed shards; errors/ has the tracebacks"))
        for found in failed[:_SHOWN]:
            last = found.error.strip().rpartition("\n")[2]
            table.add_row(stem(found.shard), escape(found.stage), escape(last))
        yield table
    if slow:
        table = Table(
            "slow shard", "seconds", "× median", "mostly in", title=_title(slow, "shards took over 3 × the median")
        )
        for shard in slow[:_SHOWN]:
            stage = escape(f"{shard.stage} ({shard.stage_seconds:.1f} s)")
            table.add_row(stem(shard.shard), f"{shard.seconds:.1f}", f"{shard.times_median:.1f}", stage)
        yield table


def _title(rows: list, what: str) -> str:
    shown = f", {_SHOWN} of them shown" if len(rows) > _SHOWN else ""
    return f"{len(rows)} {what}{shown}"
