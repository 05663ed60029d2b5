"""Sets of time as sorted, disjoint, half-open intervals.

An interval set is an ``(n, 2)`` int64 array of ``[start, end)`` pairs, in microseconds since the Unix epoch
wherever they are times. Every function here returns such a set with ``start < end``, sorted, with neighbours
that touch joined. Whole numbers make the algebra exact: no tolerance appears anywhere.

Examples
--------
>>> intersect(as_intervals([(12, 15)]), as_intervals([(9, 14)])).tolist()
[[12, 14]]
>>> inverse(as_intervals([(2, 3), (5, 6)]), 0, 10).tolist()
[[0, 2], [3, 5], [6, 10]]
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Intervals",
    "as_intervals",
    "coalesce",
    "empty",
    "intersect",
    "intersect_many",
    "inverse",
    "largest",
    "subtract",
    "total",
    "union",
]

Intervals = NDArray[np.int64]


def empty() -> Intervals:
    """Return the set without any instant, shape (0, 2)."""
    return np.empty((0, 2), np.int64)


def as_intervals(pairs: Iterable[Sequence[int]]) -> Intervals:
    """Return any pairs as a set: sorted, merged, without empty or reversed pieces.

    Parameters
    ----------
    pairs
        ``(start, end)`` pairs in any order, overlapping or not.

    Examples
    --------
    >>> as_intervals([(5, 7), (1, 4), (2, 3), (4, 5), (9, 9)]).tolist()
    [[1, 7]]
    """
    return coalesce(np.array([(start, end) for start, end in pairs], np.int64).reshape(-1, 2))


def coalesce(pieces: Intervals) -> Intervals:
    """Sort, drop empty or reversed pieces, and join what overlaps or touches.

    Parameters
    ----------
    pieces
        (n, 2) in any order.
    """
    pieces = pieces[pieces[:, 0] < pieces[:, 1]]
    if len(pieces) < 2:
        return pieces
    starts, ends = pieces[:, 0], pieces[:, 1]
    if (starts[1:] < starts[:-1]).any():
        pieces = pieces[np.argsort(starts, kind="stable")]
        starts, ends = pieces[:, 0], pieces[:, 1]
    if (starts[1:] > ends[:-1]).all():
        return pieces
    reach = np.maximum.accumulate(ends)
    first = np.concatenate(([True], starts[1:] > reach[:-1]))
    last = np.concatenate((first[1:], [True]))
    return np.stack((starts[first], reach[last]), axis=1)


def intersect(a: Intervals, b: Intervals) -> Intervals:
    """Return the time in both sets. Touching intervals share nothing.

    Parameters
    ----------
    a, b
        Sorted disjoint sets, (n, 2) and (m, 2).

    Notes
    -----
    Interval i of `a` meets the run of `b` that ends after i starts and starts before i ends; two binary
    searches give all runs at once.
    """
    first = np.searchsorted(b[:, 1], a[:, 0], side="right")
    count = np.maximum(np.searchsorted(b[:, 0], a[:, 1], side="left") - first, 0)
    in_a = np.repeat(np.arange(len(a)), count)
    in_b = np.arange(len(in_a)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    return np.stack((np.maximum(a[in_a, 0], b[in_b, 0]), np.minimum(a[in_a, 1], b[in_b, 1])), axis=1)


def intersect_many(sets: Sequence[Intervals]) -> Intervals:
    """Return the time in every one of `sets`; no sets at all give the empty set."""
    if not sets:
        return empty()
    result = sets[0]
    for other in sets[1:]:
        result = intersect(result, other)
    return result


def union(*sets: Intervals) -> Intervals:
    """Return the time in any of `sets`."""
    return coalesce(np.concatenate(sets)) if sets else empty()


def inverse(a: Intervals, low: int, high: int) -> Intervals:
    """Return the time of ``[low, high)`` that is not in `a`.

    Parameters
    ----------
    a
        Sorted disjoint set, (n, 2).
    low, high
        Bounds; reversed or equal bounds give the empty set.
    """
    gaps = np.empty((len(a) + 1, 2), np.int64)
    gaps[0, 0], gaps[1:, 0] = low, np.clip(a[:, 1], low, None)
    gaps[-1, 1], gaps[:-1, 1] = high, np.clip(a[:, 0], None, high)
    return gaps[gaps[:, 0] < gaps[:, 1]]


def subtract(a: Intervals, b: Intervals) -> Intervals:
    """Return the time in `a` that is not in `b` (both sorted and disjoint)."""
    if not len(a) or not len(b):
        return a
    return intersect(a, inverse(b, int(a[0, 0]), int(a[-1, 1])))


def total(a: Intervals) -> int:
    """Return the summed length, in the unit of the set."""
    return int((a[:, 1] - a[:, 0]).sum())


def largest(a: Intervals) -> int:
    """Return the length of the longest interval, 0 for the empty set."""
    return int((a[:, 1] - a[:, 0]).max(initial=0))
