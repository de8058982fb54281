"""Listing → captions table."""

from collections import Counter

import pyarrow as pa

import schemas
from pipeline import storage
from pipeline.captions import read_shard
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.layout import Layout
from pipeline.nouns import NounExtractor, NounsConfig, caption_problem, union
from pipeline.storage.documents import DamagedFileError
from pipeline.storage.secrets import redacted


class FindNouns:
    """Listing → captions table: the nouns of every image of a shard."""

    def __init__(self, layout: Layout, captions_per_image: int | None, config: NounsConfig):
        """`captions_per_image`: only so many captions of each image are looked at; None: all."""
        self._layout = layout
        self._captions = captions_per_image
        self._form = config.form
        self._max_length = config.max_caption_length
        self._extractor = NounExtractor.from_config(config)

    def __call__(self, shard: int) -> Counter:
        """Write the shard's captions table, with all captions, if it is not there yet. Returns the images per noun."""
        uri = self._layout.table("captions", shard)
        try:
            table = read_checked_table(uri)
        except (FileNotFoundError, DamagedFileError):
            table = self._find(read_shard(self._layout.uri, shard))
            storage.write_table(table, uri)
        return Counter(noun["noun"] for nouns in table["nouns"].to_pylist() for noun in nouns)

    def _find(self, listing: pa.Table) -> pa.Table:
        rows = listing.to_pylist()
        used = [row["captions"][: self._captions] for row in rows]
        found = iter(self._extractor.extract([caption for captions in used for caption in captions]))
        for row, captions in zip(rows, used, strict=True):
            # Only the listing keeps an address with its signature, from where `ReadImages` takes it.
            row["image_id"], row["image_uri"] = redacted(row["image_id"]), redacted(row["image_uri"])
            per_caption = [next(found) for _ in captions]
            row["captions_used"] = len(captions)
            row["caption_problems"] = [
                caption_problem(caption, self._max_length) or ("" if nouns else "no_nouns")
                for caption, nouns in zip(captions, per_caption, strict=True)
            ]
            row["nouns"] = [
                {
                    "noun": noun.name(self._form),
                    "surface": noun.surface,
                    "caption_index": caption_index,
                    "char_start": noun.start,
                    "char_end": noun.end,
                }
                for caption_index, noun in union(per_caption, self._form)
            ]
        return pa.Table.from_pylist(rows, schemas.CAPTIONS)
