"""Time accounting: what a request or a configuration shall have cost is compared with what it did cost.

Callers name the whole effect they want; the entry that is written is the difference. So doing the same twice
changes nothing, a refund takes back exactly what was debited, and each total is the sum of its entries.
Allocations are locked first, in the order of their ids, so that no two sums are made at once.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from ocs.kernel.database import WriteSession
from ocs.portal.proposals import repository
from ocs.portal.proposals.errors import InsufficientIpp
from ocs.portal.proposals.records import IppTarget, TimeCharge
from ocs.portal.proposals.repository import Entry


def _decimal(hours: float) -> Decimal:
    # As many places as a double has, and few enough that sums of such numbers are exact.
    return round(Decimal(str(hours)), 18)


async def settle_ipp(
    session: WriteSession, targets: Sequence[IppTarget], *, cause: str, now: datetime, strict: bool
) -> None:
    """Bring the IPP effect of requests to `targets`; see `ocs.portal.proposals.api.settle_ipp`."""
    keys = [(target.proposal_id, target.semester_id, target.instrument_type) for target in targets]
    allocation_ids = await repository.allocation_ids_by_key(session, keys)
    wanted: dict[tuple[int, int], Decimal] = {}
    for target, key in zip(targets, keys, strict=True):
        if key in allocation_ids:
            place = (allocation_ids[key], target.request_id)
            wanted[place] = wanted.get(place, Decimal()) + _decimal(target.hours)
    await _settle(session, wanted, [target.request_id for target in targets], cause, now, strict=strict)


async def release_ipp(
    session: WriteSession, request_ids: Iterable[int], *, cause: str, now: datetime
) -> None:
    """Take back every IPP effect of requests."""
    await _settle(session, {}, list(request_ids), cause, now, strict=False)


async def _settle(
    session: WriteSession,
    wanted: dict[tuple[int, int], Decimal],
    request_ids: Sequence[int],
    cause: str,
    now: datetime,
    *,
    strict: bool,
) -> None:
    before = {allocation_id for allocation_id, _ in wanted}
    before |= {
        net.allocation_id for net in await repository.nets(session, "request_id", request_ids, ipp=True)
    }
    rows = await repository.lock_allocations(session, before)
    # Read again under the lock: what was debited may have been released meanwhile.
    nets = {
        (net.allocation_id, net.cause_id): net.hours
        for net in await repository.nets(session, "request_id", request_ids, ipp=True)
    }
    available = {id_: row.ipp_available_h for id_, row in rows.items()}
    entries: list[Entry] = []
    for allocation_id, request_id in sorted(wanted.keys() | nets.keys()):
        place = (allocation_id, request_id)
        if allocation_id not in rows:
            continue
        change = wanted.get(place, Decimal()) - nets.get(place, Decimal())
        balance = available[allocation_id]
        if change < 0 and balance + change < 0:
            if strict:
                needed = -sum(
                    (
                        hours - nets.get(other, Decimal())
                        for other, hours in wanted.items()
                        if other[0] == allocation_id
                    ),
                    Decimal(),
                )
                row = rows[allocation_id]
                raise InsufficientIpp(row.semester_id, float(row.ipp_available_h), float(needed))
            change = -balance
        elif change > 0:
            change = max(Decimal(), min(change, rows[allocation_id].ipp_limit_h - balance))
        if change:
            available[allocation_id] = balance + change
            entries.append(Entry(allocation_id, "ipp", change, request_id=request_id))
    await repository.post(session, entries, cause, now)


async def charge_time(
    session: WriteSession, charges: Sequence[TimeCharge], *, cause: str, now: datetime
) -> dict[int, float]:
    """Bring the time charged for configuration statuses to `charges`; see the door."""
    found = await repository.allocation_ids_by_time(session, charges)
    ids = [charge.configuration_status_id for charge in charges]
    await repository.lock_allocations(session, found.values())
    nets = {
        net.cause_id: net for net in await repository.nets(session, "configuration_status_id", ids, ipp=False)
    }
    if others := {net.allocation_id for net in nets.values()} - set(found.values()):
        # Charged before to an allocation that would not be found any more: once again under its lock.
        await repository.lock_allocations(session, others)
        again = await repository.nets(session, "configuration_status_id", ids, ipp=False)
        nets = {net.cause_id: net for net in again}
    entries: list[Entry] = []
    charged: dict[int, float] = {}
    for index, charge in enumerate(charges):
        net = nets.get(charge.configuration_status_id)
        allocation_id = net.allocation_id if net else found.get(index)
        if allocation_id is None:
            continue
        charged[charge.configuration_status_id] = charge.hours
        if change := _decimal(charge.hours) - (net.hours if net else Decimal()):
            entries.append(
                Entry(
                    allocation_id,
                    net.account if net else charge.account,
                    change,
                    request_id=charge.request_id,
                    configuration_status_id=charge.configuration_status_id,
                )
            )
    await repository.post(session, entries, cause, now)
    return charged


async def book_realtime(
    session: WriteSession,
    *,
    proposal_id: str,
    at_utc: datetime,
    instrument_types: Iterable[str],
    hours: float,
    request_group_id: int,
    now: datetime,
) -> bool:
    """Debit a real-time session from the allocation with the most free hours; see the door."""
    allocation_id = await repository.realtime_allocation(
        session, proposal_id, at_utc, instrument_types, _decimal(hours)
    )
    if allocation_id is None:
        return False
    entry = Entry(allocation_id, "realtime", _decimal(hours), request_group_id=request_group_id)
    await repository.post(session, [entry], "real-time session booked", now)
    return True


async def release_realtime(session: WriteSession, request_group_id: int, *, now: datetime) -> None:
    """Credit what a real-time session was debited, on the same allocation."""
    earlier = await repository.nets(session, "request_group_id", [request_group_id], ipp=False)
    await repository.lock_allocations(session, {net.allocation_id for net in earlier})
    nets = await repository.nets(session, "request_group_id", [request_group_id], ipp=False)
    entries = [
        Entry(net.allocation_id, net.account, -net.hours, request_group_id=request_group_id) for net in nets
    ]
    await repository.post(session, entries, "real-time session deleted", now)
