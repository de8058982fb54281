"""Which nouns make the vocabulary."""

from collections.abc import Mapping


def select_vocabulary(
    image_counts: Mapping[str, int], min_count: int = 1, max_vocabulary: int | None = None
) -> list[str]:
    """The nouns found in `min_count` images or more, the most frequent first and ties in alphabetical order, cut to
    `max_vocabulary`.

    image_counts: noun -> number of images in whose captions it occurs.
    """
    kept = [noun for noun, count in image_counts.items() if count >= min_count]
    return sorted(kept, key=lambda noun: (-image_counts[noun], noun))[:max_vocabulary]
