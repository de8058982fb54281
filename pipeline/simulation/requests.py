"""Requests of a mining job to object storage, counted from what the code does.

`tests/mining/test_s3.py` compares them with what a job really asks an S3 server for.
"""

import math
from collections import Counter
from collections.abc import Sequence

from pipeline.captions.listing import SHARDS_PER_FILE

_PART_BYTES = 16 * 2**20
_LOOK_SECONDS = 15.0
_KEYS_PER_LIST = 1000

# Attempts of four stages; tables, hashes, checksums, tar, statistics; totals and status at the end.
_OF_A_SHARD = {"GET": 17, "HEAD": 5, "PUT": 11, "DELETE": 4}
_LISTS_OF_ALL_SHARDS = 7


def requests_of_a_job(images: int, shards: int, tar_bytes: float, stage_seconds: Sequence[float]) -> Counter[str]:
    """GET, HEAD, PUT (with what else a multipart upload asks for), LIST and DELETE; without the forty or so that every
    job needs, and without repetitions of requests that failed.

    Args:
        tar_bytes: size of a shard's tar.
        stage_seconds: of a shard, by stage.
    """
    counts = Counter({kind: count * shards for kind, count in _OF_A_SHARD.items()})
    counts["GET"] += images
    # Stages that take long look from time to time how long others took.
    counts["GET"] += shards * sum(int(seconds // _LOOK_SECONDS) for seconds in stage_seconds)
    if tar_bytes >= 2 * _PART_BYTES:
        counts["PUT"] += shards * (math.ceil(tar_bytes / _PART_BYTES) + 1)
    counts["PUT"] += 2 * shards // SHARDS_PER_FILE  # the listing, and the seconds per image
    counts["LIST"] += _LISTS_OF_ALL_SHARDS * math.ceil(shards / _KEYS_PER_LIST)
    return counts
