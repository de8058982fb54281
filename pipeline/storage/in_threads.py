"""Many requests to storage at a time, and few of their answers in memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], threads: int = 16) -> Iterator[Result]:
    """`map(function, items)` in threads, in the order of the items; at most twice as many are under way as threads."""
    with closing(each_in_threads(function, items, threads, 2 * threads)) as each:
        for _, future in each:
            yield future.result()


def each_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, most: int
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Every item with what comes of it, in order, for callers to whom an error of one item is no error of all.

    Args:
        most: that are under way, done and waiting to be taken, or in the caller's hands, at any time.
    """
    items = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[tuple[Item, Future[Result]]] = deque(
            (item, pool.submit(function, item)) for item in islice(items, most)
        )
        try:
            while under_way:
                yield under_way.popleft()
                under_way.extend((item, pool.submit(function, item)) for item in islice(items, 1))
        finally:
            for _, future in under_way:  # of a caller that stops early, or after an error
                future.cancel()
