"""Where smooth functions of time are positive: from samples on a grid to intervals good to milliseconds.

Many functions (rows: one per target) are sampled at the same times (columns). Sign changes are placed by the
cubic through the four surrounding samples; a short excursion between two samples, which no sign change shows,
is found by the parabola through three samples around an extremum.

To let all rows share one line, an instant of a row has the *key* ``row << ROW_BITS | microseconds``; the
plain interval algebra then works on all rows at once.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ocs.visibility.intervals import Intervals, coalesce, empty, subtract, union

Float = NDArray[np.float64]
Index = NDArray[np.intp]
Exact = Callable[[Index, Float], Float]

ROW_BITS = 43  # 2**43 microseconds are 101 days; no frame is longer
ROW_MASK = (1 << ROW_BITS) - 1
ENOUGH_S = 0.05  # the step after one as short as this would be about a millisecond


def keyed(rows: NDArray[np.integer], start_s: Float, end_s: Float) -> Intervals:
    """Return pieces of rows, given in seconds since the frame's zero, on the common line."""
    times = np.rint(np.stack((start_s, end_s), axis=1) * 1e6)
    return np.clip(times, 0, ROW_MASK).astype(np.int64) + (rows.astype(np.int64) << ROW_BITS)[:, None]


def spread(intervals: Intervals, rows: NDArray[np.integer]) -> Intervals:
    """Return the same intervals for each of the sorted `rows`."""
    shifted = (rows.astype(np.int64) << ROW_BITS)[:, None, None] + intervals[None]
    return np.asarray(shifted.reshape(-1, 2))


def relabel(intervals: Intervals, rows: NDArray[np.integer]) -> Intervals:
    """Return a line whose row i has become row ``rows[i]``; `rows` is increasing."""
    row = intervals[:, 0] >> ROW_BITS
    return np.asarray(intervals + ((rows[row] - row) << ROW_BITS)[:, None])


def pick(intervals: Intervals, source: NDArray[np.integer]) -> Intervals:
    """Return a line whose row i holds the intervals of row ``source[i]`` of the given line."""
    row = intervals[:, 0] >> ROW_BITS
    first = np.searchsorted(row, source, side="left")
    count = np.searchsorted(row, source, side="right") - first
    target = np.repeat(np.arange(len(source)), count)
    index = np.arange(len(target)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    return np.asarray(intervals[index] + ((target - row[index]) << ROW_BITS)[:, None])


def positive(
    values: Float, times_s: Float, active: NDArray[np.bool_], exact: Exact | None = None
) -> Intervals:
    """Return where each row is >= 0 over the runs of active columns.

    Parameters
    ----------
    values
        (R, C) samples.
    times_s
        (C,) seconds since the frame's zero, evenly spaced within each run.
    active
        (C,) columns to report on. Each run of active columns has an inactive column of the same spacing on
        either side, which only supports the interpolation.
    exact
        Gives the function at (rows (K,), seconds (K,)); each edge is then refined on it.

    Returns
    -------
    ndarray
        Keyed intervals, sorted and disjoint.
    """
    if not active.any():
        return empty()
    is_in = (values >= 0) & active
    first = active.copy()
    first[1:] &= ~active[:-1]
    last = active.copy()
    last[:-1] &= ~active[1:]
    begins, ends = is_in.copy(), is_in.copy()
    begins[:, 1:] &= first[1:] | ~is_in[:, :-1]
    ends[:, :-1] &= last[:-1] | ~is_in[:, 1:]
    row, col = np.nonzero(begins)
    start = _edges(values, times_s, row, np.where(first[col], -1, col - 1), col, exact)
    row_end, col = np.nonzero(ends)
    end = _edges(values, times_s, row_end, np.where(last[col], -1, col), col, exact)
    found = keyed(row, start, end)
    dips, bumps = _excursions(values, times_s, active, exact)
    found = union(found, bumps)
    return subtract(found, coalesce(dips)) if len(dips) else found


def _edges(values: Float, times_s: Float, row: Index, cell: Index, col: Index, exact: Exact | None) -> Float:
    """Return the instants of sign changes in `cell`, or of column `col` where `cell` is -1: a run's end."""
    instants = times_s[col]
    roots = np.flatnonzero(cell >= 0)
    if not len(roots):
        return instants
    row, cell = row[roots], cell[roots]
    before, left, right, after = (values[row, cell + k] for k in (-1, 0, 1, 2))
    a1 = right - before / 3 - left / 2 - after / 6
    a2 = (before + right) / 2 - left
    a3 = (after - before) / 6 + (left - right) / 2
    low, high = np.zeros_like(left), np.ones_like(left)
    x = left / (left - right)
    for _ in range(12):
        value = left + x * (a1 + x * (a2 + x * a3))
        is_left = (value >= 0) == (left >= 0)
        low, high = np.where(is_left, x, low), np.where(is_left, high, x)
        slope = a1 + x * (2 * a2 + x * 3 * a3)
        new = x - value / np.where(slope == 0, np.inf, slope)
        new = np.where((low <= new) & (new <= high), new, (low + high) / 2)
        move, x = np.abs(new - x).max(), new
        if move < 1e-5:  # Newton's next step would be the square of it
            break
    start, step = times_s[cell], times_s[cell + 1] - times_s[cell]
    root = start + x * step
    if exact is not None:
        slope = (a1 + x * (2 * a2 + x * 3 * a3)) / step
        root = _refine(exact, row, root, start, start + step, left >= 0, slope)
    instants[roots] = root
    return instants


def _refine(
    exact: Exact, row: Index, root: Float, low: Float, high: Float, rises: NDArray[np.bool_], slope: Float
) -> Float:
    """Return sign changes of the exact function between `low` and `high`.

    Newton's step with the given slope, then secants, halving the bracket where these leave it; mostly one or
    two evaluations. `rises` tells on which side the function is positive: True before the root.
    """
    root, low, high, slope = root.copy(), low.copy(), high.copy(), slope.copy()
    todo = np.arange(len(root))
    last_root, last_value = root, np.full(len(root), np.nan)
    for _ in range(40):
        here = root[todo]
        value = exact(row[todo], here)
        with np.errstate(all="ignore"):
            secant = (value - last_value) / (here - last_root)
            slope[todo] = np.where(np.isfinite(secant) & (secant != 0), secant, slope[todo])
            new = here - value / slope[todo]
        is_before = (value >= 0) == rises[todo]
        low[todo], high[todo] = np.where(is_before, here, low[todo]), np.where(is_before, high[todo], here)
        is_within = (low[todo] <= new) & (new <= high[todo])
        new = np.where(is_within, new, (low[todo] + high[todo]) / 2)
        root[todo] = new
        going_on = np.abs(new - here) > ENOUGH_S
        last_root, last_value, todo = here[going_on], value[going_on], todo[going_on]
        if not len(todo):
            break
    return root


def _excursions(
    values: Float, times_s: Float, active: NDArray[np.bool_], exact: Exact | None
) -> tuple[Intervals, Intervals]:
    """Return keyed dips (below zero between positive samples) and bumps (the reverse)."""
    size = np.abs(values)
    nearest = (size[:, 1:-1] <= size[:, :-2]) & (size[:, 1:-1] <= size[:, 2:]) & active[1:-1]
    row, col = np.nonzero(nearest)
    before, here, after = values[row, col], values[row, col + 1], values[row, col + 2]
    bend = before + after - 2 * here
    swing = after - before
    hidden = (swing * swing > 8 * bend * here) & (here * bend > 0)
    hidden &= (before * here > 0) & (after * here > 0)
    row, col, bend, swing, here = row[hidden], col[hidden], bend[hidden], swing[hidden], here[hidden]
    if not len(row):
        return empty(), empty()
    step = times_s[col + 2] - times_s[col + 1]
    a, b = bend / (2 * step * step), swing / (2 * step)
    slope = np.sqrt(b * b - 4 * a * here)
    middle = times_s[col + 1] - b / (2 * a)
    half = slope / (2 * np.abs(a))
    start, end = middle - half, middle + half
    is_dip = here > 0
    if exact is not None:
        is_real = (exact(row, middle) >= 0) != is_dip
        row, middle, step, is_dip = row[is_real], middle[is_real], step[is_real], is_dip[is_real]
        start, end, slope = start[is_real], end[is_real], np.where(is_dip, 1, -1) * slope[is_real]
        start = _refine(exact, row, start, middle - step, middle, is_dip, -slope)
        end = _refine(exact, row, end, middle, middle + step, ~is_dip, slope)
    found = keyed(row, start, end)
    return coalesce(found[is_dip]), coalesce(found[~is_dip])
