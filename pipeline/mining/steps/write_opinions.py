"""What verifiers say → the table of second opinions beside the committed shard."""

from collections.abc import Mapping

import numpy as np

from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.verified import SecondOpinion, write_verified
from pipeline.mining.work import Shard

_COLUMNS = ("image_id", "noun", "rank")
_TYPES = (np.float32, np.float32, np.float32, np.int32, np.int32)


def write_opinions(layout: Layout, shard: Shard, about: Mapping[str, dict]) -> int:
    """Write what verifiers say of the candidates of a shard, which has been committed. Returns how many these are.

    Args:
        about: by name which CLIPs the verifiers are that were asked.

    Raises:
        UserError: a table of the shard is damaged.
        OSError: storage failed.
    """
    manifest = read_whole_manifest(layout, shard.number)
    candidates = read_checked_table(layout.table("candidates", shard.number), _COLUMNS)
    ids = candidates["image_id"].to_pylist()
    images = {image.row["image_id"]: image for image in shard.images if image.opinions or image.problem}
    rows: dict[str, list[int]] = {}
    for row, image_id in enumerate(ids):
        rows.setdefault(image_id, []).append(row)
    opinions = {}
    for name in about:
        columns = [np.full(len(ids), np.nan if kind == np.float32 else -1, kind) for kind in _TYPES]
        for image_id, of_image in rows.items():
            if (image := images.get(image_id)) and (opinion := image.opinions.get(name)):
                for column, values in zip(columns, vars(opinion).values(), strict=True):
                    column[of_image] = values
        opinions[name] = SecondOpinion(*columns)
    problems = [images[image_id].problem if image_id in images else "not_read" for image_id in ids]
    write_verified(layout, manifest, candidates, opinions, problems, about)
    return len(ids)
