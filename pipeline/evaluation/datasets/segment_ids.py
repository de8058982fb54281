"""Numbers that tell segments apart, pixel by pixel."""

from collections.abc import Sequence

import numpy as np

from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of


def segment_indices(ids_HW: np.ndarray, listed: Sequence[int], uri: str) -> np.ndarray:
    """The index of each pixel's segment plus one, int32 [H,W]; 0 where the id is 0 and not listed.

    Args:
        ids_HW: integers [H,W].
        listed: the id of each segment.
        uri: the file of the ids, for messages.

    Raises:
        UserError: an id is not listed.
    """
    # Segments are connected: a run of equal pixels becomes one.
    ids = ids_HW.ravel()
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1])) if len(ids) else np.zeros(0, np.int64)
    found, which = np.unique(ids[starts], return_inverse=True)
    index = {identifier: number for number, identifier in enumerate(listed, start=1)}
    index.setdefault(0, 0)
    if unknown := [identifier for identifier in found.tolist() if identifier not in index]:
        what = "segment" if len(unknown) == 1 else "segments"
        raise UserError(f"{uri} holds {what} {first_of(unknown, 5)}, which the JSON does not list")
    indices = np.array([index[identifier] for identifier in found.tolist()], np.int32)
    return np.repeat(indices[which], np.diff(np.append(starts, len(ids)))).reshape(ids_HW.shape)
