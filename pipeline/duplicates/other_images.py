"""Images that a mined dataset is compared with: of a folder, or of another mined dataset."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline import storage
from pipeline.dataset.hashes import dataset_hashes
from pipeline.dataset.opening import open_mined_dataset
from pipeline.errors import UserError
from pipeline.images import ImageProblem, ImagesConfig, read_upright
from pipeline.storage.in_threads import in_threads

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".ppm")
_LIMITS = ImagesConfig(min_side=1)


@dataclass(frozen=True)
class OtherImage:
    """One of them."""

    name: str
    """Its path in the folder, or its image_id in the dataset."""
    uri: str
    sha256: str | None
    """Of its file; None if it could not be read, or was never a file."""
    perceptual_hash: int | None
    """None: see `problem`."""
    problem: str | None = None
    """Why it could not be read: a short code, and what was found."""


def read_other_images(against: str) -> Iterator[OtherImage]:
    """The images of a mined dataset by its tables of hashes, or those of a folder and of all folders in it.

    Raises:
        UserError: there are no images, or a dataset without hashes.
        OSError: storage cannot be read.
    """
    storage.check_readable(against, "--against")
    if storage.exists(storage.join(against, "config.yaml")):
        return _of_dataset(against)
    names = [name for name in storage.list_tree(against) if _is_image(name)]
    if not names:
        raise UserError(
            f"--against: {against} holds no images (looked for {', '.join(_SUFFIXES)}) and no mined dataset"
        )
    return _of_folder(against, names)


def read_picture(uri: str) -> bytes:
    """The file of an image; what is too large is an `ImageProblem`.

    Raises:
        ImageProblem: it cannot be used.
        OSError: storage cannot be read.
    """
    try:
        return storage.read_at_most(uri, _LIMITS.max_bytes)
    except storage.TooManyBytes:
        raise ImageProblem("file_too_large", f"more than {_LIMITS.max_bytes} bytes") from None
    except FileNotFoundError:
        raise ImageProblem("missing_file") from None


def _of_dataset(against: str) -> Iterator[OtherImage]:
    dataset = open_mined_dataset(against, "--against")
    dataset.check_begun()
    for row in dataset_hashes(dataset.layout, dataset.shards).to_pylist():
        yield OtherImage(row["image_id"], row["image_uri"], row["image_sha256"] or None, row["perceptual_hash"])


def _of_folder(against: str, names: Sequence[str]) -> Iterator[OtherImage]:
    def read(name: str) -> OtherImage:
        uri = storage.join(against, name)
        sha256 = None
        try:
            data = read_picture(uri)
            sha256 = hashlib.sha256(data).hexdigest()
            found = read_upright(data, _LIMITS, hashed=True).perceptual_hash
        except ImageProblem as problem:
            return OtherImage(name, uri, sha256, None, str(problem))
        return OtherImage(name, uri, sha256, found)

    return in_threads(read, names)


def _is_image(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES) and not name.rpartition("/")[2].startswith(".")
