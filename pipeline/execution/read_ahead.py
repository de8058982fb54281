"""Reading ahead: what takes long to make is made in a thread, while the consumer works on what came before.

Threads serve where the work leaves the interpreter alone: decoding, resizing, waiting for storage or for a device.
"""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")

_END: Any = object()


def read_ahead(items: Iterable[Item], most: int) -> Generator[Item, None, None]:
    """The items of an iterable in their order, at most `most` of them made before the consumer asks for them.

    Where the iterable raises, the consumer is told in that place. Closing this generator waits for the item that is
    being made, and closes the iterable if it is a generator. `most` = 0: without a thread, each item when it is asked
    for.
    """
    if not most:
        yield from items
        return
    iterator = iter(items)
    coming: deque[Future[Item]] = deque()
    with ThreadPoolExecutor(1, "read-ahead") as thread:
        try:
            coming.extend(thread.submit(next, iterator, _END) for _ in range(most))
            while (item := coming.popleft().result()) is not _END:
                coming.append(thread.submit(next, iterator, _END))
                yield item
        finally:
            for future in coming:
                future.cancel()
            if close := getattr(iterator, "close", None):
                thread.submit(close)
