"""The algebra of intervals, against sets of whole numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ocs.visibility import (
    Intervals,
    as_intervals,
    coalesce,
    empty,
    intersect,
    intersect_many,
    inverse,
    largest,
    subtract,
    total,
    union,
)

TOP = 40
raw = st.lists(st.tuples(st.integers(0, TOP), st.integers(0, TOP)), max_size=12)


def numbers(a: Intervals) -> set[int]:
    """Return the whole numbers in a set."""
    return {n for start, end in a.tolist() for n in range(start, end)}


def is_canonical(a: Intervals) -> bool:
    """Whether it is sorted, non-empty piece by piece, with a gap between neighbours."""
    return a.dtype == np.int64 and a.shape == (len(a), 2) and bool((np.diff(a.ravel()) > 0).all())


def plain(pairs: list[tuple[int, int]]) -> set[int]:
    return {n for start, end in pairs for n in range(start, end)}


@given(raw)
def test_any_pairs_become_the_set_they_cover(pairs: list[tuple[int, int]]) -> None:
    a = as_intervals(pairs)
    assert is_canonical(a)
    assert numbers(a) == plain(pairs)
    assert coalesce(a).tolist() == a.tolist()


@given(raw, raw)
def test_operations_are_those_of_sets(x: list[tuple[int, int]], y: list[tuple[int, int]]) -> None:
    a, b = as_intervals(x), as_intervals(y)
    for result, expected in (
        (intersect(a, b), plain(x) & plain(y)),
        (union(a, b), plain(x) | plain(y)),
        (subtract(a, b), plain(x) - plain(y)),
        (inverse(a, 0, TOP), set(range(TOP)) - plain(x)),
        (inverse(a, 10, 20), set(range(10, 20)) - plain(x)),
    ):
        assert is_canonical(result)
        assert numbers(result) == expected
    assert intersect(a, b).tolist() == intersect(b, a).tolist()
    assert total(a) == len(plain(x))


@given(raw)
def test_largest_is_the_longest_run(pairs: list[tuple[int, int]]) -> None:
    a = as_intervals(pairs)
    assert largest(a) == max((end - start for start, end in a.tolist()), default=0)


@given(st.lists(raw, max_size=4))
def test_intersect_many_folds_over_all_sets(many: list[list[tuple[int, int]]]) -> None:
    sets = [as_intervals(pairs) for pairs in many]
    expected = set.intersection(*(numbers(a) for a in sets)) if sets else set()
    assert numbers(intersect_many(sets)) == expected


def test_reversed_bounds_leave_nothing() -> None:
    assert inverse(as_intervals([(2, 3)]), 10, 0).tolist() == []
    assert inverse(empty(), 3, 3).tolist() == []
    assert union().tolist() == []
    assert largest(empty()) == total(empty()) == 0
