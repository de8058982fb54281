"""From the numbers that a distribution writes to class indices."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.evaluation.datasets.protocol import IGNORE

_UNKNOWN = IGNORE - 1  # no data set has so many classes


class LabelCodes:
    """Turns label values into classes by a table of all 16-bit values."""

    def __init__(self, codes: Mapping[int, int], ignored: Iterable[int] | None) -> None:
        """
        Args:
            codes: class index by label value.
            ignored: label values of pixels that do not count; None: all that are not in `codes`.
        """
        self._table = np.full(1 << 16, IGNORE if ignored is None else _UNKNOWN, np.uint16)
        self._table[list(ignored or ())] = IGNORE
        self._table[list(codes.keys())] = list(codes.values())

    @property
    def sha256(self) -> str:
        """Digest of the table."""
        return hashlib.sha256(self._table.data).hexdigest()

    def classes(self, values: np.ndarray, uri: str) -> np.ndarray:
        """Class indices or IGNORE, uint16 [H, W], of label values, integers [H, W] in 0..65535.

        Raises:
            UserError: the file `uri` holds values without a meaning.
        """
        labels = self._table[values]
        unknown = labels == _UNKNOWN
        if unknown.any():
            found = np.unique(values[unknown]).tolist()
            raise UserError(f"{uri} holds label values outside the list of classes: {first_of(found, 10)}")
        return labels
