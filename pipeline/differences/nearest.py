"""From a class, or two that are confused, back to the mined pairs nearest to it by a CLIP's own features.

Shape suffixes: N regions, C classes, D embedding width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

import schemas
from pipeline.clip import Clip, RegionEncoder, TextEmbedder
from pipeline.clip.template_choice import Templates
from pipeline.dataset.manifests import read_manifest
from pipeline.dataset.opening import MinedDataset
from pipeline.dataset.sample import DamagedSampleError, damaged_sample, read_range
from pipeline.differences.classes import singular
from pipeline.differences.questions import Nearest, Question
from pipeline.differences.workspace import Workspace
from pipeline.masks.masks import Masks
from pipeline.regions import RegionsConfig
from pipeline.storage.in_threads import in_threads
from pipeline.training.decoding import decode_sample

_READERS = 4


@dataclass(frozen=True)
class Encoder:
    """A CLIP, and how it gets regions and names."""

    clip: Clip
    regions: RegionsConfig
    templates: Templates
    batch_size: int


def find_nearest(
    workspace: Workspace,
    dataset: MinedDataset,
    encoder: Encoder,
    questions: Sequence[Question],
    *,
    most: int,
    count: int,
) -> list[Nearest]:
    """The mined pairs of B that are nearest to the asked classes.

    The similarity of a region and a class is the cosine of their embeddings. For two classes, a pair counts by the
    lower of its two similarities, each in standard deviations from its mean over all regions looked at: cosines of two
    names have different levels.

    Args:
        workspace: of a comparison with `dataset` as B.
        most: regions that are encoded: all pairs whose noun is an asked name come first, then others, drawn by a hash.
        count: pairs returned for each question.

    Raises:
        UserError: a sample is damaged.
        OSError: storage cannot be read.
    """
    names = list(dict.fromkeys(name for question in questions for name in question.names))
    rows = _chosen(workspace, names, most)
    images = ((image, masks, row) for row, (image, masks) in _crops(dataset, rows))
    encode = RegionEncoder(encoder.clip, encoder.regions, encoder.batch_size).encode
    text_CD = TextEmbedder(encoder.clip, encoder.templates)(names).numpy()
    found = [(row, text_CD @ features_VD[0]) for row, features_VD, _ in encode(images) if len(features_VD)]
    rows = [row for row, _ in found]
    similarity_NC = np.stack([similarity_C for _, similarity_C in found]) if found else np.zeros((0, len(names)))
    [[pairs]] = workspace.run("SELECT count(*) FROM pairs_b")
    return [
        Nearest(question, _table(question, rows, similarity_NC[:, list(map(names.index, question.names))], count),
                len(rows), pairs)
        for question in questions
    ]  # fmt: skip


def _table(question: Question, rows: Sequence[dict], similarity_NC: np.ndarray, count: int) -> pa.Table:
    """The nearest of the regions for the one or two names that the similarities are of."""
    if not rows:
        return schemas.NEAREST_PAIRS.empty_table()
    spread_C = similarity_NC.std(axis=0)
    standard_NC = (similarity_NC - similarity_NC.mean(axis=0)) / np.where(spread_C > 0, spread_C, 1)
    nearness_N = standard_NC.min(axis=1)
    order = sorted(range(len(rows)), key=lambda row: (-nearness_N[row], rows[row]["key_b"]))[:count]
    true, *taken_for = question.names
    return pa.Table.from_pylist(
        [
            {
                "class": true,
                "taken_for": taken_for[0] if taken_for else None,
                "rank": rank,
                "key": rows[row]["key_b"],
                "image_id": rows[row]["image_id"],
                "noun": rows[row]["noun"],
                "similarity": similarity_NC[row, 0],
                "similarity_taken_for": similarity_NC[row, 1] if taken_for else None,
                "category": rows[row]["category"],
            }
            for rank, row in enumerate(order)
        ],
        schemas.NEAREST_PAIRS,
    )


def _chosen(workspace: Workspace, names: Sequence[str], most: int) -> list[dict]:
    """The pairs to look at, in the order of their keys."""
    nouns = [noun for (noun,) in workspace.run("SELECT DISTINCT noun FROM pairs_b")]
    forms = {singular(name) for name in names}
    named = [noun for noun in nouns if singular(noun) in forms]
    found = workspace.run(
        "SELECT key_b, image_id, noun, category FROM (SELECT * FROM compared WHERE row_b IS NOT NULL "
        "ORDER BY list_contains(?, noun) DESC, md5(key_b), key_b LIMIT ?) ORDER BY key_b",
        [named, most],
    )
    return [dict(zip(("key_b", "image_id", "noun", "category"), row, strict=True)) for row in found]


def _crops(dataset: MinedDataset, rows: Sequence[dict]) -> Iterator[tuple[dict, tuple[np.ndarray, Masks]]]:
    """Each row with its stored crop, uint8 [h,w,3], and its mask, in the order of the rows."""
    by_key = {row["key_b"]: row for row in rows}
    shards = sorted({int(key.partition("-")[0]) for key in by_key})

    def of_shard(shard: int) -> list[dict]:
        columns = ["key", "tar_offset", "tar_length"]
        table = read_manifest(dataset.layout, shard, columns, ["crc32"]).table
        return [{"shard": shard, **row} for row in table.to_pylist() if row["key"] in by_key]

    def crop(place: dict) -> tuple[dict, tuple[np.ndarray, Masks]]:
        shard, start, length = place["shard"], place["tar_offset"], place["tar_length"]
        data = read_range(dataset.layout, shard, start, start + length)
        try:
            image_3hw, mask_hw = decode_sample(data, place["key"], place["crc32"], length)
        except DamagedSampleError as error:
            raise damaged_sample(dataset.layout, shard, start, error) from error
        image = np.ascontiguousarray(image_3hw.permute(1, 2, 0).numpy())
        return by_key[place["key"]], (image, Masks.encode(mask_hw.numpy()[None]))

    places = (place for found in in_threads(of_shard, shards, _READERS) for place in found)
    return in_threads(crop, places, _READERS)
