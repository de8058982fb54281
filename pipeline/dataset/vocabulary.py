"""The vocabulary table: every noun of the captions, which ones are kept, and their CLIP text embeddings."""

import numpy as np
import pyarrow as pa

import schemas


def vocabulary_table(nouns: list[str], images: list[int], embeddings_ND: np.ndarray) -> pa.Table:
    """One row per noun, in the order given.

    Args:
        nouns: the most frequent first.
        images: for each the number of images whose captions name it.
        embeddings_ND: float32, unit length, of the first N nouns: those that are kept.
    """
    embeddings = [*embeddings_ND, *[None] * (len(nouns) - len(embeddings_ND))]
    return pa.Table.from_pylist(
        [
            {"noun": noun, "images": count, "kept": embedding is not None, "embedding": embedding}
            for noun, count, embedding in zip(nouns, images, embeddings, strict=True)
        ],
        schemas.VOCABULARY,
    )


class Vocabulary:
    """The kept nouns of a vocabulary table and their embeddings."""

    def __init__(self, table: pa.Table):
        kept = table.filter(table["kept"])
        self._row = {noun: row for row, noun in enumerate(kept["noun"].to_pylist())}
        flat = kept["embedding"].combine_chunks().flatten().to_numpy()
        self._embeddings_ND = flat.reshape(len(self._row), -1) if self._row else np.zeros((0, 0), np.float32)

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, noun: str) -> bool:
        return noun in self._row

    def embeddings(self, nouns: list[str]) -> np.ndarray:
        """Text embeddings float32 [N,D] of unit length."""
        return self._embeddings_ND[[self._row[noun] for noun in nouns]]
