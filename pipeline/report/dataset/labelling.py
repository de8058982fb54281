"""The sample of pairs that a person labels on the page: which ones, their pictures, and what the script is given.

Scores, margins and ranks are left out: who sees them judges by them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pipeline import storage
from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError
from pipeline.quality.drawing import DrawingColumns, DrawnSample, draw_sample
from pipeline.quality.labels import digest_manifests
from pipeline.report.dataset.gallery import ROW_BYTES, in_blocks, texts
from pipeline.report.dataset.reading import Pairs
from pipeline.report.dataset.thumbnails import Thumbnail, Thumbnails
from pipeline.report.formats import number, size
from pipeline.storage.in_threads import in_threads

SIDES = (512, 448, 384, 320, 256, 224, 192, 160)
"""Longest side of a picture to label by, px; the largest that the page has room for."""

SHARE = 0.7
"""Of the room for pictures, at most; the rest is the gallery's."""


@dataclass(frozen=True)
class LabelSample:
    """Pairs to label, in the order in which they are shown; S of them."""

    drawn: DrawnSample
    thumbnails: list[Thumbnail]

    @property
    def size(self) -> int:
        """About the bytes that they take in the page."""
        return sum(thumbnail.size + ROW_BYTES for thumbnail in self.thumbnails)


def sample_to_label(pairs: Pairs, pictures: Thumbnails, count: int, seed: int, room: int) -> LabelSample:
    """Draw a sample, and its pictures as large as fit into `room` bytes.

    Raises:
        UserError: there is no room for so many pairs; a tar is missing or damaged.
        OSError: storage cannot be read.
    """
    drawn = draw_sample(DrawingColumns(pairs.score, pairs.noun, pairs.noun_margin), count, seed)
    first = pictures.fitting_side(pairs, drawn.rows, room - ROW_BYTES * len(drawn.rows), SIDES)
    for side in SIDES[SIDES.index(first) :]:
        sample = LabelSample(drawn, list(pictures.draw(pairs, drawn.rows, side)))
        if sample.size <= room:
            return sample
    fitting = int(0.9 * len(drawn.rows) * room / sample.size)
    raise UserError(
        f"--label {count}: the pictures of {number(len(drawn.rows))} pairs take {size(sample.size)}, and the page has "
        f"room for {size(room)} of them; label about {max(fitting, 1)} at most"
    )


def describe(output: str, dataset: MinedDataset, sample: LabelSample) -> dict:
    """Values of `labelling.html`.

    Args:
        output: the dataset as the user named it.

    Raises:
        OSError: storage cannot be read.
    """
    drawn, layout = sample.drawn, dataset.layout
    digests = in_threads(lambda shard: storage.sha256(layout.table("manifests", shard))[0], dataset.shards)
    places, blocks = in_blocks(sample.thumbnails)
    shown = [
        {**_texts(thumbnail), "stratum": stratum, "picture": place}
        for thumbnail, stratum, place in zip(sample.thumbnails, drawn.stratum.tolist(), places, strict=True)
    ]
    data = {
        "id": _identity(shown),
        "dataset": {
            "uri": output,
            "fingerprint": dataset.description["fingerprint"],
            "manifests_sha256": digest_manifests(digests),
        },
        "sample": {"seed": drawn.seed, "strata": [asdict(stratum) for stratum in drawn.strata]},
        "pairs": shown,
    }
    return {"data": data, "blocks": blocks, "pairs": len(shown), "strata": drawn.strata}


def _texts(thumbnail: Thumbnail) -> dict:
    return {
        name: value for name, value in texts(thumbnail.details).items() if name in ("key", "noun", "text", "caption")
    }


def _identity(shown: Sequence[dict]) -> str:
    """Tells this sample from others of the same dataset, where a browser keeps labels of several."""
    content = json.dumps([(pair["key"], pair["stratum"]) for pair in shown])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
