"""How long a shard took, and how many regions it had."""

from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import MOST
from pipeline.storage.documents import DamagedFileError, read_json


def read_statistics(layout: Layout, shard: int) -> dict:
    """`regions` of a shard and worker `seconds` by stage; 0 and {} where its worker died before it wrote them, or where
    somebody changed them: no result depends on them.
    """
    try:
        found = read_json(layout.statistics(shard))
    except (FileNotFoundError, DamagedFileError):
        found = {}
    regions, seconds = found.get("regions"), found.get("seconds")
    times = seconds.items() if isinstance(seconds, dict) else ()
    return {
        "regions": regions if type(regions) is int and 0 <= regions <= MOST else 0,
        "seconds": {stage: float(time) for stage, time in times if type(time) in (int, float) and 0 <= time < 1e12},
    }
