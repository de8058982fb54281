"""Image-text WebDataset tars, as img2dataset writes them: KEY.jpg with KEY.txt or KEY.json."""

import itertools
import posixpath
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.captions.carried import Carried
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.sorting import sort_batches
from pipeline.captions.tar_members import shown
from pipeline.captions.tar_samples import TarSample, description_of, rows_of, samples_of, text_extensions
from pipeline.errors import UserError
from pipeline.storage.in_threads import in_threads
from pipeline.storage.patterns import IMAGE_EXTENSIONS, matching_files
from schemas import LISTING, with_kept

_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".zst")
_TARS_AT_ONCE = 8
_ROWS_PER_BATCH = 4096
# How many samples of a tar are shown that has another form than is looked for.
_SAMPLES_SHOWN = 2
_STRUCTURAL = ("no_image", "no_text", "unclear_name")

# So many samples are looked at for the fields that captions.keep and captions.where name.
_DESCRIPTIONS_LOOKED_AT = 100
# The rows of the tars one after the other, numbered, so that of equal keys the first is known.
_NUMBER = pa.field("number", pa.int64())


class WebDatasetCaptions:
    """Samples sorted by key. Each tar is read through once per listing, several at a time.

    The caption is KEY.txt or KEY.caption, or else "caption" (a text or a list of texts) of KEY.json, whose "width" and
    "height" are used too; `captions.caption_column` names another extension and key. A sample is a run of members with
    one key, which is the name up to its first dot, as everywhere with WebDataset. Its picture is KEY.jpg (or another
    kind of image; the first if there are more), or else KEY.image.jpg; names of other parts may be anything.

    Problems: `no_text` (an image without KEY.txt or caption), `no_image`, `bad_text` (KEY.txt is not UTF-8, too long,
    or a list that holds no texts, or KEY.json is needed and malformed), `listed_twice` (the key came before, or the
    names in it are repeated so that nobody can tell what belongs together), `unclear_name` (images such as
    KEY.seg.png, but none that is clearly the picture), `no_plain_file` (the image is a link or a sparse file),
    `truncated_tar` (one row for a tar that ends early or is no tar; the samples before the damage are listed as usual).
    """

    def __init__(self, config: CaptionsConfig) -> None:
        self._tars = matching_files(config.path, (".tar",), named_suffixes=_COMPRESSED)
        compressed = [tar for tar in self._tars if tar.lower().endswith(_COMPRESSED)]
        if compressed:
            raise UserError(
                f"captions.path: {compressed[0]} is compressed, and its images cannot be read "
                "one by one; unpack it to a plain .tar"
            )
        if inside := [tar for tar in self._tars if "::" in tar]:
            raise UserError(
                f"captions.path: {inside[0]} is inside an archive, where no part of it can be read; unpack it"
            )
        if unprintable := [tar for tar in self._tars if shown(tar) != tar]:
            raise UserError(f"captions.path: the name of {shown(unprintable[0])} is not UTF-8; rename the file")
        self._caption = config.caption_column
        self._carried = Carried(config)
        self._schema = with_kept(LISTING, self._carried.text_fields)
        self._check_first_samples()

    @property
    def dropped(self) -> int | None:
        """See `CaptionSource`."""
        return self._carried.dropped

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of the listing, sorted by key through files on the local disk."""
        last_key = None
        self._carried.begin()
        for batch in sort_batches(self._numbered(), self._schema.append(_NUMBER), ["image_id", "number"]):
            usable = np.flatnonzero(pc.is_null(batch["problem"]).to_numpy(zero_copy_only=False))
            keys = batch["image_id"].take(pa.array(usable)).to_pylist()
            before = [last_key, *keys][: len(keys)]
            repeated = {int(row) for row, key, previous in zip(usable, keys, before, strict=True) if key == previous}
            if repeated:
                problems = [
                    "listed_twice" if row in repeated else problem
                    for row, problem in enumerate(batch["problem"].to_pylist())
                ]
                index = batch.schema.get_field_index("problem")
                batch = batch.set_column(index, LISTING.field("problem"), pa.array(problems))
            last_key = keys[-1] if keys else last_key
            yield batch.select(self._schema.names)

    def _check_first_samples(self) -> None:
        """A tar of another make is found at once, odd samples only get rejected."""
        if message := _unusable(self._tars[0], self._caption):
            raise UserError(message)
        if self._carried:
            samples = itertools.islice(samples_of(self._tars[0], self._caption), _DESCRIPTIONS_LOOKED_AT)
            described = [description_of(sample) for sample in samples if sample is not None]
            self._carried.check([one for one in described if isinstance(one, dict)], f"KEY.json in {self._tars[0]}")

    def _numbered(self) -> Iterator[pa.RecordBatch]:
        schema = self._schema.append(_NUMBER)
        rows = (row for tar_rows in self._rows_of_tars() for row in self._fulfilling(tar_rows))
        numbers = itertools.count()
        while chunk := list(itertools.islice(rows, _ROWS_PER_BATCH)):
            numbered = [row | {"number": next(numbers)} for row in chunk]
            yield pa.RecordBatch.from_pylist(numbered, schema)

    def _fulfilling(self, rows: list[dict]) -> Iterator[dict]:
        """The rows of a tar that `captions.where` does not drop, with what is kept."""
        described = [row.pop("description", {}) for row in rows]
        holds = self._carried.holding(described, [row.get("problem") is not None for row in rows])
        for row, description, holding in zip(rows, described, holds, strict=True):
            if holding:
                yield row | {"kept": self._carried.kept(description)}

    def _rows_of_tars(self) -> Iterator[list[dict]]:
        """The rows of each tar, in order; a few tars are read ahead."""
        described = bool(self._carried)
        return in_threads(lambda tar: index_tar(tar, self._caption, described), self._tars, _TARS_AT_ONCE)


def index_tar(tar: str, caption: str = "caption", described: bool = False) -> list[dict]:
    """Listing rows (without null fields) for the samples of one tar, in their order.

    Args:
        caption: `captions.caption_column`.
        described: rows have `description` besides, the object in KEY.json ({} without one).

    Raises:
        OSError: storage is broken or unreachable.
    """
    rows: list[dict] = []
    for sample in samples_of(tar, caption):
        if sample is None:
            name = posixpath.basename(tar)
            truncated = {"image_id": name, "image_uri": tar, "captions": [], "problem": "truncated_tar"}
            rows.append(truncated)
            continue
        found = rows_of(sample, tar, caption)
        description = description_of(sample) if described else None
        rows.extend(row | {"description": description} if isinstance(description, dict) else row for row in found)
    return rows


def _unusable(tar: str, caption: str) -> str | None:
    """What to say if nothing of a tar can be used; None if something can, or if the tar is damaged or empty."""
    seen: list[TarSample] = []
    reasons: dict[str, set[str]] = {}
    for sample in samples_of(tar, caption):
        if sample is None:
            return None
        for row in rows_of(sample, tar, caption):
            if row["problem"] not in _STRUCTURAL:
                return None
            reasons.setdefault(row["image_id"], set()).add(row["problem"])
        if len(seen) < _SAMPLES_SHOWN:
            seen.append(sample)
    if not seen:
        return None
    members = ", ".join(shown(name) for sample in seen for name in sample.names)
    if isinstance(description := description_of(seen[0]), dict) and description:
        members += f" (the JSON has {', '.join(repr(key[:40]) for key in list(description)[:8])})"
    texts = ", ".join(f"KEY.{extension}" for extension in text_extensions(caption))
    hint = "name the extension or the key with captions.caption_column"
    if any({"no_image", "no_text"} <= problems for problems in reasons.values()):
        hint = (
            "the parts of a sample must follow one another, but here they are apart: sort the members by name, as "
            "tar --sort=name does"
        )
    elif any("unclear_name" in problems for problems in reasons.values()):
        hint = (
            "a name is cut at its first dot (KEY.EXTENSION), and here the names begin to differ after it: rename the "
            "members so that the key has no dot"
        )
    return (
        f"captions.path: no image of {tar} has a caption. It holds {members} …; looked for is KEY.jpg "
        f"(or {', '.join(IMAGE_EXTENSIONS[1:])}) with {texts} or {caption!r} in KEY.json; {hint}"
    )
