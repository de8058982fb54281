"""Many requests to storage at a time, and few of their answers in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], threads: int = 16) -> Iterator[Result]:
    """`map(function, items)` in threads, in the order of the items; at most twice as many are under way as threads."""
    items = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[Future[Result]] = deque(pool.submit(function, item) for item in islice(items, 2 * threads))
        try:
            while under_way:
                result = under_way.popleft().result()
                under_way.extend(pool.submit(function, item) for item in islice(items, 1))
                yield result
        finally:
            for future in under_way:  # of a caller that stops early, or after an error
                future.cancel()
