"""Reading a snapshot through the doors of the other modules: a few statements, one database snapshot."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from ocs import visibility
from ocs.configdb import api as configdb
from ocs.downtime import api as downtime
from ocs.kernel.database import ReadSession
from ocs.kernel.settings import Settings
from ocs.portal.observations import api as observations
from ocs.portal.proposals import api as proposals
from ocs.portal.requests import api as requests
from ocs.scheduler.problem import ObservationType, Operator, Optimisation
from ocs.scheduler.snapshot import (
    Configuration,
    Downtime,
    Elements,
    Group,
    Instrument,
    Location,
    Observation,
    Overrides,
    Request,
    Snapshot,
    Telescope,
)

AS_IT_IS = Overrides()
OVERDUE = timedelta(minutes=15)
"""How long after its end an observation may still be reported as done; until then it is not planned anew."""


async def read_snapshot(
    session: ReadSession, settings: Settings, now: datetime, overrides: Overrides = AS_IT_IS
) -> Snapshot | None:
    """Read everything a run needs, once for the time `now`; None outside all semesters."""
    semester = proposals.semester_containing(await proposals.semesters(session), now)
    if semester is None:
        return None
    days = overrides.horizon_days or settings.scheduler_horizon_days
    horizon = min(now + timedelta(days=days), semester.end_utc)
    observatory = await configdb.observatory(session)
    records = await requests.schedulable(
        session, semester.start_utc, horizon, now=now, overuse=settings.time_overuse_allowance
    )
    known = await proposals.get_proposals(session, {record.proposal_id for record in records})
    closed = await downtime.downtimes(session, now, semester.end_utc)
    taken = await observations.running_and_planned(session, now - OVERDUE, semester.end_utc)
    return Snapshot(
        now_utc=now,
        horizon_utc=horizon,
        semester_start_utc=semester.start_utc,
        semester_end_utc=semester.end_utc,
        telescopes=_telescopes(observatory, overrides.closed),
        groups=_groups(
            records, {key: item.tac_priority for key, item in known.items()} | dict(overrides.tac_priority)
        ),
        downtimes=tuple(
            Downtime(item.resource, item.instrument_type.lower(), item.start_utc, item.end_utc)
            for item in closed
        ),
        observations=tuple(_observation(row) for row in taken if row.end > now or row.state != "PENDING"),
    )


def _telescopes(observatory: configdb.Observatory, closed: frozenset[str]) -> tuple[Telescope, ...]:
    instruments: dict[int, list[Instrument]] = {}
    for item in observatory.instruments:
        instruments.setdefault(item.telescope.id, []).append(_instrument(item))
    return tuple(
        _telescope(item, instruments.get(item.id, ()), is_closed=item.resource in closed)
        for item in observatory.telescopes
    )


def _telescope(
    telescope: configdb.Telescope, instruments: Iterable[Instrument], *, is_closed: bool
) -> Telescope:
    place, closed = None, ""
    if not telescope.is_active:
        closed = "It is not active in the configuration."
    elif is_closed:
        closed = "It is taken to be closed."
    else:
        try:
            place = visibility.Site(
                latitude_deg=telescope.lat_deg,
                longitude_deg=telescope.lon_deg,
                altitude_m=telescope.site.elevation_m,
                horizon_deg=telescope.horizon_deg,
                ha_limit_neg_h=telescope.ha_limit_neg_h,
                ha_limit_pos_h=telescope.ha_limit_pos_h,
                zenith_blind_spot_deg=telescope.zenith_blind_spot_deg,
            )
        except visibility.InvalidSite as error:
            closed = str(error)
    return Telescope(
        site=telescope.site.code,
        enclosure=telescope.enclosure.code,
        telescope=telescope.code,
        telescope_class=telescope.telescope_class,
        place=place,
        instruments=tuple(instruments),
        closed=closed,
    )


def _instrument(instrument: configdb.Instrument) -> Instrument:
    science = {
        (kind.lower().removesuffix("s"), code)
        for kind, codes in instrument.schedulable_elements.items()
        for code in codes
    }
    return Instrument(
        code=instrument.code,
        instrument_type=instrument.instrument_type.code.lower(),
        state=instrument.state,
        allows_self_guiding=instrument.instrument_type.allow_self_guiding,
        guide_camera=instrument.autoguider_camera.code,
        science_elements=frozenset(science),
        guide_elements=_elements(instrument.autoguider_camera),
    )


def _elements(camera: configdb.Camera) -> Elements:
    return frozenset(
        (group.type.lower().removesuffix("s"), element.code.lower())
        for group in camera.groups
        for element in group.elements
        if element.schedulable
    )


def _groups(
    records: Iterable[requests.RequestRecord], tac_priority: Mapping[str, float]
) -> tuple[Group, ...]:
    """Put requests back into their groups, both in the order of their ids so that runs are reproducible."""
    members: dict[int, list[requests.RequestRecord]] = {}
    for record in sorted(records, key=lambda item: (item.group_id, item.id)):
        members.setdefault(record.group_id, []).append(record)
    return tuple(
        Group(
            id=group_id,
            operator=Operator[first.operator],
            observation_type=ObservationType[first.observation_type],
            tac_priority=float(tac_priority.get(first.proposal_id, 0)),
            ipp_value=first.ipp_value,
            is_staff=first.submitter_is_staff,
            requests=tuple(_request(record) for record in (first, *rest)),
        )
        for group_id, (first, *rest) in members.items()
    )


def _request(record: requests.RequestRecord) -> Request:
    in_order = sorted(record.configurations, key=lambda item: int(item["priority"]))
    return Request(
        id=record.id,
        is_pending=record.state is requests.State.PENDING,
        duration_s=math.ceil(record.duration_s),
        optimisation=Optimisation[record.optimization_type],
        location=Location(
            **{name: str(value).lower() for name, value in record.location.items() if value is not None}
        ),
        windows=record.windows,
        configurations=tuple(Configuration.from_wire(item) for item in in_order),
    )


def _observation(row: observations.ObservationRow) -> Observation:
    return Observation(
        id=row.id,
        request_id=row.request_id,
        site=row.site,
        enclosure=row.enclosure,
        telescope=row.telescope,
        start_utc=row.start,
        end_utc=row.end,
        is_pending=row.state == "PENDING",
        is_ours=row.ours,
        has_failed=row.any_failed,
    )
