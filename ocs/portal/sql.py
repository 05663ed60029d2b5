"""Pieces of SQL that the parts of the portal share: how an allocation is shown, and what a member used."""

from collections.abc import Mapping
from typing import Any

TYPES = (
    "ARRAY(SELECT t.instrument_type FROM proposals.allocated_type t WHERE t.allocation_id = a.id "
    "ORDER BY t.position)"
)
ALLOCATION = f"""
    'id', a.id, 'ipp_limit', CAST(a.ipp_limit_h AS float8),
    'ipp_time_available', CAST(a.ipp_available_h AS float8),
    'std_allocation', CAST(a.std_allocation_h AS float8), 'std_time_used', CAST(a.std_used_h AS float8),
    'rr_allocation', CAST(a.rr_allocation_h AS float8), 'rr_time_used', CAST(a.rr_used_h AS float8),
    'tc_allocation', CAST(a.tc_allocation_h AS float8), 'tc_time_used', CAST(a.tc_used_h AS float8),
    'realtime_allocation', CAST(a.realtime_allocation_h AS float8),
    'realtime_time_used', CAST(a.realtime_used_h AS float8),
    'instrument_types', {TYPES}
"""
"""Pairs for jsonb_build_object of an allocation `a`."""

USED = """
    coalesce((
      SELECT sum(r.duration) FROM requests.request_group g JOIN requests.request r ON r.group_id = g.id
      WHERE g.proposal_id = m.proposal_id AND g.submitter_id = m.user_id
        AND g.state IN ('PENDING', 'COMPLETED') AND r.state IN ('PENDING', 'COMPLETED')
        AND g.created >= (
          SELECT min(s.starts_at) FROM proposals.time_allocation a
          JOIN proposals.semester s ON s.id = a.semester_id
          WHERE a.proposal_id = m.proposal_id AND s.starts_at <= :now AND :now <= s.ends_at)), 0)
"""
"""Seconds the member `m` used of their proposal in the current semester, at `:now`."""


def as_hours(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return an allocation with whole hours as floats: Postgres writes 10.0 as 10 into JSON."""
    return {
        name: float(value) if isinstance(value, int) and name != "id" else value
        for name, value in shown.items()
    }
