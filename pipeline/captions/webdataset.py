"""Image-text WebDataset tars, as img2dataset writes them: KEY.jpg with KEY.txt or KEY.json."""

import collections
import itertools
import json
import posixpath
import tarfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.files import matching_files
from pipeline.captions.sorting import sort_batches
from pipeline.errors import UserError
from schemas import LISTING

_IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp")
_TARS_AT_ONCE = 8
_ROWS_PER_BATCH = 4096

# The rows of the tars one after the other, numbered, so that of equal keys the first is known.
_ROWS = LISTING.append(pa.field("number", pa.int64()))


class WebDatasetCaptions:
    """Samples sorted by key. Each tar is read through once per listing, several at a time.

    The caption is KEY.txt, or else "caption" (a text or a list of texts) of KEY.json, whose "width"
    and "height" are used too. A sample is a run of members with one key, as everywhere with
    WebDataset.

    Problems: `no_text` (an image without KEY.txt or caption), `no_image`, `bad_text` (KEY.txt is
    not UTF-8, or KEY.json is needed and malformed), `listed_twice` (the key came before),
    `truncated_tar` (one row for a tar that ends early or is no tar; the samples before the damage
    are listed as usual).
    """

    def __init__(self, config: CaptionsConfig) -> None:
        self._tars = matching_files(config.path, (".tar",))
        compressed = [tar for tar in self._tars if tar.lower().endswith((".gz", ".tgz", ".zst"))]
        if compressed:
            raise UserError(
                f"captions.path: {compressed[0]} is compressed, and its images cannot be read "
                "one by one; unpack it to a plain .tar"
            )

    def batches(self) -> Iterator[pa.RecordBatch]:
        last_key = None
        for batch in sort_batches(self._numbered(), _ROWS, ["image_id", "number"]):
            usable = np.flatnonzero(pc.is_null(batch["problem"]).to_numpy(zero_copy_only=False))
            keys = batch["image_id"].take(pa.array(usable)).to_pylist()
            before = [last_key, *keys][: len(keys)]
            repeated = {int(row) for row, key, previous in zip(usable, keys, before, strict=True) if key == previous}
            if repeated:
                problems = [
                    "listed_twice" if row in repeated else problem
                    for row, problem in enumerate(batch["problem"].to_pylist())
                ]
                place = batch.schema.get_field_index("problem")
                batch = batch.set_column(place, _ROWS.field("problem"), pa.array(problems))
            last_key = keys[-1] if keys else last_key
            yield batch.select(LISTING.names)

    def _numbered(self) -> Iterator[pa.RecordBatch]:
        rows = (row for tar_rows in self._rows_of_tars() for row in tar_rows)
        numbers = itertools.count()
        while chunk := list(itertools.islice(rows, _ROWS_PER_BATCH)):
            numbered = [row | {"number": next(numbers)} for row in chunk]
            yield pa.RecordBatch.from_pylist(numbered, _ROWS)

    def _rows_of_tars(self) -> Iterator[list[dict]]:
        """The rows of each tar, in order; at most _TARS_AT_ONCE tars are read ahead."""
        waiting: collections.deque[Future] = collections.deque()
        with ThreadPoolExecutor(_TARS_AT_ONCE) as threads:
            try:
                for tar in self._tars:
                    waiting.append(threads.submit(index_tar, tar))
                    if len(waiting) == _TARS_AT_ONCE:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                threads.shutdown(cancel_futures=True)


@dataclass
class _Sample:
    """Consecutive members of a tar with one key."""

    key: str
    image: tarfile.TarInfo | None = None
    text: bytes | None = None
    description: bytes | None = None


def index_tar(tar: str) -> list[dict]:
    """Listing rows (without null fields) for the samples of one tar, in their order.

    Raises:
        OSError: storage is broken or unreachable.
    """
    rows: list[dict] = []
    sample: _Sample | None = None
    # Headers, captions and the ends of images are read in order: blocks ahead, not many requests.
    with storage.open_input(tar, read_ahead=True) as file:
        for member, data in _whole_members(file):
            if member is None:
                rows.extend(_row(sample, tar))
                sample = None
                name = posixpath.basename(tar)
                rows.append({"image_id": name, "image_uri": tar, "captions": [], "problem": "truncated_tar"})
                break
            key, extension = _key_and_extension(member.name)
            if sample is None or key != sample.key:
                rows.extend(_row(sample, tar))
                sample = _Sample(key)
            if extension in _IMAGE_EXTENSIONS:
                sample.image = sample.image or member
            elif extension == "txt":
                sample.text = data
            elif extension == "json":
                sample.description = data
    rows.extend(_row(sample, tar))
    return rows


def _whole_members(file: Any) -> Iterator[tuple[tarfile.TarInfo | None, bytes]]:
    """The files of a tar with the content of its small texts; (None, b"") if the tar is damaged.

    tarfile itself ends without a word at a header that is cut off or wrong.
    """
    size = file.seek(0, 2)
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                # tarfile remembers every member: memory that grows with the tar.
                archive.members = []
                if member.offset_data + member.size > size:
                    yield None, b""
                    return
                if not member.isfile():
                    continue
                wanted = _key_and_extension(member.name)[1] in ("txt", "json")
                yield member, archive.extractfile(member).read() if wanted else b""
            file.seek(archive.offset)
            ended = file.read(tarfile.BLOCKSIZE) == tarfile.NUL * tarfile.BLOCKSIZE
    except tarfile.TarError:
        ended = False
    if not ended:
        yield None, b""


def _key_and_extension(name: str) -> tuple[str, str]:
    """("a/b", "seg.png") for a/b.seg.png: the first dot of the name, as WebDataset cuts it."""
    folder, base = posixpath.split(name.removeprefix("./"))
    stem, _, extension = base.partition(".")
    return posixpath.join(folder, stem), extension.lower()


def _row(sample: _Sample | None, tar: str) -> Iterator[dict]:
    if sample is None:
        return
    captions, width, height, problem = _captions(sample)
    row = {"image_id": sample.key, "captions": captions, "width": width, "height": height}
    if sample.image is None:
        yield row | {"image_uri": tar, "problem": "no_image"}
        return
    yield row | {
        "image_uri": f"tar://{sample.image.name}::{tar}",
        "byte_offset": sample.image.offset_data,
        "byte_length": sample.image.size,
        "problem": problem,
    }


def _captions(sample: _Sample) -> tuple[list[str], int | None, int | None, str | None]:
    """Captions, width and height in pixels, and what is wrong with the texts of a sample."""
    problem = None
    description: Any = {}
    if sample.description is not None:
        try:
            description = json.loads(sample.description)
        except (ValueError, RecursionError):
            problem = "bad_text"
    if not isinstance(description, dict):
        description, problem = {}, "bad_text"
    width, height = (_pixels(description.get(name)) for name in ("width", "height"))
    if sample.text is not None:
        try:
            return [sample.text.decode()], width, height, None
        except UnicodeDecodeError:
            return [], width, height, "bad_text"
    captions = description.get("caption")
    captions = captions if isinstance(captions, list) else [captions]
    captions = [caption.encode(errors="replace").decode() for caption in captions if isinstance(caption, str)]
    return captions, width, height, problem if captions else problem or "no_text"


def _pixels(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 < value < 2**31 else None
