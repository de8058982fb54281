"""The speed of a job between its start and its end."""

from collections.abc import Sequence


def per_second(ended: Sequence[float], items: int) -> float:
    """Items per second from the moment when a fifth of the work is done.

    Workers take ten seconds or so to start, which says nothing about a job of hours.

    Args:
        ended: when each part of the work was done, in seconds.
        items: of one part.
    """
    ended = sorted(ended)
    first = len(ended) // 5
    return (len(ended) - 1 - first) * items / (ended[-1] - ended[first])
