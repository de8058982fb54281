"""Captions table → images."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future

import schemas
from pipeline import storage
from pipeline.captions import read_image, read_shard
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.vocabulary import Vocabulary
from pipeline.images import ImageProblem, ImagesConfig, read_upright
from pipeline.mining.waiting import STORAGE
from pipeline.mining.work import Image, Shard, reject_on_error
from pipeline.storage.errors import is_denied
from pipeline.storage.in_threads import each_in_threads
from pipeline.storage.secrets import MARK

_CONCURRENT_READS = 16


class ReadImages:
    """Captions table → images that have a noun of the vocabulary, as upright JPEG."""

    def __init__(self, layout: Layout, config: ImagesConfig, vocabulary: Vocabulary):
        self._layout = layout
        self._config = config
        self._vocabulary = vocabulary

    def __call__(self, number: int, announce: Callable[[int], None]) -> Shard:
        """Read the captions table of a shard and the files of its images; reject those that are not to be used.

        Args:
            number: of the shard.
            announce: is told the index of each image before the work on it begins.

        Raises:
            OSError: storage failed, or nothing can be read where the images lie.
        """
        shard = Shard(number)
        rows = storage.read_table(self._layout.table("captions", number)).to_pylist()
        shard.images = [Image(index, row) for index, row in enumerate(rows)]
        for image in shard.images:
            self._take_nouns(shard, image)
        read_files(self._layout, shard, self._config, announce)
        return shard

    def _take_nouns(self, shard: Shard, image: Image) -> None:
        row = image.row
        if row["problem"] is not None:
            shard.reject(image, "captions", row["problem"])
            return
        for caption_index, problem in enumerate(row["caption_problems"]):
            if problem:
                shard.reject(image, "nouns", problem, caption_index=caption_index)
        image.nouns = [noun for noun in row["nouns"] if noun["noun"] in self._vocabulary]
        if not row["captions"]:
            shard.reject(image, "captions", "no_captions")
        elif not row["nouns"]:
            problems = sorted(set(row["caption_problems"]))
            shard.reject(image, "nouns", problems[0] if len(problems) == 1 else "no_nouns")
        elif not image.nouns:
            shard.reject(
                image,
                "vocabulary",
                "no_noun_kept",
                ", ".join(noun["noun"] for noun in row["nouns"]),
            )


def read_files(layout: Layout, shard: Shard, config: ImagesConfig, announce: Callable[[int], None]) -> None:
    """Read the files of the shard's remaining images, as upright JPEG; reject those that are not to be used.

    Args:
        announce: is told the index of each image before the work on it begins.

    Raises:
        OSError: storage failed, or nothing can be read where the images lie.
    """
    _take_addresses(layout, shard)
    denied: dict[str, list[tuple[Image, OSError]]] = defaultdict(list)
    answering = set()
    waited = 0.0
    for image, file in read_ahead(shard.remaining(), config):
        place = _place(image)
        with reject_on_error(shard, image, "images"):
            announce(image.index)
            started = time.perf_counter()
            try:
                data = file.result()
            except OSError as error:
                if not is_denied(error):
                    raise
                denied[place].append((image, error))
                continue
            finally:
                waited += time.perf_counter() - started
            answering.add(place)
            image.file_bytes, image.file_sha256 = len(data), hashlib.sha256(data).hexdigest()
            image.jpeg = read_upright(data, config, hashed=True)
            image.perceptual_hash = image.jpeg.perceptual_hash
    shard.waits["images"] = {STORAGE: waited}
    for image in shard.images:
        image.address = None
    for place, images in denied.items():
        # A dataset may name what only others may read. Where some of a bucket can be read, or nothing else can,
        # it is our own storage that has become forbidden.
        if place in answering or not answering:
            raise images[0][1]
        for image, refusal in images:
            shard.reject(image, "images", "unreachable", str(refusal))


def read_again(layout: Layout, number: int, image_ids: Collection[str], config: ImagesConfig) -> Shard:
    """Some images of a shard once more, from where they were mined: those that can be read remain, in their order, and
    `rejects` says why the others cannot.

    Raises:
        UserError: the captions table is damaged.
        OSError: storage failed, or nothing can be read where the images lie.
    """
    shard = Shard(number)
    rows = read_checked_table(layout.table("captions", number), schemas.LISTING.names).to_pylist()
    shard.images = [Image(index, row) for index, row in enumerate(rows)]
    for image in shard.images:
        image.rejected = image.row["image_id"] not in image_ids or image.row["problem"] is not None
    read_files(layout, shard, config, announce=lambda index: None)
    return shard


def _take_addresses(layout: Layout, shard: Shard) -> None:
    """The captions table shows addresses without signatures; those with one are in the listing."""
    shown = [image for image in shard.remaining() if MARK in image.row["image_uri"]]
    if shown:
        addresses = read_shard(layout.uri, shard.number)["image_uri"].to_pylist()
        for image in shown:
            image.address = addresses[image.index]


def read_ahead(images: list[Image], config: ImagesConfig) -> Iterator[tuple[Image, Future[bytes]]]:
    """Every image with its file, a bounded number of files being read or waiting at any time.

    A file of more than `config.max_bytes` is an `ImageProblem`.
    """
    return each_in_threads(lambda image: _read_file(image, config), images, _CONCURRENT_READS, _CONCURRENT_READS)


def _place(image: Image) -> str:
    """What is forbidden as a whole: the bucket of an image, its archive, or a file of this machine by itself."""
    address = (image.address or image.row["image_uri"]).rpartition("::")[2]
    protocol, remote, path = address.partition("://")
    return f"{protocol}://{path.partition('/')[0]}" if remote and protocol != "file" else address


def _read_file(image: Image, config: ImagesConfig) -> bytes:
    row = image.row
    address = image.address or row["image_uri"]
    try:
        return read_image(address, row["byte_offset"], row["byte_length"], config.max_bytes, config.web)
    except FileNotFoundError:
        raise ImageProblem("missing_file") from None
    except OSError as error:
        # One host of many that refuses or does not answer says something about this image. Storage that fails does
        # not, and ends the shard.
        if address.startswith(("http://", "https://")):
            raise ImageProblem("unreachable", str(error)) from None
        raise
