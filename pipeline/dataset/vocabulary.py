"""The vocabulary table: every noun of the captions, which ones are kept, and their CLIP text embeddings.

Where phrases are matched, those of the kept nouns follow the nouns.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

import schemas

Phrase = tuple[str, str]
"""A noun, and a phrase of it."""


def select_phrases(image_counts: Mapping[Phrase, int], nouns: Sequence[str]) -> list[Phrase]:
    """The phrases of some nouns, the most frequent first and ties in alphabetical order.

    image_counts: phrase -> number of images in whose captions it occurs.
    """
    kept = set(nouns)
    found = [phrase for phrase in image_counts if phrase[0] in kept]
    return sorted(found, key=lambda phrase: (-image_counts[phrase], phrase))


def vocabulary_table(
    nouns: list[str],
    images: list[int],
    embeddings_ND: np.ndarray,
    phrases: Mapping[Phrase, int] | None = None,
    phrase_embeddings_PD: np.ndarray | None = None,
) -> pa.Table:
    """One row per noun, in the order given, and then one per phrase.

    Args:
        nouns: the most frequent first.
        images: for each the number of images whose captions name it.
        embeddings_ND: float32, unit length, of the first N nouns: those that are kept.
        phrases: for each, which is more than its noun, the number of images whose captions have it.
        phrase_embeddings_PD: float32, unit length, of all phrases.
    """
    embeddings = [*embeddings_ND, *[None] * (len(nouns) - len(embeddings_ND))]
    rows = [
        {"noun": noun, "images": count, "kept": embedding is not None, "embedding": embedding}
        for noun, count, embedding in zip(nouns, images, embeddings, strict=True)
    ]
    if phrases and phrase_embeddings_PD is not None:
        rows += [
            {"noun": noun, "phrase": phrase, "images": count, "kept": True, "embedding": embedding}
            for ((noun, phrase), count), embedding in zip(phrases.items(), phrase_embeddings_PD, strict=True)
        ]
    return pa.Table.from_pylist(rows, schemas.VOCABULARY)


class Vocabulary:
    """The kept nouns of a vocabulary table, and the embeddings of them and of their phrases."""

    def __init__(self, table: pa.Table):
        kept = table.filter(table["kept"])
        nouns, phrases = kept["noun"].to_pylist(), kept["phrase"].to_pylist()
        self._nouns = frozenset(nouns)
        self._row: dict[str, int] = {}
        for row, (noun, phrase) in enumerate(zip(nouns, phrases, strict=True)):
            self._row.setdefault(phrase or noun, row)
        flat = kept["embedding"].combine_chunks().flatten().to_numpy()
        self._embeddings_ND = flat.reshape(len(kept), -1) if len(kept) else np.zeros((0, 0), np.float32)

    def __len__(self) -> int:
        return len(self._nouns)

    def __contains__(self, noun: str) -> bool:
        return noun in self._nouns

    def embeddings(self, texts: list[str]) -> np.ndarray:
        """Text embeddings float32 [N,D] of unit length, of nouns and phrases."""
        return self._embeddings_ND[[self._row[text] for text in texts]]
