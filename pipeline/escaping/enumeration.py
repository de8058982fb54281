"""Long lists in messages."""

from collections.abc import Collection
from itertools import islice


def first_of(items: Collection[object], most: int, *, separator: str = ", ") -> str:
    """`a, b, c and 4 more`: the first items as text, and how many there are beyond these.

    Args:
        items: in the order in which they are named.
        most: that are named.
    """
    named = separator.join(str(item) for item in islice(items, most))
    return f"{named} and {len(items) - most} more" if len(items) > most else named
