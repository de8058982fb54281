"""Which mined regions an answer rests on, for people: their nouns, where they are from, and small pictures of them."""

import base64
import io
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.bank.reading import Bank, Entry
from pipeline.bank.search import Neighbours
from pipeline.dataset.layout import Layout
from pipeline.dataset.sample import DamagedSampleError, read_range, unpack
from pipeline.errors import UserError
from pipeline.images import ImageProblem, ImagesConfig, decode_jpeg, open_image, read_upright

_SIDE = 72
_FADED = 0.25
"""What is left of the colours outside the mask, on white."""
_KEPT = 4096
_CROP = ImagesConfig(max_side=0, min_side=1)


@dataclass(frozen=True)
class Evidence:
    """A mined region that voted."""

    noun: str
    similarity: float
    """Cosine similarity with the region that it voted for."""
    dataset: str
    key: str
    thumbnail: str | None
    """JPEG as a data URL; None if its shard cannot be read."""


class EvidenceReader:
    """Looks entries up, and keeps the pictures that were read last. Not for several threads at once."""

    def __init__(self, bank: Bank):
        self._bank = bank
        self._thumbnails: OrderedDict[int, str | None] = OrderedDict()
        self._readable: dict[str, bool] = {}

    def read(self, neighbours: Neighbours, count: int, min_similarity: float) -> list[list[Evidence]]:
        """For each region its nearest entries, `count` at most, that are similar enough to vote."""
        found = []
        for rows_K, similarities_K in zip(neighbours.rows, neighbours.similarities, strict=True):
            voted = (rows_K >= 0) & (similarities_K >= min_similarity)
            pairs = zip(rows_K[voted][:count].tolist(), similarities_K[voted][:count].tolist(), strict=True)
            found.append([self._evidence(row, similarity) for row, similarity in pairs])
        return found

    def _evidence(self, row: int, similarity: float) -> Evidence:
        entry = self._bank.entry(row)
        if row not in self._thumbnails:
            self._thumbnails[row] = self._thumbnail(entry)
        self._thumbnails.move_to_end(row)
        if len(self._thumbnails) > _KEPT:
            self._thumbnails.popitem(last=False)
        return Evidence(entry.noun, similarity, entry.segment.dataset, entry.key, self._thumbnails[row])

    def _thumbnail(self, entry: Entry) -> str | None:
        dataset = entry.segment.dataset
        if not self._readable.setdefault(dataset, True):
            return None
        try:
            data = read_range(Layout(dataset), entry.shard, entry.tar_offset, entry.tar_offset + entry.tar_length)
            members = unpack(data, entry.key, entry.tar_length)
            return _data_url(members["jpg"], members["mask.png"])
        except (DamagedSampleError, ImageProblem, UserError):
            return None
        except OSError:
            self._readable[dataset] = False  # every other one would wait for the same storage
            return None


def _data_url(jpeg: bytes, png: bytes) -> str:
    """A small JPEG of a stored crop, with what is outside its mask faded.

    Raises:
        ImageProblem: it is no picture.
    """
    image_HW3 = decode_jpeg(read_upright(jpeg, _CROP).data)
    inside_HW = np.array(open_image(png, ("PNG",)), dtype=bool)
    if inside_HW.shape != image_HW3.shape[:2]:
        raise ImageProblem("damaged", "the mask has another size than the crop")
    outside = 255 - _FADED * (255 - image_HW3.astype(np.float32))
    picture = Image.fromarray(np.where(inside_HW[..., None], image_HW3, outside.astype(np.uint8)))
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
