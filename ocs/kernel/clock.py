"""The only source of time.

Everything that asks for the current time takes a `Clock`, so that tests can freeze it and the demo can run
an observatory faster than the real one. A clock is offset and sped up against the machine's monotonic
clock, never against wall time, so a change of the machine's time cannot move it while the process runs.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Simulated or real UTC.

    Parameters
    ----------
    start_utc
        Simulated time at construction; the machine's UTC when omitted.
    rate
        Simulated seconds per real second, > 0.
    """

    def __init__(self, start_utc: datetime | None = None, rate: float = 1.0) -> None:
        if rate <= 0:
            raise ValueError("clock rate must be positive")
        self.rate = rate
        self._follows_machine = start_utc is None and rate == 1.0
        self._start_utc = start_utc or datetime.now(UTC)
        self._start_monotonic_s = time.monotonic()

    def now(self) -> datetime:
        """Return the current time as an aware UTC datetime."""
        if self._follows_machine:
            return datetime.now(UTC)
        elapsed_s = (time.monotonic() - self._start_monotonic_s) * self.rate
        return self._start_utc + timedelta(seconds=elapsed_s)

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds` of this clock's time."""
        await asyncio.sleep(max(0.0, seconds) / self.rate)


class FrozenClock(Clock):
    """A clock that stands still until it is told to move; for tests and simulations."""

    def __init__(self, start_utc: datetime) -> None:
        super().__init__(start_utc)
        self._now_utc = start_utc

    def now(self) -> datetime:
        """Return the time the clock stands at."""
        return self._now_utc

    def set(self, now_utc: datetime) -> None:
        """Move the clock to `now_utc`."""
        self._now_utc = now_utc

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`."""
        self._now_utc += timedelta(seconds=seconds)
