"""Folds: an even split of a dataset's images, the same wherever it is asked for."""

import hashlib

_SALT = b"fold:"
"""Which images are held out for validation comes from a hash of the image_id, too: the two must not be related."""


def fold_of(image_id: str, folds: int) -> int:
    """The fold of an image, 0..folds-1.

    It depends on the image_id and `folds` alone, and is independent of `data.held_out_share`: every fold has the same
    share of held-out images, up to chance.

    Raises:
        ValueError: `folds` is below 1.
    """
    if folds < 1:
        raise ValueError(f"{folds} folds")
    return int.from_bytes(hashlib.sha256(_SALT + image_id.encode()).digest()[:8]) % folds
