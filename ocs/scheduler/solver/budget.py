"""How long the solver may go on, in wall seconds or in reproducible units of work."""

from __future__ import annotations

import time


class Budget:
    """Seconds left for the whole solve.

    In deterministic mode the clock is not looked at: stages report their work through :meth:`spend`, in
    seconds a machine of today would need about, so that the same inputs always take the same path.

    Parameters
    ----------
    seconds : float
    deterministic : bool
    """

    def __init__(self, seconds: float, deterministic: bool) -> None:
        self.seconds = seconds
        self.deterministic = deterministic
        self._begin = time.perf_counter()
        self._spent = 0.0

    def spend(self, work_s: float) -> None:
        """Account for work done; counts only in deterministic mode."""
        self._spent += work_s

    @property
    def elapsed_s(self) -> float:
        """Seconds used so far."""
        return self._spent if self.deterministic else time.perf_counter() - self._begin

    @property
    def left_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.seconds - self.elapsed_s)
