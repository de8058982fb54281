"""How long a shard took, and how many regions it had."""

from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import MOST
from pipeline.storage.documents import DamagedFileError, read_json


def read_statistics(layout: Layout, shard: int) -> dict:
    """`regions` of a shard, worker `seconds` by stage, and `waits`, seconds by stage and by what was waited for (see
    `schemas/README.md`); 0 and {} where its worker died before it wrote them, where it was mined before they were
    written, or where somebody changed them: no result depends on them.
    """
    try:
        found = read_json(layout.statistics(shard))
    except (FileNotFoundError, DamagedFileError):
        found = {}
    regions, waits = found.get("regions"), found.get("waits")
    return {
        "regions": regions if type(regions) is int and 0 <= regions <= MOST else 0,
        "seconds": _seconds(found.get("seconds")),
        "waits": {stage: _seconds(each) for stage, each in waits.items()} if isinstance(waits, dict) else {},
    }


def _seconds(found: object) -> dict[str, float]:
    times = found.items() if isinstance(found, dict) else ()
    return {name: float(time) for name, time in times if type(time) in (int, float) and 0 <= time < 1e12}
