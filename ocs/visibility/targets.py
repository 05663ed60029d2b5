"""From wire targets to arrays: sidereal rows, two-body orbits, tracks (TLE, table), static rows, errors.

A target of the request API (a mapping with `type`, `ra`, ...) becomes one row of a `TargetBatch`. Building a
batch never raises: a row that makes no sense carries a `RowError` and is never observable.

Sources: Danby, Fundamentals of Celestial Mechanics (2nd ed. 1988), chapter 6, for Kepler's equation in
ordinary and universal variables; Vallado et al. 2006 (AIAA 2006-6753) for SGP4.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import erfa
import numpy as np
from numpy.typing import NDArray
from sgp4.api import Satrec

from ocs.visibility.ephemeris import AU_KM, ut1_minus_tai_s
from ocs.visibility.timebase import JD_UNIX, TT_MINUS_TAI_US, US_PER_DAY, from_datetime, from_tt, to_tt

Float = NDArray[np.float64]
Int64 = NDArray[np.int64]

STATIC, SIDEREAL, CONIC, TRACK, FAILED = range(5)

GAUSS_K = 0.01720209895
OBLIQUITY = math.radians(84381.448 / 3600)
MAS = math.radians(1 / 3_600_000)
J2000_MJD = 51544.5
UNIVERSAL_ABOVE = 0.98  # comets beyond this eccentricity are solved in universal variables
MAX_TABLE_POINTS = 10_000
TLE_DAYS = 30
STEPS_PER_TURN = 540  # 10 s for a low satellite, which passes the zenith at a degree per second
TABLE_STEP_S = 300.0

_COMET_SCHEMES = ("MPC_COMET", "ASA_COMET", "JPL_MINOR_PLANET")
_SCHEME_FIELDS = {
    **dict.fromkeys(_COMET_SCHEMES, ("argofperih", "perihdist", "epochofperih")),
    **dict.fromkeys(
        ("MPC_MINOR_PLANET", "ASA_MINOR_PLANET"), ("epochofel", "argofperih", "meandist", "meananom")
    ),
    "JPL_MAJOR_PLANET": ("epochofel", "argofperih", "meandist", "meananom", "dailymot"),
    "ASA_MAJOR_PLANET": ("epochofel", "longofperih", "meandist", "meanlong", "dailymot"),
}


@dataclass(frozen=True)
class RowError:
    """Why one target has no answer.

    Attributes
    ----------
    code
        ``bad_value``, ``bad_elements``, ``bad_tle``, ``bad_ephemeris``, ``unknown_scheme``,
        ``bad_constraint``, ``outside_ephemeris`` or ``not_computable``; stable.
    message
        A sentence for the astronomer, naming field and remedy.
    """

    code: str
    message: str


class _Unusable(Exception):
    def __init__(self, code: str, message: str) -> None:
        self.error = RowError(code, message)
        super().__init__(message)


class Track(Protocol):
    """A target whose direction is known as a function of time only."""

    @property
    def step_s(self) -> float:
        """Sampling step that misses nothing."""

    @property
    def geocentric(self) -> bool:
        """Whether positions are geocentric, not directions from the site."""

    def span(self) -> tuple[int, int]:
        """Return the first and last usable instant, TT microseconds."""

    def positions(self, tt_us: Int64) -> Float:
        """Return (N, 3): astrometric GCRS directions, or geocentric true-of-date positions in au."""


@dataclass(frozen=True, eq=False)
class Table:
    """Given astrometric directions, as seen from the site, with a cubic through each four neighbours."""

    tt_us: Int64
    unit: Float
    step_s: float = TABLE_STEP_S
    geocentric: bool = False

    def span(self) -> tuple[int, int]:
        """Return the table's first and last instant."""
        return int(self.tt_us[0]), int(self.tt_us[-1])

    def positions(self, tt_us: Int64) -> Float:
        """Return (N, 3) directions; beyond the table those of its ends."""
        tt_us = np.clip(tt_us, self.tt_us[0], self.tt_us[-1])
        index = np.clip(np.searchsorted(self.tt_us, tt_us, side="right") - 2, 0, len(self.tt_us) - 4)
        nodes = np.stack([self.tt_us[index + k] - tt_us for k in range(4)]) * 1e-6
        result = np.zeros((len(tt_us), 3))
        for k in range(4):
            weight = np.prod([nodes[j] / (nodes[j] - nodes[k]) for j in range(4) if j != k], axis=0)
            result += weight[:, None] * self.unit[index + k]
        return np.asarray(result / np.linalg.norm(result, axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Satellite:
    """A two-line element set, propagated by SGP4."""

    record: Any
    step_s: float
    geocentric: bool = True

    def span(self) -> tuple[int, int]:
        """Return 30 days to either side of the epoch; SGP4 is off by kilometres per day."""
        days = self.record.jdsatepoch - JD_UNIX + self.record.jdsatepochF
        return int((days - TLE_DAYS) * US_PER_DAY), int((days + TLE_DAYS) * US_PER_DAY)

    def positions(self, tt_us: Int64) -> Float:
        """Return (N, 3) au, true equator and equinox of date; NaN where SGP4 gives up (decayed, absurd)."""
        tai_us = tt_us - TT_MINUS_TAI_US
        utc_us = from_tt(tt_us)
        ut1_s = ut1_minus_tai_s(tai_us)
        day, fraction = JD_UNIX + utc_us // US_PER_DAY, (utc_us % US_PER_DAY) / US_PER_DAY
        status, teme, _ = self.record.sgp4_array(np.ascontiguousarray(day, np.float64), fraction)
        ut1_day = JD_UNIX + tai_us // US_PER_DAY
        ut1_part = (tai_us % US_PER_DAY) / US_PER_DAY + ut1_s / 86400
        equinoxes = erfa.gst00b(ut1_day, ut1_part) - erfa.gmst82(ut1_day, ut1_part)
        cos, sin = np.cos(equinoxes), np.sin(equinoxes)
        x, y, z = teme.T
        date = np.stack((cos * x - sin * y, sin * x + cos * y, z), axis=1) / AU_KM
        return np.where((status == 0)[:, None], date, np.nan)


@dataclass(frozen=True, eq=False)
class Conics:
    """Two-body orbits about the Sun as arrays over C rows.

    Attributes
    ----------
    eccentricity, perihelion_au, epoch_mjd, anomaly, motion
        (C,). Rows with a `motion` (rad/day) are ellipses with mean anomaly `anomaly` (rad) at `epoch_mjd`
        (TT); the others pass perihelion at `epoch_mjd`.
    to_perihelion, along_motion
        (C, 3) unit vectors towards perihelion and 90 deg ahead of it, ICRS axes.
    """

    eccentricity: Float
    perihelion_au: Float
    epoch_mjd: Float
    anomaly: Float
    motion: Float
    to_perihelion: Float
    along_motion: Float

    def states(self, mjd_tt: Float, rows: NDArray[np.intp] | slice = slice(None)) -> Float:
        """Return heliocentric positions and velocities.

        Parameters
        ----------
        mjd_tt
            (N,) TT.
        rows
            Which rows, default all.

        Returns
        -------
        ndarray
            (6, R, N): position in au, velocity in au/day; NaN where the arithmetic overflows.
        """
        e, q = self.eccentricity[rows, None], self.perihelion_au[rows, None]
        motion, anomaly, epoch = self.motion[rows, None], self.anomaly[rows, None], self.epoch_mjd[rows, None]
        days = mjd_tt - epoch
        plane = np.empty((4, *days.shape))
        is_ellipse = motion[:, 0] > 0
        with np.errstate(all="ignore"):
            for chosen, is_elliptic in ((is_ellipse, True), (~is_ellipse, False)):
                if not chosen.any():
                    continue
                of = slice(None) if chosen.all() else chosen
                if is_elliptic:
                    mean = anomaly[of] + motion[of] * days[of]
                    plane[:, of] = _ellipse(mean, motion[of], q[of] / (1 - e[of]), e[of])
                else:
                    plane[:, of] = _universal(days[of], q[of], e[of])
            along, ahead = self.to_perihelion[rows, :, None], self.along_motion[rows, :, None]
            result = np.empty((6, *days.shape))
            for k in range(3):
                result[k] = plane[0] * along[:, k] + plane[1] * ahead[:, k]
                result[k + 3] = plane[2] * along[:, k] + plane[3] * ahead[:, k]
        return result


def _ellipse(mean: Float, motion: Float, axis_au: Float, e: Float) -> tuple[Float, Float, Float, Float]:
    """Return position and velocity in the orbital plane, each (R, N), by Halley's method."""
    mean = mean - 2 * np.pi * np.rint(mean / (2 * np.pi))
    sin_mean = np.sin(mean)
    anomaly = (
        mean + e * sin_mean / (1 - np.sin(mean + e) + sin_mean)
        if e.max(initial=0) < 0.6
        else (mean + 0.85 * e * np.sign(sin_mean))
    )
    anomaly = np.clip(anomaly, mean - e, mean + e)
    for _ in range(50):
        es, ec = e * np.sin(anomaly), e * np.cos(anomaly)
        error = anomaly - es - mean
        rate = 1 - ec
        move = error * rate / (rate * rate - 0.5 * error * es)
        anomaly = np.clip(anomaly - move, mean - e, mean + e)
        if not np.abs(move).max(initial=0) > 1e-7:  # convergence is cubic: the next move would be < 1e-20
            break
    cos, sin = np.cos(anomaly), np.sin(anomaly)
    width = np.sqrt(1 - e * e)
    speed = axis_au * motion / (1 - e * cos)
    return axis_au * (cos - e), axis_au * width * sin, -speed * sin, speed * width * cos


def _stumpff(x: Float) -> tuple[Float, Float, Float, Float]:
    """Return Stumpff's c0 to c3 of any x (Danby 6.9)."""
    root = np.sqrt(np.abs(x))
    is_small = np.abs(x) < 0.1
    safe = np.where(is_small, 1.0, x)
    s = np.where(x > 0, np.sin(root), np.sinh(root)) / np.where(is_small, 1.0, root)
    c = np.where(x > 0, np.cos(root), np.cosh(root))
    c2 = np.where(is_small, _series(x, 2), (1 - c) / safe)
    c3 = np.where(is_small, _series(x, 3), (1 - s) / safe)
    return np.where(is_small, 1 - x * c2, c), 1 - x * c3, c2, c3


def _series(x: Float, first: int) -> Float:
    terms = [(-1) ** k / math.factorial(first + 2 * k) for k in range(7)]
    result = np.zeros_like(x)
    for term in reversed(terms):
        result = result * x + term
    return result


def _universal(days: Float, q: Float, e: Float) -> tuple[Float, Float, Float, Float]:
    """Return position and velocity in the plane of orbits of any eccentricity, each (R, N), from perihelion.

    Solves ``t = q s + mu e s^3 c3(alpha s^2)``, ``alpha = mu (1 - e)/q``, which is regular through e = 1.
    """
    mu = GAUSS_K * GAUSS_K
    alpha = mu * (1 - e) / q
    period = 2 * np.pi * mu / np.where(e < 1, alpha, np.inf) ** 1.5  # 0 for open orbits
    days = days - period * np.rint(days / np.where(period > 0, period, np.inf))
    t, sign = np.abs(days), np.sign(days)
    # Start from Barker's cubic, exact for the parabola; for hyperbolas never beyond asinh's bound.
    b = mu * e / 6
    half = t / (2 * b)
    third = q / (3 * b)
    w = np.sqrt(half * half + third**3)
    root = np.cbrt(half + w)
    s = root - third / root
    hyper = np.sqrt(np.maximum(-alpha, 1e-300))
    mean = hyper**3 * t / mu
    bound = np.arcsinh((mean + np.minimum(hyper * s, 700)) / np.maximum(e, 1)) / hyper
    s = np.where(e > 1.0001, np.minimum(s, bound), s)
    top = np.where(e < 1, np.pi / np.sqrt(np.maximum(alpha, 1e-300)), np.inf)
    s = np.minimum(s, top)
    for _ in range(60):
        c0, c1, c2, c3 = _stumpff(alpha * s * s)
        r = q + mu * e * s * s * c2
        error = q * s + mu * e * s**3 * c3 - t
        bend = mu * e * s * c1
        move = error * r / (r * r - 0.5 * error * bend)
        new = np.clip(s - move, 0.0, top)
        done = not (np.abs(new - s) > 1e-12 * np.abs(s)).any()
        s = new
        if done:
            break
    c0, c1, c2, c3 = _stumpff(alpha * s * s)
    r = q + mu * e * s * s * c2
    spin = np.sqrt(q * mu * (1 + e))
    return q - mu * s * s * c2, sign * spin * s * c1, -sign * mu * s * c1 / r, spin * c0 / r


@dataclass(frozen=True, eq=False)
class TargetBatch:
    """Targets as arrays over T rows.

    Attributes
    ----------
    kind
        (T,) one of STATIC, SIDEREAL, CONIC, TRACK, FAILED.
    unit, motion
        (T, 3) ICRS direction at the row's epoch and its change per day; zero for rows that are not sidereal.
    parallax
        (T,) radians.
    epoch_mjd
        (T,) TT.
    conics, conic_row
        Orbits, and for each row (T,) its place among them or -1.
    tracks
        Row to `Track`.
    errors
        T entries, None where the row is fine.

    Examples
    --------
    >>> stars = [{"type": "ICRS", "ra": 10.0, "dec": -20.0}, {"type": "ICRS", "ra": "x", "dec": 1}]
    >>> batch = TargetBatch.from_wire(stars)
    >>> len(batch), batch.errors[0], batch.errors[1].code
    (2, None, 'bad_value')
    """

    kind: NDArray[np.int8]
    unit: Float
    motion: Float
    parallax: Float
    epoch_mjd: Float
    conics: Conics
    conic_row: NDArray[np.intp]
    tracks: Mapping[int, Track]
    errors: tuple[RowError | None, ...]

    def __len__(self) -> int:
        return len(self.kind)

    @classmethod
    def from_wire(cls, targets: Sequence[Any]) -> "TargetBatch":
        """Return a batch of wire targets; never raises.

        Parameters
        ----------
        targets
            Mappings as the request API carries them: angles in degrees, proper motion in mas/yr
            (``proper_motion_ra`` with cos dec), parallax in mas, epochs of elements in MJD TT, lengths in au.
            ``extra_params.tle`` (two lines; type SATELLITE) and ``extra_params.ephemeris`` (four or more rows
            of ISO `time`, `ra`, `dec`, as objects or lists; any type) give a track.

        Returns
        -------
        TargetBatch
            Row i is target i. A target without a known type, or without the fields its type needs, is static:
            observable whenever it is dark. A value that is no number or out of range makes a row error.
        """
        count = len(targets)
        kind = np.full(count, STATIC, np.int8)
        sidereal = np.zeros((count, 6))
        sidereal[:, 5] = J2000_MJD
        conic_row = np.full(count, -1, np.intp)
        orbits: list[tuple[float, ...]] = []
        tracks: dict[int, Track] = {}
        errors: list[RowError | None] = [None] * count
        for row, target in enumerate(targets):
            try:
                made = _read(target)
            except _Unusable as unusable:
                kind[row], errors[row] = FAILED, unusable.error
                continue
            if made is None:
                continue
            if isinstance(made, Table | Satellite):
                kind[row] = TRACK
                tracks[row] = made
            elif len(made) == 6:
                kind[row], sidereal[row] = SIDEREAL, made
            else:
                kind[row], conic_row[row] = CONIC, len(orbits)
                orbits.append(made)
        unit, motion = _sidereal_vectors(sidereal)
        is_sidereal = (kind == SIDEREAL)[:, None]
        return cls(
            kind=kind,
            unit=np.where(is_sidereal, unit, 0.0),
            motion=motion,
            parallax=sidereal[:, 4].copy(),
            epoch_mjd=sidereal[:, 5].copy(),
            conics=_conics(np.array(orbits).reshape(-1, 8)),
            conic_row=conic_row,
            tracks=tracks,
            errors=tuple(errors),
        )

    def directions(self, rows: NDArray[np.intp], mjd_tt: float, observer_au: Float) -> Float:
        """Return astrometric ICRS directions of sidereal rows at one time, not normalised.

        Parameters
        ----------
        rows
            (R,).
        mjd_tt
            Proper motion is applied up to here.
        observer_au
            (3,) barycentric position, for the parallax.

        Returns
        -------
        ndarray
            (R, 3).
        """
        days = (mjd_tt - self.epoch_mjd[rows])[:, None]
        return self.unit[rows] + self.motion[rows] * days - self.parallax[rows][:, None] * observer_au


def _sidereal_vectors(rows: Float) -> tuple[Float, Float]:
    ra, dec = np.radians(rows[:, 0]), np.radians(rows[:, 1])
    cos_ra, sin_ra, cos_dec, sin_dec = np.cos(ra), np.sin(ra), np.cos(dec), np.sin(dec)
    unit = np.stack((cos_dec * cos_ra, cos_dec * sin_ra, sin_dec), axis=1)
    east = np.stack((-sin_ra, cos_ra, np.zeros_like(ra)), axis=1)
    north = np.stack((-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec), axis=1)
    return unit, (rows[:, 2:3] * east + rows[:, 3:4] * north) * (MAS / 365.25)


def _conics(orbits: Float) -> Conics:
    """Return orbits from rows of e, q, epoch, anomaly, motion, node, argument, inclination (radians)."""
    node, argument, inclination = orbits[:, 5], orbits[:, 6], orbits[:, 7]
    cos_o, sin_o, cos_w, sin_w = np.cos(node), np.sin(node), np.cos(argument), np.sin(argument)
    cos_i, sin_i = np.cos(inclination), np.sin(inclination)
    along = (cos_o * cos_w - sin_o * sin_w * cos_i, sin_o * cos_w + cos_o * sin_w * cos_i, sin_w * sin_i)
    ahead = (-cos_o * sin_w - sin_o * cos_w * cos_i, -sin_o * sin_w + cos_o * cos_w * cos_i, cos_w * sin_i)
    cos_e, sin_e = math.cos(OBLIQUITY), math.sin(OBLIQUITY)

    def to_equator(v: tuple[Float, Float, Float]) -> Float:
        return np.stack((v[0], cos_e * v[1] - sin_e * v[2], sin_e * v[1] + cos_e * v[2]), axis=1)

    return Conics(
        eccentricity=orbits[:, 0].copy(),
        perihelion_au=orbits[:, 1].copy(),
        epoch_mjd=orbits[:, 2].copy(),
        anomaly=orbits[:, 3].copy(),
        motion=orbits[:, 4].copy(),
        to_perihelion=to_equator(along),
        along_motion=to_equator(ahead),
    )


def _number(
    target: Mapping[str, Any], name: str, low: float, high: float, default: float | None = None
) -> float:
    value = target.get(name)
    if value is None and default is not None:
        return default
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise _Unusable(
            "bad_value", f"{name} must be a number from {low:g} to {high:g}, not {str(value)[:40]!r}."
        )
    return number


def _read(target: Any) -> tuple[float, ...] | Table | Satellite | None:
    """Return six sidereal numbers, eight numbers of an orbit, a track, or None for a static row."""
    if not isinstance(target, Mapping):
        raise _Unusable("bad_value", "A target must be an object with a type.")
    extra = target.get("extra_params")
    if isinstance(extra, Mapping):
        if extra.get("ephemeris") is not None:
            return _table(extra["ephemeris"])
        if target.get("type") == "SATELLITE" and extra.get("tle") is not None:
            return _satellite(extra["tle"])
    match target.get("type"):
        case "ICRS":
            return _sidereal(target)
        case "ORBITAL_ELEMENTS":
            return _orbit(target)
        case _:
            return None


def _sidereal(target: Mapping[str, Any]) -> tuple[float, ...] | None:
    if target.get("ra") is None or target.get("dec") is None:
        return None
    return (
        _number(target, "ra", -360, 360),
        _number(target, "dec", -90, 90),
        _number(target, "proper_motion_ra", -20_000, 20_000, 0.0),
        _number(target, "proper_motion_dec", -20_000, 20_000, 0.0),
        max(_number(target, "parallax", -2000, 2000, 0.0), 0.0)
        * MAS,  # a negative measurement means "too small"
        J2000_MJD + ((_number(target, "epoch", 0, 2100, 2000.0) or 2000.0) - 2000) * 365.25,
    )


def _orbit(target: Mapping[str, Any]) -> tuple[float, ...] | None:
    scheme = target.get("scheme")
    if not scheme:
        return None
    if not isinstance(scheme, str) or scheme not in _SCHEME_FIELDS:
        raise _Unusable(
            "unknown_scheme", f"scheme must be one of {', '.join(_SCHEME_FIELDS)}, not {str(scheme)[:40]!r}."
        )
    fields = ("orbinc", "longascnode", "eccentricity", *_SCHEME_FIELDS[scheme])
    if any(target.get(name) is None for name in fields):
        return None
    inclination = math.radians(_number(target, "orbinc", -360, 360))
    node_deg = _number(target, "longascnode", -360, 360)
    e = _number(target, "eccentricity", -math.inf, math.inf)
    if scheme in _COMET_SCHEMES:
        q = _number(target, "perihdist", -math.inf, math.inf)
        if not (0 <= e <= 1e4 and 1e-6 <= q <= 1e5):
            raise _Unusable(
                "bad_elements", f"A comet needs eccentricity >= 0 and perihdist > 0 au, not e={e:g}, q={q:g}."
            )
        perihelion_mjd = _number(target, "epochofperih", -100_000, 300_000)
        argument = math.radians(_number(target, "argofperih", -360, 360))
        motion = GAUSS_K * (q / (1 - e)) ** -1.5 if e < UNIVERSAL_ABOVE else 0.0
        return e, q, perihelion_mjd, 0.0, motion, math.radians(node_deg), argument, inclination
    a = _number(target, "meandist", -math.inf, math.inf)
    if not (0 <= e < 1 and 1e-6 <= a <= 1e5):
        raise _Unusable(
            "bad_elements",
            f"{scheme} describes an ellipse: eccentricity in [0, 1) and meandist > 0 au, not "
            f"e={e:g}, a={a:g}. For a parabola or hyperbola use MPC_COMET.",
        )
    epoch_mjd = _number(target, "epochofel", -100_000, 300_000)
    if scheme == "ASA_MAJOR_PLANET":
        perihelion_deg = _number(target, "longofperih", -360, 360)
        argument_deg = perihelion_deg - node_deg
        mean_deg = _number(target, "meanlong", -36_000, 36_000) - perihelion_deg
    else:
        argument_deg = _number(target, "argofperih", -360, 360)
        mean_deg = _number(target, "meananom", -36_000, 36_000)
    if scheme.endswith("MAJOR_PLANET"):
        motion = math.radians(_number(target, "dailymot", -math.inf, math.inf))
        if not 1e-12 < motion < 1e3:
            raise _Unusable("bad_elements", "dailymot must be a positive number of degrees per day.")
    else:
        motion = GAUSS_K * a**-1.5
    return (
        e, a * (1 - e), epoch_mjd, math.radians(mean_deg), motion,
        math.radians(node_deg), math.radians(argument_deg), inclination,
    )  # fmt: skip


def _satellite(tle: Any) -> Satellite:
    if not (isinstance(tle, Sequence) and len(tle) == 2 and all(isinstance(line, str) for line in tle)):
        raise _Unusable("bad_tle", "extra_params.tle must be a list of two strings.")
    for number, line in enumerate(tle, start=1):
        digits = sum(int(c) if c.isdecimal() and c.isascii() else c == "-" for c in line[:68])
        if not (
            line.isascii()
            and len(line.rstrip()) == 69
            and line[0] == str(number)
            and line[68] == str(digits % 10)
        ):
            raise _Unusable(
                "bad_tle", f"Line {number} of extra_params.tle is not 69 characters with a valid checksum."
            )
    try:
        record = Satrec.twoline2rv(*tle)
    except (ValueError, RuntimeError) as failure:
        raise _Unusable("bad_tle", f"extra_params.tle cannot be read: {failure}.") from failure
    if record.error or not math.isfinite(record.no_kozai) or record.no_kozai <= 0:
        raise _Unusable("bad_tle", "extra_params.tle has impossible elements.")
    step_s = 2 * math.pi / record.no_kozai * 60 / STEPS_PER_TURN
    return Satellite(record, float(np.clip(10 * round(step_s / 10), 10, 300)))  # few steps, to share grids


def _table(rows: Any) -> Table:
    wrong = _Unusable(
        "bad_ephemeris",
        "extra_params.ephemeris must be a list of 4 to 10000 rows {time, ra, dec} or [time, ra, dec] with "
        "increasing ISO times and degrees.",
    )
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not 4 <= len(rows) <= MAX_TABLE_POINTS:
        raise wrong
    times, angles = [], []
    try:
        for row in rows:
            time, ra, dec = (row["time"], row["ra"], row["dec"]) if isinstance(row, Mapping) else row
            instant = datetime.fromisoformat(time)
            times.append(from_datetime(instant if instant.tzinfo else instant.replace(tzinfo=UTC)))
            angles.append((float(ra), float(dec), 0.0, 0.0))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise wrong from None
    tt_us, degrees = to_tt(times), np.array(angles)
    good = (np.abs(degrees[:, 0]) <= 360) & (np.abs(degrees[:, 1]) <= 90)
    if not good.all() or (np.diff(tt_us) < 1_000_000).any():
        raise wrong
    return Table(tt_us, _sidereal_vectors(degrees)[0])
