"""Work in threads: in order, bounded, and with the errors of single items where they belong."""

import threading
from collections.abc import Iterator

import pytest

from pipeline.storage.in_threads import each_in_threads, in_threads


def test_results_come_in_the_order_of_the_items():
    assert list(in_threads(lambda item: item * item, range(100), 7)) == [item * item for item in range(100)]
    assert list(in_threads(str, [])) == []


def test_items_are_taken_as_they_are_needed():
    taken = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = in_threads(str, items(), 3)
    assert next(results) == "0"
    assert len(taken) == 6
    results.close()
    assert len(taken) == 6


def test_an_error_of_one_item_is_no_error_of_the_others():
    def invert(item: int) -> float:
        return 1 / item

    found = [future.exception() or future.result() for _, future in each_in_threads(invert, [1, 0, 2], 2, 2)]
    assert [found[0], found[2]] == [1.0, 0.5]
    assert isinstance(found[1], ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        list(in_threads(invert, [1, 0, 2]))


def test_no_more_are_held_than_are_asked_for():
    """Of 3, one is in the caller's hands, and at most two others have begun."""
    begun, lock = [], threading.Lock()

    def note(item: int) -> int:
        with lock:
            begun.append(item)
        return item

    for item, future in each_in_threads(note, range(50), 3, 3):
        assert future.result() == item
        with lock:
            assert max(begun) <= item + 2
