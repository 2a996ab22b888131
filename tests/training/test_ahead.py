"""Values prepared ahead are the values of the items, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mtl.training.ahead import ahead


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_values_come_in_the_order_of_the_items(count: int) -> None:
    assert list(ahead(lambda n: n * n, range(count))) == [n * n for n in range(count)]


def test_the_next_value_is_computed_before_it_is_asked_for() -> None:
    second = threading.Event()
    values = ahead(lambda n: n == 1 and second.set(), range(9))
    next(values)
    assert second.wait(10)
    values.close()


def test_at_most_two_items_are_taken_before_the_first_value_is_used() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(9):
            taken.append(n)
            yield n

    values = ahead(str, items())
    assert next(values) == "0"
    assert taken == [0, 1]
    values.close()


def test_an_error_comes_in_the_place_of_the_value() -> None:
    values = ahead(lambda n: 1 // (2 - n), range(9))
    assert [next(values), next(values)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(values)


def test_the_thread_ends_with_the_iterator() -> None:
    before = threading.active_count()
    values = ahead(str, range(9))
    next(values)
    values.close()
    assert threading.active_count() == before
