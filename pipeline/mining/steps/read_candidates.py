"""A committed shard → its images and candidates, as they were when they had been matched."""

from collections.abc import Callable
from itertools import groupby
from operator import itemgetter

import numpy as np

from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_manifest
from pipeline.images.config import ImagesConfig
from pipeline.masks.masks import Masks
from pipeline.mining.matching import Candidate
from pipeline.mining.steps.read_images import read_files
from pipeline.mining.work import Image, Shard
from pipeline.proposals import Proposals
from pipeline.storage.documents import damaged

_COLUMNS = ("image_id", "image_width", "image_height", "noun", "rank", "proposal_index", "mask_rle")


class ReadCandidates:
    """A committed shard → its images and candidates, for verifiers to look at."""

    def __init__(self, layout: Layout, config: ImagesConfig):
        self._layout = layout
        self._config = config

    def __call__(self, number: int, announce: Callable[[int], None]) -> Shard:
        """Read the tables of a shard and again the files of its images that have candidates.

        The other images are marked rejected, as are those that are gone or have changed since they were mined; the
        `problem` of these says why.

        Args:
            announce: is told the index of each image before the work on it begins.

        Raises:
            UserError: a table is damaged.
            OSError: storage failed, or nothing can be read where the images lie.
        """
        shard = Shard(number)
        rows = read_checked_table(self._layout.table("captions", number), ["image_id", "image_uri"]).to_pylist()
        shard.images = [Image(index, row, rejected=True) for index, row in enumerate(rows)]
        listed = {image.row["image_id"]: image for image in reversed(shard.images) if image.row.get("problem") is None}
        uri = self._layout.table("candidates", number)
        candidates = read_checked_table(uri, _COLUMNS).to_pylist()
        for image_id, of_image in groupby(candidates, itemgetter("image_id")):
            if image_id not in listed:
                raise damaged(uri, f"its image {str(image_id)[:80]!r} is not in the captions table of the shard")
            try:
                _match_again(listed[image_id], list(of_image))
            except (ValueError, TypeError) as error:
                raise damaged(uri, error) from error
        read_files(self._layout, shard, self._config, announce)
        digests = self._digests(number)
        for image in shard.remaining():
            if digests.get(image.row["image_id"], image.file_sha256) != image.file_sha256:
                shard.reject(image, "images", "changed")
        for reject in shard.rejects:
            listed[reject["image_id"]].problem = reject["reason"]
        shard.rejects.clear()
        return shard

    def _digests(self, number: int) -> dict[str, str]:
        """By image the SHA-256 of the file that was mined, where it is known."""
        pairs = read_manifest(self._layout, number, ["image_id"], optional=["image_sha256"]).table
        rejects = read_checked_table(self._layout.table("rejects", number), ["image_id"])
        found = pairs.to_pylist() + rejects.to_pylist()
        return {row["image_id"]: digest for row in found if (digest := row.get("image_sha256"))}


def _match_again(image: Image, rows: list[dict]) -> None:
    """Give an image back what the candidates table has of it."""
    masks = {row["proposal_index"]: row["mask_rle"].encode() for row in rows}
    chosen = sorted(masks)
    nouns = [list(of_noun) for _, of_noun in groupby(rows, lambda row: (row["noun"], row.get("phrase")))]
    image.nouns = [of_noun[0] for of_noun in nouns]
    image.matches = [
        [
            Candidate(noun, chosen.index(row["proposal_index"]), row["rank"], row.get("clip_score") or 0.0, None, None)
            for row in of_noun
        ]
        for noun, of_noun in enumerate(nouns)
    ]
    codes = Masks([masks[index] for index in chosen], rows[0]["image_height"], rows[0]["image_width"])
    image.proposals = Proposals(codes, np.zeros(len(codes), np.float32))
    image.valid = np.ones(len(codes), bool)
    image.rejected = False
