"""Perceptual hashes of images that were mined by a version without them: read again from their source."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline import storage
from pipeline.configuration.overwriting import check_no_links
from pipeline.dataset.hashes import HashedImage, read_hashes, write_hashes
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import Manifest, read_manifest
from pipeline.dataset.opening import open_mined_dataset
from pipeline.errors import UserError
from pipeline.images import ImagesConfig
from pipeline.mining.steps.read_images import read_again


@dataclass
class Hashing:
    """What was done."""

    shards: int = 0
    """That had no hashes."""
    images: int = 0
    """In these, images with pairs that have hashes now."""
    lost: Counter[str] = field(default_factory=Counter)
    """By reason the images with pairs that cannot be read any more, or are other files now; their hash is that of a
    plain picture, so that they are near to nothing."""

    def __str__(self) -> str:
        """One line for the terminal."""
        reasons = "".join(f"; {count} could not be: {reason}" for reason, count in self.lost.most_common())
        return f"hashed {self.images} images of {self.shards} shards, the others before{reasons}"


def hash_images(output: str) -> Hashing:
    """Write the tables of hashes that a dataset lacks, in this process: those of the images with pairs.

    Raises:
        UserError: no mined dataset, or a damaged one.
        OSError: storage failed.
    """
    dataset = open_mined_dataset(output)
    dataset.check_begun()
    storage.check_writable(output, "output")
    check_no_links(output, ["hashes"])
    storage.remove_leftovers(dataset.layout.path("hashes"))
    found = Hashing()
    for number in dataset.shards:
        manifest = read_manifest(dataset.layout, number, ["image_id"], ["image_sha256"])
        try:
            read_hashes(dataset.layout, manifest)
        except UserError:
            found.shards += 1
            write_hashes(dataset.layout, number, _hashed(dataset.layout, manifest, found))
    return found


def _hashed(layout: Layout, manifest: Manifest, found: Hashing) -> Iterator[HashedImage]:
    """The images of a shard that pairs were cut from, in the order of its captions table."""
    mined = dict(zip(*(manifest.table[name].to_pylist() for name in ("image_id", "image_sha256")), strict=True))
    shard = read_again(layout, manifest.shard, mined, ImagesConfig(min_side=1))
    reasons = {reject["image_id"]: reject["reason"] for reject in shard.rejects}
    for image in shard.images:
        image_id = image.row["image_id"]
        if image_id not in mined or image.row["problem"] is not None:
            continue
        sha256 = mined[image_id]
        problem = reasons.get(image_id)
        if problem is None and sha256 not in (None, "", image.file_sha256):
            problem = "another_file"
        found.lost.update([problem] if problem else [])
        found.images += problem is None
        yield HashedImage(
            image_id,
            image.row["image_uri"],
            (image.file_sha256 or "") if sha256 is None else sha256,
            0 if problem or image.perceptual_hash is None else image.perceptual_hash,
        )
