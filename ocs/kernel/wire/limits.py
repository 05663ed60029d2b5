"""Rate limits that all replicas share: so many calls of one caller in a fixed window of time.

A replica takes calls off the shared count in blocks of a hundredth of the limit and hands them out from
memory, so most calls cost no statement. A block is counted before it is used, on a connection of its own, and
so stays counted when the request fails. Why so: docs/adr/0005-rate-limits-in-blocks.md.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, Request

from ocs.kernel.clock import Clock
from ocs.kernel.errors import TooManyRequests
from ocs.kernel.security import PORTAL_DOOR, Door, Principal
from ocs.kernel.wire.route import runtime_of

_PERIOD_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_MOST_SHARES = 10_000

_TAKE = """
    INSERT INTO kernel.rate_count AS old (window_start, scope, subject, count)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (window_start, scope, subject) DO UPDATE SET count = old.count + excluded.count
    RETURNING count
"""
_FORGET = "DELETE FROM kernel.rate_count WHERE window_start < $1"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in a period; windows start at whole periods of UTC."""

    calls: int
    period_s: int

    @property
    def block(self) -> int:
        """Calls that a replica takes off the shared count at once."""
        return max(1, self.calls // 100)


@lru_cache(maxsize=256)
def parse_rate(text: str) -> Rate:
    """Read `5000/day`.

    Raises
    ------
    ValueError
        When it is not a positive number of calls per second, minute, hour or day.
    """
    calls, _, period = text.partition("/")
    if not (calls.isdecimal() and int(calls) > 0 and period in _PERIOD_S):
        raise ValueError(f"{text!r} is not of the form 5000/day")
    return Rate(int(calls), _PERIOD_S[period])


@dataclass(slots=True)
class _Share:
    """What this replica may still let through for one subject in one window."""

    window: int
    left: int = 0
    is_used_up: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class RateCounts:
    """The shared counts, and this replica's blocks of them.

    Parameters
    ----------
    dsn
        libpq address of the database.
    clock
        Tells which window it is.
    configured
        Limits by scope that replace the defaults, e.g. ``{"requestgroups.create": "5000/day"}``.
    """

    def __init__(self, dsn: str, clock: Clock, configured: Mapping[str, str]) -> None:
        self._dsn = dsn
        self._clock = clock
        self._configured = configured
        self._shares: dict[tuple[str, str], _Share] = {}
        self._connection: Any = None
        self._connection_lock = asyncio.Lock()

    async def take(self, scope: str, subject: str, default: str) -> None:
        """Count one call of `subject`.

        Parameters
        ----------
        scope
            What is limited.
        subject
            Who calls.
        default
            Limit where none is configured for `scope`.

        Raises
        ------
        TooManyRequests
            When the limit is used up; tells the real seconds until the next window.
        ConnectionError
            When the database does not answer; the request is then repeated like for any other statement.
        """
        rate = parse_rate(self._configured.get(scope, default))
        now_s = self._clock.now().timestamp()
        window = int(now_s // rate.period_s)
        share = self._share(scope, subject, window)
        async with share.lock:
            if not share.left and not share.is_used_up:
                share.left = await self._take_block(scope, subject, window * rate.period_s, rate)
                share.is_used_up = not share.left
            if share.left:
                share.left -= 1
                return
        raise TooManyRequests(math.ceil(((window + 1) * rate.period_s - now_s) / self._clock.rate))

    def _share(self, scope: str, subject: str, window: int) -> _Share:
        share = self._shares.get((scope, subject))
        if share is None or share.window != window:
            self._shares.pop((scope, subject), None)
            share = self._shares[scope, subject] = _Share(window)
            if len(self._shares) > _MOST_SHARES:  # the oldest gives its block up
                del self._shares[next(iter(self._shares))]
        return share

    async def _take_block(self, scope: str, subject: str, window_start_s: int, rate: Rate) -> int:
        start_utc = datetime.fromtimestamp(window_start_s, UTC)
        count: int = await self._run("fetchval", _TAKE, start_utc, scope, subject, rate.block)
        return max(0, min(rate.block, rate.calls - (count - rate.block)))

    async def _run(self, method: str, statement: str, *arguments: Any) -> Any:
        """Run a statement that commits itself.

        The connection is not one of the pool: who waits for it may hold one of those already.
        """
        async with self._connection_lock:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(
                        self._dsn,
                        timeout=10,
                        command_timeout=10,
                        # A crash may cost the last moments of counts; waiting for the disk would cost always.
                        server_settings={"application_name": "ocs limits", "synchronous_commit": "off"},
                    )
                return await getattr(self._connection, method)(statement, *arguments)
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                await self.close()
                raise ConnectionError("the rate limits could not be counted") from error

    async def forget(self) -> None:
        """Delete the counts of windows that are over."""
        longest = timedelta(seconds=max(_PERIOD_S.values()))
        await self._run("execute", _FORGET, self._clock.now() - longest)

    def give_up_blocks(self) -> None:
        """Ask the database again before the next call of anybody."""
        self._shares.clear()

    async def close(self) -> None:
        """Close the connection; it is opened again when needed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


class Limit:
    """A limit on calls, for ``dependencies=[Depends(LIMIT.per_caller)]`` of a route.

    It is counted before the body is checked, so a refused body counts as well, and once a request even if the
    request is repeated after a fault of the database. Superusers, ingest among them, are never limited
    where the caller is known.

    Parameters
    ----------
    scope
        Name by which the setting `rate_limits` can replace the default.
    default
        For example `5000/day`.
    door
        How the route lets callers in.

    Attributes
    ----------
    per_caller
        Limits each user, and anonymous callers by address.
    per_user
        The same where one must be logged in; costs no second authentication beside `PortalUser`.
    """

    def __init__(self, scope: str, default: str, door: Door = PORTAL_DOOR) -> None:
        parse_rate(default)
        self.scope = scope
        self.default = default
        self.per_caller = self._per_principal(door.caller)
        self.per_user = self._per_principal(door.user)

    def _per_principal(
        self, who: Callable[[Request], Awaitable[Principal]]
    ) -> Callable[..., Awaitable[None]]:
        async def count(request: Request, caller: Annotated[Principal, Depends(who)]) -> None:
            if not caller.is_authenticated:
                await self.per_address(request)
            elif not caller.is_superuser:
                await self._count(request, f"user:{caller.user_id}")

        return count

    async def per_address(self, request: Request) -> None:
        """Limit each address, whoever is logged in there."""
        await self._count(request, address_subject(request.scope["ocs.client"]))

    async def _count(self, request: Request, subject: str) -> None:
        counted: set[str] = request.scope.setdefault("ocs.counted", set())
        if self.scope not in counted:
            await runtime_of(request).limits.take(self.scope, subject, self.default)
            counted.add(self.scope)


def address_subject(client: str) -> str:
    """Return who an address stands for: a host has one IPv4 address, but 2^64 IPv6 addresses."""
    try:
        address = ip_address(client)
    except ValueError:
        return "address:unknown"
    if isinstance(address, IPv6Address):
        return f"address:{address.ipv4_mapped or ip_network((int(address), 64), strict=False)}"
    return f"address:{address}"
