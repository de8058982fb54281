"""What the workers of each stage spent their time on, and what to add so that a job gets faster."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.table import Table

_LITTLE = 0.1
"""A share of the time that is not worth more machines."""
_WORKERS = {"images": "reading", "proposals": "proposal workers", "matching": "CLIP workers"}


@dataclass(frozen=True)
class TimeShares:
    """Shares of the time of all workers of a stage together; their sum is 1."""

    input: float
    """Waiting for the stage before, or, in reading, for storage."""
    computed: float
    hand_over: float
    """Between two shards while the next one was ready: Ray moves them, or holds them back until the stages behind have
    room. 0 for reading, where it is not known."""


def time_shares(statistics: Iterable[Mapping]) -> dict[str, TimeShares]:
    """By stage, of those that have told what they waited for. Long shards and long waits weigh more.

    Args:
        statistics: of shards, as `pipeline.dataset.statistics` reads them. The first shard of a worker tells nothing of
            its waits, and does not count.
    """
    spent: dict[str, Counter[str]] = {stage: Counter() for stage in _WORKERS}
    for found in statistics:
        for stage, waits in found["waits"].items():
            if stage in spent and stage in found["seconds"]:
                storage = waits.get("storage", 0.0)
                spent[stage].update(waits)
                spent[stage]["computed"] += max(0.0, found["seconds"][stage] - storage)
    shares = {}
    for stage, seconds in spent.items():
        if total := seconds.total():
            waited = seconds["input"] + seconds["storage"]
            shares[stage] = TimeShares(waited / total, seconds["computed"] / total, seconds["hand_over"] / total)
    return shares


def shares_table(shares: Mapping[str, TimeShares]) -> Table:
    """For the terminal."""
    table = Table("share of the time", "waited for input", "computed", "handed over")
    for stage, found in shares.items():
        source = {"images": " (storage)", "proposals": " (images)", "matching": " (proposals)"}[stage]
        handed_over = "" if stage == "images" else _percent(found.hand_over)
        table.add_row(_WORKERS[stage], _percent(found.input) + source, _percent(found.computed), handed_over)
    return table


def advice(shares: Mapping[str, TimeShares]) -> str:
    """What makes the job faster, in one line; empty if nothing is known of CLIP's workers.

    A tenth of the time counts. CLIP's workers are the last ones: if they do not wait for input, they are what takes the
    time, or what is behind them, if they wait to hand over. If they do wait, it is for proposals, or, if those who
    propose wait for input, too, for images. Proposals that are there and not handed over while CLIP waits for them are
    on the way between machines.
    """
    none = TimeShares(0.0, 1.0, 0.0)
    if "matching" not in shares:
        return ""
    reading, proposing, matching = (shares.get(stage, none) for stage in ("images", "proposals", "matching"))
    if matching.input < _LITTLE:
        if matching.hand_over >= _LITTLE:
            return (
                f"CLIP workers waited {_percent(matching.hand_over)} of the time to hand over: more CPUs, which also "
                "write, or faster storage make the job faster"
            )
        return (
            f"CLIP workers computed {_percent(matching.computed)} of the time: more of them (resources.clip_workers, "
            "CPUs or GPUs), or more CPUs for each on a GPU (resources.clip_cpus), make the job faster"
        )
    if proposing.input >= _LITTLE:
        waited = f"proposal workers waited {_percent(proposing.input)} of the time for images"
        if reading.input >= reading.computed:
            share = _percent(reading.input)
            return f"{waited}, and reading {share} for storage: storage that is faster or nearer makes the job faster"
        return f"{waited}: more CPUs for reading make the job faster"
    waited = f"CLIP workers waited {_percent(matching.input)} of the time for proposals"
    if proposing.hand_over >= _LITTLE:
        return (
            f"{waited}, which took {_percent(proposing.hand_over)} of the time of proposal workers to hand over: more "
            "memory for Ray's object store, or a faster network, makes the job faster"
        )
    return (
        f"{waited}: more proposal workers (resources.proposal_workers, CPUs or GPUs), or more CPUs for each on a GPU "
        "(resources.proposal_cpus), make the job faster"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
