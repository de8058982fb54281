"""Listing → captions table."""

from collections import Counter

import pyarrow as pa

import schemas
from pipeline import storage
from pipeline.captions import read_shard
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.layout import Layout
from pipeline.nouns import Noun, NounExtractor, NounsConfig, Phrase, caption_problem, union
from pipeline.nouns.noun import Form
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

    def __call__(self, shard: int) -> Counter[tuple[str, str | None]]:
        """Write the shard's captions table, with all captions, if it is not there yet.

        Returns:
            the number of images of each noun, as (noun, None), and of each phrase that is more, as (noun, phrase).
        """
        uri = self._layout.table("captions", shard)
        try:
            table = read_checked_table(uri)
        except (FileNotFoundError, DamagedFileError):
            table = self._find(read_shard(self._layout.uri, shard))
            storage.write_table(table, uri)
        counts: Counter[tuple[str, str | None]] = Counter()
        for nouns in table["nouns"].to_pylist():
            counts.update({(noun["noun"], None) for noun in nouns})
            counts.update(
                (noun["noun"], noun["phrase"]) for noun in nouns if noun["phrase"] not in (None, noun["noun"])
            )
        return counts

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
            row["nouns"] = noun_rows(per_caption, self._form)
            if "kept" in row:
                row["kept"] = {
                    name: redacted(value) if isinstance(value, str) else value for name, value in row["kept"].items()
                }
        kept = list(listing.schema.field("kept").type) if "kept" in listing.column_names else []
        return pa.Table.from_pylist(rows, schemas.with_kept(schemas.CAPTIONS, kept))


def noun_rows(per_caption: list[list[Noun]], form: Form) -> list[dict]:
    """The nouns of an image as the captions table has them, without what they lack; see `union`."""
    return [
        {
            "noun": noun.name(form),
            "surface": noun.surface,
            "caption_index": caption_index,
            "char_start": noun.start,
            "char_end": noun.end,
            **(_phrase_columns(noun.phrase) if noun.phrase else {}),
        }
        for caption_index, noun in union(per_caption, form)
    ]


def _phrase_columns(phrase: Phrase) -> dict:
    return {
        "phrase": phrase.text,
        "phrase_start": phrase.start,
        "phrase_end": phrase.end,
        "attributes": list(phrase.attributes),
    }
