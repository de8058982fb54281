"""The caption files of Flickr8k and Flickr30k, as their authors and Kaggle have them.

1000268201_693b08cb0e.jpg#0<TAB>A child in a pink dress is climbing up …      Flickr8k.token.txt, results_20130124.token
1000092795.jpg| 0| Two young guys with shaggy hair look at their …            results.csv, with a header
"""

import gzip
import posixpath
import re
import zlib
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.grouping import grouped
from pipeline.captions.source import image_root
from pipeline.captions.text_fields import text_batch
from pipeline.captions.text_table import shown, text_lines
from pipeline.errors import UserError
from pipeline.storage.patterns import is_local_directory

_TOKEN = re.compile(r"(?P<image>[^\t]+)#\d+\t(?P<caption>.*)")
_BARS = re.compile(r"(?P<image>[^|]+)\|\s*\d+\s*\|\s?(?P<caption>.*)")
_HEADER_OF_BARS = re.compile(r"image_name\s*\|\s*comment_number\s*\|\s*comment\s*")
_LINES_LOOKED_AT = 100
_LINES_PER_BATCH = 2**14

_Line = str | None


class FlickrCaptions:
    """Images sorted by name, their captions in the order of the file.

    Problems: `bad_row` (a line of another form; its id is FILE:LINE), `bad_text` (not UTF-8), and those of `grouped`.
    """

    def __init__(self, config: CaptionsConfig) -> None:
        if config.keep or config.where is not None:
            key = "keep" if config.keep else "where"
            raise UserError(f"captions.{key}: files of captions.format flickr have nothing but names and captions")
        storage.check_readable(config.path, "captions.path")
        if is_local_directory(config.path):
            raise UserError(f"captions.path: {config.path} is a folder; name the file with the captions")
        if config.images is None:
            raise UserError("captions.images: must be set to the folder of the images, which the file names")
        self._path = config.path
        self._images = image_root(config.images)

    @property
    def dropped(self) -> None:
        """None: there is nothing that a condition could look at."""
        return None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of the listing, in the order of the class."""
        return grouped(self._rows(), self._images, [])

    def _rows(self) -> Iterator[pa.RecordBatch]:
        with storage.open_input(self._path, read_ahead=True) as stream:
            packed = self._path.partition("::")[0].lower().endswith(".gz")
            unpacked: Any = gzip.GzipFile(fileobj=stream) if packed else stream
            try:
                yield from self._batches(iter(enumerate(text_lines(unpacked), start=1)))
            except (EOFError, zlib.error, gzip.BadGzipFile, UserError) as error:
                raise UserError(f"captions.path: {self._path} cannot be read: {error}") from error

    def _batches(self, lines: Iterator[tuple[int, _Line]]) -> Iterator[pa.RecordBatch]:
        first = list(islice(lines, _LINES_LOOKED_AT))
        form = next((form for form in (_TOKEN, _BARS) for _, line in first if line and form.fullmatch(line)), None)
        if form is None:
            seen = next((shown(line[:80]) for _, line in first if line and line.strip()), "nothing")
            raise UserError(
                f"it begins with {seen!r}; looked for is NAME.jpg#0<TAB>CAPTION or NAME.jpg| 0| CAPTION (a table with "
                "a header is captions.format table)"
            )
        lines = chain(first, lines)
        while chunk := list(islice(lines, _LINES_PER_BATCH)):
            values: dict[str, list[str | None]] = {"image_id": [], "caption": []}
            problems: list[str | None] = []
            for number, line in chunk:
                if line is not None and (not line.strip() or (number == 1 and _HEADER_OF_BARS.fullmatch(line.strip()))):
                    continue
                found = form.fullmatch(line.rstrip("\r")) if line is not None else None
                label = f"{posixpath.basename(self._path)}:{number}"
                values["image_id"].append(found["image"].strip() if found else label)
                values["caption"].append(found["caption"].strip() if found else None)
                problems.append(None if found else "bad_row")
            batch = text_batch(values, problems)
            nothing = pa.nulls(len(batch), pa.string())
            yield batch.append_column("image", nothing).append_column("address", nothing)
