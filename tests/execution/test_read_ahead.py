"""Items made in a thread: their order, their errors, how many, and the end."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.execution.read_ahead import read_ahead


@given(st.lists(st.integers()), st.integers(0, 5))
def test_items_come_in_order(items, most):
    assert list(read_ahead(items, most)) == items


@pytest.mark.parametrize("most", [0, 1, 3])
def test_an_error_comes_in_its_place(most):
    def items():
        yield 1
        yield 2
        raise OSError("gone")

    ahead = read_ahead(items(), most)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(OSError, match="gone"):
        next(ahead)
    assert next(ahead, None) is None


def test_so_many_are_made_ahead_and_no_more():
    made, permits = [], threading.Semaphore(0)

    def items():
        for number in range(10):
            made.append(number)
            permits.release()
            yield number

    ahead = read_ahead(items(), 2)
    assert next(ahead) == 0
    for _ in range(3):  # the one that was given out, and two more
        assert permits.acquire(timeout=60)
    assert made == [0, 1, 2]
    assert next(ahead) == 1
    assert permits.acquire(timeout=60)
    ahead.close()
    assert made == [0, 1, 2, 3]


def test_items_are_made_in_another_thread_unless_none_is_made_ahead():
    def threads():
        while True:
            yield threading.current_thread()

    assert next(read_ahead(threads(), 0)) is threading.current_thread()
    ahead = read_ahead(threads(), 1)
    maker = next(ahead)
    assert maker is not threading.current_thread()
    ahead.close()
    assert not maker.is_alive()


def test_a_consumer_that_stops_closes_the_iterable():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    ahead = read_ahead(items(), 2)
    assert next(ahead) == 1
    ahead.close()
    assert closed.is_set()
