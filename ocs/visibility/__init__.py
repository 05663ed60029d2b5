"""When can a telescope see a target: pure astronomy on arrays, exact to a second.

No HTTP, no SQL, no clock, no network. Instants are int64 microseconds since the Unix epoch, UTC
(`from_datetime`, `to_datetime`); interval sets are (n, 2) arrays of them.

Examples
--------
>>> from datetime import UTC, datetime
>>> site = Site(latitude_deg=-30.1673, longitude_deg=-70.8047, altitude_m=2198, horizon_deg=15,
...             ha_limit_neg_h=-4.6, ha_limit_pos_h=4.6)
>>> batch = TargetBatch.from_wire([{"type": "ICRS", "ra": 95.5, "dec": -33.25}])
>>> window = [from_datetime(datetime(2027, 1, day, tzinfo=UTC)) for day in (10, 11)]
>>> found = observable(batch, [site], *window, Constraints(max_airmass=1.6, min_lunar_distance_deg=30))
>>> [f"{to_datetime(t):%H:%M:%S}" for t in found.intervals(target=0, site=0).ravel()]
['00:48:58', '07:52:10']
"""

from ocs.visibility.airmass import minimum_altitude_deg
from ocs.visibility.engine import (
    BUDGET_STEPS,
    Constraints,
    Samples,
    Visibility,
    budget,
    dark,
    displayed_airmass,
    moon_up,
    observable,
    samples,
    separation_arcsec,
    together,
)
from ocs.visibility.ephemeris import DataExpiry, data_expiry, refresh_data
from ocs.visibility.errors import InvalidArgument, InvalidSite, OutsideEphemeris, VisibilityError
from ocs.visibility.frame import Site, clear_cache
from ocs.visibility.intervals import (
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
from ocs.visibility.nights import Night, nights
from ocs.visibility.skymap import sky_fraction
from ocs.visibility.targets import RowError, TargetBatch
from ocs.visibility.timebase import from_datetime, mjd_tt, mjd_utc, to_datetime

__all__ = [
    "BUDGET_STEPS",
    "Constraints",
    "DataExpiry",
    "Intervals",
    "InvalidArgument",
    "InvalidSite",
    "Night",
    "OutsideEphemeris",
    "RowError",
    "Samples",
    "Site",
    "TargetBatch",
    "Visibility",
    "VisibilityError",
    "as_intervals",
    "budget",
    "clear_cache",
    "coalesce",
    "dark",
    "data_expiry",
    "displayed_airmass",
    "empty",
    "from_datetime",
    "intersect",
    "intersect_many",
    "inverse",
    "largest",
    "minimum_altitude_deg",
    "mjd_tt",
    "mjd_utc",
    "moon_up",
    "nights",
    "observable",
    "refresh_data",
    "samples",
    "separation_arcsec",
    "sky_fraction",
    "subtract",
    "to_datetime",
    "together",
    "total",
    "union",
]
